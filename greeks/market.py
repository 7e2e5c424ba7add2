"""From the tops of the feed's snapshots to columns beside a layout's rows. No I/O."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import numpy as np

from greeks import conventions
from greeks.conventions import Quotes
from greeks.kernel import Floats
from greeks.layout import Layout, Places, Tokens
from kite.wire import KIND_FULL, Rows
from market_data.batches import newest

NAN: Final = float("nan")
FIELDS: Final = (
    "kind",
    "last_price",
    "bid_price",
    "ask_price",
    "received_at",
    "last_trade_at",
    "close",
    "oi",
    "volume",
)
# As many snapshot rows as stay in the processor's cache while their fields are read.
BLOCK_ROWS: Final = 1_024


@dataclass(frozen=True, slots=True)
class Market:
    """The latest ticks as columns beside the layout's rows, NaN or 0 where none came; `mids` only of narrow markets.

    One row more, the last, stands for whatever a chain does not have.
    """

    quotes: Quotes
    mids: Floats
    received_at: Floats
    close: Floats
    oi: Floats
    volume: Floats


@dataclass(frozen=True, slots=True)
class Lifted:
    """The tokens of a snapshot and what is wanted of its rows, (fields, rows)."""

    token: Tokens
    values: Floats


@dataclass(frozen=True, slots=True)
class Seat:
    """`where` rows stand in the layout, and their place in a snapshot."""

    where: Places | slice
    place: Places


class Seats:
    """Where the layout's rows lie in the snapshots: looked up anew only when other tokens stand there."""

    def __init__(self, plan: Layout) -> None:
        self._plan = plan
        self._tokens: list[Tokens] = []
        self._seats: list[Seat] = []
        self._shared = False

    def gather(self, *, tops: Sequence[Rows], now: datetime) -> Market:
        """Return the ticks of the layout's rows; of several rows of one token the one received last counts."""
        lifted = [lift(rows) for rows in tops]
        self._find([part.token for part in lifted])
        if self._shared:
            lifted = [lift(newest(np.concatenate(tops)))]
            self._find([part.token for part in lifted])
        values = np.full((len(FIELDS), len(self._plan.token) + 1), NAN)
        for part, seat in zip(lifted, self._seats, strict=True):
            for column, found in zip(values, part.values, strict=True):
                column[:-1][seat.where] = found[seat.place]
        return _market(self._plan, dict(zip(FIELDS, values, strict=True)), now)

    def _find(self, tokens: list[Tokens]) -> None:
        if len(tokens) == len(self._tokens) and all(map(np.array_equal, tokens, self._tokens)):
            return
        everything = np.sort(np.concatenate([np.zeros(0, np.uint32), *tokens]))
        self._shared = bool(np.any(everything[1:] == everything[:-1]))
        self._tokens, self._seats = tokens, [_seat(self._plan.token, part) for part in tokens]


def lift(rows: Rows) -> Lifted:
    """Return the rows' fields as columns; each row is fetched once."""
    lifted = Lifted(np.empty(len(rows), np.uint32), np.empty((len(FIELDS), len(rows))))
    fields = [rows[name] for name in FIELDS]
    for start in range(0, len(rows), BLOCK_ROWS):
        part = slice(start, start + BLOCK_ROWS)
        lifted.token[part] = rows["instrument_token"][part]
        for column, values in zip(lifted.values, fields, strict=True):
            column[part] = values[part]
    return lifted


def _seat(wanted: Tokens, tokens: Tokens) -> Seat:
    by_token = np.argsort(tokens, kind="stable")
    found = np.searchsorted(tokens, wanted, sorter=by_token)
    where = np.flatnonzero(found < len(tokens))
    place = by_token[found[where]]
    there = tokens[place] == wanted[where]
    where, place = where[there], place[there]
    return Seat(slice(None) if len(where) == len(wanted) else where, place)


def _market(plan: Layout, columns: dict[str, Floats], now: datetime) -> Market:
    stamp = now.timestamp()
    no_book = columns["kind"] != KIND_FULL
    columns["bid_price"][no_book] = columns["ask_price"][no_book] = NAN
    traded_at = columns["last_trade_at"]
    quotes = Quotes(
        bid=columns["bid_price"],
        ask=columns["ask_price"],
        last=columns["last_price"],
        quote_age=np.maximum(stamp - columns["received_at"], 0.0),
        trade_age=np.where(traded_at > 0.0, np.maximum(stamp - traded_at, 0.0), NAN),
        tick=plan.tick,
    )
    return Market(
        quotes=quotes,
        mids=conventions.narrow_mids(quotes=quotes),
        received_at=columns["received_at"],
        close=columns["close"],
        oi=np.nan_to_num(columns["oi"]),
        volume=np.nan_to_num(columns["volume"]),
    )
