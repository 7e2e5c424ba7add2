"""The columns of all live chains that change only with the instruments: who stands in which row."""

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

from greeks.conventions import Profile, expiry_instant
from greeks.kernel import Floats
from greeks.queries import Underlying
from greeks.store import SYMBOL_SEPARATOR, UNKNOWN_OI, ChainKey
from market_data.models import Instrument

Tokens: TypeAlias = npt.NDArray[np.uint32]
Places: TypeAlias = npt.NDArray[np.intp]

SIGNS: Final[Mapping[str, float]] = {"CE": 1.0, "PE": -1.0}
NOBODY: Final = -1


@dataclass(frozen=True, slots=True)
class ChainSlot:
    """One chain: its rows, and the rows it is priced with, NOBODY where it has none."""

    key: ChainKey
    exchange: str
    lot_size: int
    profile: Profile
    expires_at: datetime
    dividend: float
    closing_oi_at: datetime | None
    rows: slice
    symbols: bytes
    layout: int
    index: int
    same_expiry: int
    nearest: int
    nearest_expires_at: datetime | None


@dataclass(frozen=True, slots=True)
class Pairs:
    """Strikes with both a call and a put, (chains, most of any): NaN and NOBODY fill the shorter ones up."""

    strike: Floats
    call: Places
    put: Places


@dataclass(frozen=True, slots=True)
class Layout:
    """All live chains side by side, and behind their `options` rows those of the indices and futures they need.

    `partner` is the row of the same strike's other side, NOBODY without one; `instruments` all rows; `tick` has one row
    more, for NOBODY. `centres` are the spots, by token, that the strikes were chosen around, NaN where none was known.
    `closing_oi` is the last session's, UNKNOWN_OI where no minute of it is kept.
    """

    slots: tuple[ChainSlot, ...]
    options: int
    token: Tokens
    strike: Floats
    sign: Floats
    tick: Floats
    partner: Places
    closing_oi: Tokens
    pairs: Pairs
    instruments: tuple[Instrument, ...]
    centres: Mapping[int, float]

    @property
    def lengths(self) -> Places:
        """How many rows each chain has."""
        return np.array([slot.rows.stop - slot.rows.start for slot in self.slots], np.intp)


def build(*, underlyings: Sequence[Underlying], spots: Mapping[int, float]) -> Layout:
    """Return the layout; strikes far from a known spot (by token) are left out as the setting says."""
    chosen = [(item, _live_options(item, spots)) for item in underlyings]
    options = [row for _, rows in chosen for row in rows]
    helpers = {row.pk: row for item in underlyings for row in _helpers(item)}
    everything = [*options, *helpers.values()]
    row_of = {row.pk: number for number, row in enumerate(everything)}
    chains = [(item, list(rows)) for item, live in chosen for _, rows in groupby(live, key=lambda row: row.expiry)]
    pairs = _pairs([rows for _, rows in chains], row_of)
    return Layout(
        slots=tuple(_slot(item, rows, row_of) for item, rows in chains),
        options=len(options),
        token=np.array([row.instrument_token for row in everything], np.uint32),
        strike=np.array([float(row.strike) for row in options]),
        sign=np.array([SIGNS[row.instrument_type] for row in options]),
        tick=np.array([*(float(row.tick_size) for row in everything), np.nan]),
        partner=_partners(pairs, len(options)),
        closing_oi=np.array([oi for item, rows in chosen for oi in _closing_oi(item, rows)], np.uint32),
        pairs=pairs,
        instruments=tuple(everything),
        centres={
            item.index.instrument_token: spots.get(item.index.instrument_token, float("nan"))
            for item in underlyings
            if item.index
        },
    )


def _helpers(item: Underlying) -> list[Instrument]:
    return [row for row in (item.index, *item.futures) if row is not None]


def _closing_oi(item: Underlying, rows: Sequence[Instrument]) -> list[int]:
    contracts = [(row.expiry, float(row.strike), row.instrument_type) for row in rows if row.expiry]
    return [item.closing.oi.get(contract, UNKNOWN_OI) for contract in contracts]


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


def _pairs(chains: Sequence[Sequence[Instrument]], row_of: Mapping[int, int]) -> Pairs:
    paired = [_paired(rows, row_of) for rows in chains]
    shape = (len(paired), max((len(rows) for rows in paired), default=0) or 1)
    found = Pairs(np.full(shape, np.nan), np.full(shape, NOBODY, np.intp), np.full(shape, NOBODY, np.intp))
    for number, rows in enumerate(paired):
        for column, values in zip((found.strike, found.call, found.put), zip(*rows, strict=True), strict=False):
            column[number, : len(rows)] = values
    return found


def _paired(rows: Sequence[Instrument], row_of: Mapping[int, int]) -> list[tuple[float, int, int]]:
    """Return the strikes that have both sides, each with the rows of its call and its put."""
    calls = {float(row.strike): row_of[row.pk] for row in rows if row.instrument_type == "CE"}
    puts = {float(row.strike): row_of[row.pk] for row in rows if row.instrument_type == "PE"}
    return [(strike, calls[strike], puts[strike]) for strike in sorted(calls.keys() & puts.keys())]


def _partners(pairs: Pairs, options: int) -> Places:
    partner = np.full(options, NOBODY, np.intp)
    there = pairs.call != NOBODY
    partner[pairs.call[there]], partner[pairs.put[there]] = pairs.put[there], pairs.call[there]
    return partner


def _slot(item: Underlying, rows: Sequence[Instrument], row_of: Mapping[int, int]) -> ChainSlot:
    first, setting = rows[0], item.setting
    if first.expiry is None:
        raise ValueError(f"an option without an expiry: {first}")
    start = row_of[first.pk]
    futures = [row for row in item.futures if row.expiry]
    expires_at = expiry_instant(expiry=first.expiry, exchange=first.exchange)
    ends = [expiry_instant(expiry=row.expiry, exchange=row.exchange) for row in futures if row.expiry]
    same = [row for row, end in zip(futures, ends, strict=True) if end == expires_at]
    return ChainSlot(
        key=ChainKey(setting.underlying, first.expiry),
        exchange=first.exchange,
        lot_size=first.lot_size,
        profile=Profile(setting.profile),
        expires_at=expires_at,
        dividend=item.dividend,
        closing_oi_at=item.closing.at,
        rows=slice(start, start + len(rows)),
        symbols=SYMBOL_SEPARATOR.join(row.tradingsymbol for row in rows).encode(),
        layout=zlib.crc32(np.array([row.instrument_token for row in rows], np.uint32).tobytes()),
        index=row_of[item.index.pk] if item.index else NOBODY,
        same_expiry=row_of[same[0].pk] if same else NOBODY,
        nearest=row_of[futures[0].pk] if futures else NOBODY,
        nearest_expires_at=ends[0] if ends else None,
    )
