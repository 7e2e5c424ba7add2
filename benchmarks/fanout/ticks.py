"""What is sent: prices that change every round, as rows, as one binary frame, and as one JSON object a tick."""

import time
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from kite.types import Mode
from kite.wire import KIND_QUOTE, TICK, Rows
from market_data.frames import Format, FrameType, Span, encode

PAISE: Final = 100.0
SEGMENT_NSE: Final = 1
Prices = npt.NDArray[np.uint32]


@dataclass(frozen=True, slots=True)
class Round:
    """One batch: a sequence, the time it is published, and a price in paise per instrument."""

    sequence: int
    published_us: int
    prices: Prices

    @property
    def rows(self) -> Rows:
        """The batch as the feed decodes it: quotes of every instrument."""
        rows = np.zeros(len(self.prices), TICK)
        rows["instrument_token"] = tokens(len(self.prices))
        rows["kind"], rows["tradable"] = KIND_QUOTE, True
        rows["received_at"] = self.published_us / 1e6
        for name in ("last_price", "average_price", "open", "high", "low", "close"):
            rows[name] = self.prices / PAISE
        for number, name in enumerate(("last_quantity", "volume", "buy_quantity", "sell_quantity", "oi")):
            rows[name] = self.prices + number
        return rows

    @property
    def frame(self) -> bytes:
        """The batch as one binary frame of the tick socket."""
        span = Span(
            shard=0,
            epoch=1,
            from_sequence=self.sequence - 1,
            to_sequence=self.sequence,
            published_us=self.published_us,
            built_at=self.published_us / 1e6,
        )
        rows = self.rows
        return encode(
            rows=rows,
            stale=np.zeros(len(rows), np.bool_),
            mode=Mode.QUOTE,
            form=Format.BINARY,
            kind=FrameType.DELTA,
            span=span,
        )

    def documents(self) -> list[dict[str, object]]:
        """Return one dictionary a tick, with the fields that Kite's own library gives a quote."""
        return [
            {
                "instrument_token": token,
                "last_price": price / PAISE,
                "published_us": self.published_us,
                "tradable": True,
                "mode": "quote",
                "last_traded_quantity": price,
                "average_traded_price": price / PAISE,
                "volume_traded": price + 1,
                "total_buy_quantity": price + 2,
                "total_sell_quantity": price + 3,
                "ohlc": dict.fromkeys(("open", "high", "low", "close"), price / PAISE),
                "change": 0.0,
                "oi": price + 4,
            }
            for token, price in zip(tokens(len(self.prices)).tolist(), self.prices.tolist(), strict=True)
        ]


def tokens(count: int) -> npt.NDArray[np.uint32]:
    """Return the instruments' tokens: consecutive, all of NSE."""
    return np.arange(1, count + 1, dtype=np.uint32) * np.uint32(256) + np.uint32(SEGMENT_NSE)


class Source:
    """Makes rounds; every price differs from the round before."""

    def __init__(self, *, seed: int) -> None:
        self._random = np.random.default_rng(seed)
        self.sequence = 0
        self.last: Prices = np.zeros(0, np.uint32)

    def next(self, count: int) -> Round:
        """Return the next round of this many instruments, published now."""
        self.sequence += 1
        offsets = self._random.integers(1, 1000, count, dtype=np.uint32) * 2 + self.sequence % 2
        self.last = np.uint32(100_000) + offsets
        return Round(self.sequence, time.time_ns() // 1000, self.last)
