"""The columns of all live chains that change only with the instruments: who stands in which row."""

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from greeks.conventions import Profile, expiry_instant
from greeks.kernel import Floats
from greeks.queries import Underlying
from greeks.store import SYMBOL_SEPARATOR, ChainKey
from market_data.models import Instrument

Tokens: TypeAlias = npt.NDArray[np.uint32]
Places: TypeAlias = npt.NDArray[np.intp]

SIGNS: Mapping[str, float] = {"CE": 1.0, "PE": -1.0}


@dataclass(frozen=True, slots=True)
class FutureSlot:
    """A future of a chain's underlying: its row, and when it expires."""

    row: int
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class ChainSlot:
    """One chain's rows, the rows it is priced with, and its strikes that have both a call and a put."""

    key: ChainKey
    exchange: str
    lot_size: int
    profile: Profile
    expires_at: datetime
    dividend: float
    rows: slice
    symbols: bytes
    layout: int
    index: int | None
    same_expiry: FutureSlot | None
    nearest: FutureSlot | None
    pair_strike: Floats
    pair_call: Places
    pair_put: Places


@dataclass(frozen=True, slots=True)
class Layout:
    """All live chains side by side, and behind their `options` rows those of the indices and futures they need.

    `partner` is the row of the same strike's other side, -1 without one; `instruments` all rows;
    `centres` the spots, by token, that the strikes were chosen around, NaN where none was known.
    """

    slots: tuple[ChainSlot, ...]
    options: int
    token: Tokens
    strike: Floats
    sign: Floats
    tick: Floats
    partner: Places
    instruments: tuple[Instrument, ...]
    centres: Mapping[int, float]


def build(*, underlyings: Sequence[Underlying], spots: Mapping[int, float]) -> Layout:
    """Return the layout; strikes far from a known spot (by token) are left out as the setting says."""
    chosen = [(item, _live_options(item, spots)) for item in underlyings]
    options = [row for _, rows in chosen for row in rows]
    helpers = {row.pk: row for item in underlyings for row in _helpers(item)}
    everything = [*options, *helpers.values()]
    row_of = {row.pk: number for number, row in enumerate(everything)}
    slots = tuple(
        _slot(item, list(chain), row_of)
        for item, rows in chosen
        for _, chain in groupby(rows, key=lambda row: row.expiry)
    )
    return Layout(
        slots=slots,
        options=len(options),
        token=np.array([row.instrument_token for row in everything], np.uint32),
        strike=np.array([float(row.strike) for row in options]),
        sign=np.array([SIGNS[row.instrument_type] for row in options]),
        tick=np.array([float(row.tick_size) for row in everything]),
        partner=_partners(slots, len(options)),
        instruments=tuple(everything),
        centres={
            item.index.instrument_token: spots.get(item.index.instrument_token, float("nan"))
            for item in underlyings
            if item.index
        },
    )


def _helpers(item: Underlying) -> list[Instrument]:
    return [row for row in (item.index, *item.futures) if row is not None]


def _live_options(item: Underlying, spots: Mapping[int, float]) -> list[Instrument]:
    each_side = item.setting.strikes_each_side
    spot = spots.get(item.index.instrument_token) if item.index else None
    if spot is None or not each_side:
        return list(item.options)
    kept: list[Instrument] = []
    for _, chain in groupby(item.options, key=lambda row: row.expiry):
        rows = list(chain)
        strikes = np.unique([float(row.strike) for row in rows])
        middle = int(np.argmin(np.abs(strikes - spot)))
        low, high = strikes[max(middle - each_side, 0)], strikes[min(middle + each_side, len(strikes) - 1)]
        kept += [row for row in rows if low <= float(row.strike) <= high]
    return kept


def _partners(slots: Sequence[ChainSlot], options: int) -> Places:
    partner = np.full(options, -1, np.intp)
    for slot in slots:
        partner[slot.pair_call] = slot.pair_put
        partner[slot.pair_put] = slot.pair_call
    return partner


def _slot(item: Underlying, rows: Sequence[Instrument], row_of: Mapping[int, int]) -> ChainSlot:
    first, setting = rows[0], item.setting
    if first.expiry is None:
        raise ValueError(f"an option without an expiry: {first}")
    start = row_of[first.pk]
    calls = {float(row.strike): row_of[row.pk] for row in rows if row.instrument_type == "CE"}
    puts = {float(row.strike): row_of[row.pk] for row in rows if row.instrument_type == "PE"}
    pairs = sorted(calls.keys() & puts.keys())
    futures = [
        FutureSlot(row_of[row.pk], expiry_instant(expiry=row.expiry, exchange=row.exchange))
        for row in item.futures
        if row.expiry
    ]
    expires_at = expiry_instant(expiry=first.expiry, exchange=first.exchange)
    return ChainSlot(
        key=ChainKey(setting.underlying, first.expiry),
        exchange=first.exchange,
        lot_size=first.lot_size,
        profile=Profile(setting.profile),
        expires_at=expires_at,
        dividend=item.dividend,
        rows=slice(start, start + len(rows)),
        symbols=SYMBOL_SEPARATOR.join(row.tradingsymbol for row in rows).encode(),
        layout=zlib.crc32(np.array([row.instrument_token for row in rows], np.uint32).tobytes()),
        index=row_of[item.index.pk] if item.index else None,
        same_expiry=next((future for future in futures if future.expires_at == expires_at), None),
        nearest=next(iter(futures), None),
        pair_strike=np.array(pairs),
        pair_call=np.array([calls[strike] for strike in pairs], np.intp),
        pair_put=np.array([puts[strike] for strike in pairs], np.intp),
    )
