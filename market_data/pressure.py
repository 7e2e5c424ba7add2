"""How hard the stream presses, judged by what was measured in the last minute. Pure.

The levels and their bounds are the former platform's. What a level does is not: nothing is drawn by lot. Under pressure
the feed sends last values less often, but what moves the desk, indices and strikes at the money, as often as ever.
"""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

import numpy as np
import numpy.typing as npt

WINDOW_SECONDS: Final = 60.0
# A share of the spot: what is at the money.
AT_THE_MONEY: Final = 0.01
INDEX_SEGMENT: Final = 9

Tokens = npt.NDArray[np.uint32]
Floats = npt.NDArray[np.float64]


class Level(IntEnum):
    """How bad it is."""

    HEALTHY = 0
    WARNING = 1
    CRITICAL = 2
    OVERLOAD = 3


@dataclass(frozen=True, slots=True)
class Bounds:
    """A level holds while all three are kept: share published, slow end of a publication, batches that wait."""

    share: float
    milliseconds: float
    pending: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Pressure:
    """What each level bounds and does, by level, the lightest first; nothing bounds the last.

    `skipped` is of a hub: the share of sends that a client could not take (its next frame holds the newest all the
    same). Every `whole_every`th flush carries everything, the others what is protected.
    """

    bounds: Mapping[Level, Bounds]
    skipped: Mapping[Level, float]
    whole_every: Mapping[Level, int]


# What holds until somebody edits it.
PRESSURE: Final = Pressure(
    bounds={
        Level.HEALTHY: Bounds(0.95, 10.0, 100),
        Level.WARNING: Bounds(0.80, 50.0, 500),
        Level.CRITICAL: Bounds(0.50, 200.0, 2000),
    },
    skipped={Level.HEALTHY: 0.20, Level.WARNING: 0.50, Level.CRITICAL: 0.80},
    whole_every={Level.HEALTHY: 1, Level.WARNING: 2, Level.CRITICAL: 4, Level.OVERLOAD: 10},
)


@dataclass(frozen=True, slots=True)
class Reading:
    """What the last minute was like; rates a second."""

    level: Level
    received: float
    published: float
    share: float
    publish_ms: float
    pending: int


def level_of(*, share: float, milliseconds: float, pending: int, limits: Pressure = PRESSURE) -> Level:
    """Return the first level whose bounds are all kept."""
    for level, bounds in limits.bounds.items():
        if share >= bounds.share and milliseconds <= bounds.milliseconds and pending <= bounds.pending:
            return level
    return Level.OVERLOAD


def hub_level(*, sent: int, skipped: int, limits: Pressure = PRESSURE) -> Level:
    """Return the level of a hub that sent so many frames and left out so many."""
    share = skipped / (sent + skipped) if sent + skipped else 0.0
    return next((level for level, most in limits.skipped.items() if share <= most), Level.OVERLOAD)


class Gauge:
    """Flushes of the last minute."""

    def __init__(self) -> None:
        self._flushes: deque[tuple[float, int, int, float]] = deque()
        self._number = 0
        self._level = Level.HEALTHY
        self.limits = PRESSURE

    def note(self, *, at: float, received: int, published: int, seconds: float) -> None:
        """Count a flush: packets that came, packets the bus took, and how long it took."""
        self._flushes.append((at, received, published, seconds))
        while self._flushes and self._flushes[0][0] < at - WINDOW_SECONDS:
            self._flushes.popleft()

    def read(self, *, pending: int, now: float) -> Reading:
        """Judge the last minute; what is read decides about the next flushes."""
        while self._flushes and self._flushes[0][0] < now - WINDOW_SECONDS:
            self._flushes.popleft()
        received = sum(flush[1] for flush in self._flushes)
        published = sum(flush[2] for flush in self._flushes)
        slow = float(np.percentile([flush[3] for flush in self._flushes], 99)) * 1000 if self._flushes else 0.0
        share = published / received if received else 1.0
        span = max(now - self._flushes[0][0], 1.0) if self._flushes else 1.0
        self._level = level_of(share=share, milliseconds=slow, pending=pending, limits=self.limits)
        return Reading(
            level=self._level,
            received=round(received / span, 1),
            published=round(published / span, 1),
            share=round(share, 4),
            publish_ms=round(slow, 2),
            pending=pending,
        )

    def is_whole(self) -> bool:
        """Say whether the next flush carries everything."""
        self._number += 1
        return self._number % self.limits.whole_every[self._level] == 0


def protected(*, tokens: Tokens, options: Mapping[int, tuple[int, float]], spots: Mapping[int, float]) -> Tokens:
    """Return the indices among the tokens, and the options at the money.

    `options` gives each option's (index token, strike), `spots` the last price of each index token.
    """
    near = [
        token
        for token, (index, strike) in options.items()
        if index in spots and abs(strike - spots[index]) <= AT_THE_MONEY * spots[index]
    ]
    indices = tokens[(tokens & 0xFF) == INDEX_SEGMENT]
    return np.union1d(indices, np.array(near, np.uint32)).astype(np.uint32)
