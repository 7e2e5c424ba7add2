"""When a quote is stale: older than its class allows while its exchange trades. Pure.

A market that is shut makes nothing stale, and after an opening a quote has its class's time to come.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

import numpy as np
import numpy.typing as npt

from kite.wire import Rows
from market_data.calendar import Calendar

Flags = npt.NDArray[np.bool_]
Tokens = npt.NDArray[np.uint32]
SEGMENTS: Final = 256


class QuoteClass(StrEnum):
    """What an instrument is to the clock."""

    INDEX = "index"
    LEADER = "leader"
    SHARE = "share"
    DERIVATIVE = "derivative"


@dataclass(frozen=True, slots=True)
class Allowed:
    """The age a class allows; clients are told of a class whose silence means something."""

    seconds: float
    told: bool


# What holds until somebody edits it. Many options trade seldom: their rows carry the bit, but nobody is told.
LIMITS: Final[Mapping[QuoteClass, Allowed]] = {
    QuoteClass.INDEX: Allowed(seconds=5.0, told=True),
    QuoteClass.LEADER: Allowed(seconds=5.0, told=True),
    QuoteClass.SHARE: Allowed(seconds=30.0, told=True),
    QuoteClass.DERIVATIVE: Allowed(seconds=30.0, told=False),
}
# The shares that move the day: so many with the greatest turnover of it.
LEADERS: Final = 100
# The last byte of an instrument token is its segment.
SEGMENT_OF: Final[Mapping[int, tuple[str, QuoteClass]]] = {
    1: ("NSE", QuoteClass.SHARE),
    2: ("NFO", QuoteClass.DERIVATIVE),
    3: ("CDS", QuoteClass.DERIVATIVE),
    4: ("BSE", QuoteClass.SHARE),
    5: ("BFO", QuoteClass.DERIVATIVE),
    6: ("BCD", QuoteClass.DERIVATIVE),
    7: ("MCX", QuoteClass.DERIVATIVE),
    9: ("NSE", QuoteClass.INDEX),
    12: ("NCO", QuoteClass.DERIVATIVE),
}
SHARE_SEGMENTS: Final = [segment for segment, (_, found) in SEGMENT_OF.items() if found is QuoteClass.SHARE]


class Freshness:
    """Judges rows by limits and by the sessions that `follow` last saw."""

    def __init__(self, *, limits: Mapping[QuoteClass, Allowed] = LIMITS) -> None:
        self._limit = np.full(SEGMENTS, np.inf)
        self._told = np.zeros(SEGMENTS, np.bool_)
        self._opened_at = np.full(SEGMENTS, np.inf)
        self._leaders: Tokens = np.zeros(1, np.uint32)
        self.allow(limits)

    def allow(self, limits: Mapping[QuoteClass, Allowed]) -> None:
        """Judge by these limits from now on."""
        for segment, (_, quote_class) in SEGMENT_OF.items():
            self._limit[segment] = limits[quote_class].seconds
            self._told[segment] = limits[quote_class].told
        self._leader = limits[QuoteClass.LEADER]

    def follow(self, calendar: Calendar, *, now: datetime) -> None:
        """Learn which exchanges trade now, and since when."""
        for segment, (exchange, _) in SEGMENT_OF.items():
            session = calendar.session_at(exchange=exchange, at=now)
            self._opened_at[segment] = np.inf if session is None else session.opens.timestamp()

    def lead(self, leaders: Tokens) -> None:
        """Hold these shares, ascending, to the leaders' limit."""
        self._leaders = leaders if len(leaders) else np.zeros(1, np.uint32)

    def stale(self, rows: Rows, *, at: float) -> Flags:
        """Say which rows are stale at a moment in epoch seconds."""
        tokens = rows["instrument_token"]
        segments = tokens & 0xFF
        since = np.maximum(rows["received_at"], self._opened_at[segments])
        limit = np.where(self._leads(tokens), self._leader.seconds, self._limit[segments])
        judged: Flags = at - since > limit
        return judged

    def told(self, rows: Rows) -> Flags:
        """Say which rows are of a class whose staleness clients are told of."""
        tokens = rows["instrument_token"]
        told: Flags = np.where(self._leads(tokens), self._leader.told, self._told[tokens & 0xFF])
        return told

    def _leads(self, tokens: Tokens) -> Flags:
        places = np.minimum(np.searchsorted(self._leaders, tokens), len(self._leaders) - 1)
        leads: Flags = self._leaders[places] == tokens
        return leads


def leaders(rows: Rows, *, count: int = LEADERS) -> Tokens:
    """Return the shares among the rows with the greatest turnover of the day, ascending."""
    shares = rows[np.isin(rows["instrument_token"] & 0xFF, SHARE_SEGMENTS) & (rows["volume"] > 0)]
    by_turnover = np.argsort(shares["volume"] * shares["average_price"])
    chosen: Tokens = np.sort(shares["instrument_token"][by_turnover[-count:]])
    return chosen


def ages(rows: Rows, *, at: float) -> npt.NDArray[np.float64]:
    """Return seconds since each row was received, never negative."""
    found: npt.NDArray[np.float64] = np.maximum(at - rows["received_at"], 0.0)
    return found
