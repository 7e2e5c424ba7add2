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
SEGMENTS: Final = 256


class QuoteClass(StrEnum):
    """What an instrument is to the clock."""

    INDEX = "index"
    SHARE = "share"
    DERIVATIVE = "derivative"


@dataclass(frozen=True, slots=True)
class Allowed:
    """The age a class allows; clients are told of a class whose silence means something."""

    seconds: float
    told: bool


# Many options trade seldom: their rows carry the bit, but nobody is told.
LIMITS: Final[Mapping[QuoteClass, Allowed]] = {
    QuoteClass.INDEX: Allowed(seconds=5.0, told=True),
    QuoteClass.SHARE: Allowed(seconds=30.0, told=True),
    QuoteClass.DERIVATIVE: Allowed(seconds=30.0, told=False),
}
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


class Freshness:
    """Judges rows by limits and by the sessions that `follow` last saw."""

    def __init__(self, *, limits: Mapping[QuoteClass, Allowed] = LIMITS) -> None:
        self._limit = np.full(SEGMENTS, np.inf)
        self._told = np.zeros(SEGMENTS, np.bool_)
        self._opened_at = np.full(SEGMENTS, np.inf)
        for segment, (_, quote_class) in SEGMENT_OF.items():
            self._limit[segment] = limits[quote_class].seconds
            self._told[segment] = limits[quote_class].told

    def follow(self, calendar: Calendar, *, now: datetime) -> None:
        """Learn which exchanges trade now, and since when."""
        for segment, (exchange, _) in SEGMENT_OF.items():
            session = calendar.session_at(exchange=exchange, at=now)
            self._opened_at[segment] = np.inf if session is None else session.opens.timestamp()

    def stale(self, rows: Rows, *, at: float) -> Flags:
        """Say which rows are stale at a moment in epoch seconds."""
        segments = rows["instrument_token"] & 0xFF
        since = np.maximum(rows["received_at"], self._opened_at[segments])
        judged: Flags = at - since > self._limit[segments]
        return judged

    def told(self, rows: Rows) -> Flags:
        """Say which rows are of a class whose staleness clients are told of."""
        told: Flags = self._told[rows["instrument_token"] & 0xFF]
        return told


def ages(rows: Rows, *, at: float) -> npt.NDArray[np.float64]:
    """Return seconds since each row was received, never negative."""
    found: npt.NDArray[np.float64] = np.maximum(at - rows["received_at"], 0.0)
    return found
