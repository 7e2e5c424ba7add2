"""Positions as lines of exposure: what each stands on, and the delta the live chains give it."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

import numpy as np

from greeks import store
from greeks.store import ChainKey
from market_data.bus import sync_bus
from market_data.errors import FeedDown
from market_data.models import Instrument
from market_data.queries import instruments_by_keys
from portfolio.exposure import Line, number, units_held
from portfolio.readings import Part

OPTIONS: Final = frozenset({"CE", "PE"})
DERIVATIVES: Final = OPTIONS | {"FUT"}


def lines_of(*, positions: Sequence[Part], holdings: Sequence[Part]) -> list[Line]:
    """Return the net positions and the holdings of all accounts as lines."""
    rows = [(part.account.label, row) for part in positions for row in (part.answer or {"net": []})["net"]]
    held = [(part.account.label, row) for part in holdings for row in part.answer or []]
    known = instruments_by_keys([key_of(row) for _, row in rows])
    deltas = _deltas([item for item in known.values() if item.instrument_type in OPTIONS])
    return [_position(label, row, known.get(key_of(row)), deltas) for label, row in rows] + [
        _holding(label, row) for label, row in held
    ]


def key_of(row: Mapping[str, Any]) -> str:
    """Return EXCHANGE:SYMBOL of a row in the broker's words."""
    return f"{row['exchange']}:{row['tradingsymbol']}"


def _position(label: str, row: Mapping[str, Any], instrument: Instrument | None, deltas: Mapping[int, float]) -> Line:
    units = number(row, "quantity") * (number(row, "multiplier") or 1.0)
    derivative = instrument is not None and instrument.instrument_type in DERIVATIVES
    delta: float | None = 1.0
    if instrument is not None and instrument.instrument_type in OPTIONS:
        delta = deltas.get(instrument.instrument_token)
    return Line(
        account=label,
        instrument=key_of(row),
        underlying=instrument.name if derivative and instrument is not None else str(row["tradingsymbol"]),
        units=units,
        last_price=number(row, "last_price"),
        pnl=number(row, "pnl"),
        delta_units=None if delta is None else units * delta,
    )


def _holding(label: str, row: Mapping[str, Any]) -> Line:
    units = units_held(row)
    return Line(
        account=label,
        instrument=key_of(row),
        underlying=str(row["tradingsymbol"]),
        units=units,
        last_price=number(row, "last_price"),
        pnl=number(row, "pnl"),
        delta_units=units,
    )


def _deltas(options: Collection[Instrument]) -> dict[int, float]:
    """Return the live delta by instrument token; options without a live chain or without a volatility are absent."""
    keys = {ChainKey(option.name, option.expiry) for option in options if option.expiry is not None}
    found: dict[int, float] = {}
    for key in sorted(keys):
        try:
            blob = sync_bus().get_blob(key.blob)
        except FeedDown:
            return {}
        if blob is not None:
            rows = store.unpack(blob).rows
            known = rows[np.isfinite(rows["delta"])]
            found.update(zip(known["instrument_token"].tolist(), known["delta"].tolist(), strict=True))
    return found
