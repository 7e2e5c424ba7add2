"""A universe from a real Kite instruments dump: its rows as they are, prices guessed where the dump has none."""

from __future__ import annotations

import csv
import statistics
import zlib
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

from sandbox.instruments import Instrument
from sandbox.universe import INDICES, Spot, Universe, equity_rows

INDEX_NAMES = {spec.option_name: spec.symbol for spec in INDICES if spec.option_name}
INDEX_LEVELS = {spec.symbol: spec for spec in INDICES}
EQUITY_VOLATILITY = 0.28


def read_dump(path: Path, *, first_expiry: date | None = None) -> Universe:
    """Return the dump's universe; every derivative's name is tied to the spot that drives it.

    With `first_expiry` every expiry moves by the same whole weeks, so that none is before it.
    """
    with path.open(newline="", encoding="utf-8") as handle:
        rows = [_instrument(row) for row in csv.DictReader(handle)]
    if first_expiry is not None:
        rows = _rolled(rows, first_expiry)
    known = {(one.exchange, one.tradingsymbol): one for one in rows}
    levels = _levels(rows)
    spots: dict[str, Spot] = {}
    instruments = []
    for one in rows:
        underlying = _underlying(one, known)
        level = _level(underlying, one, levels)
        if underlying not in spots:
            spots[underlying] = _spot(underlying, level)
        instruments.append(replace(one, underlying=underlying, price=level))
    return Universe(instruments=instruments, spots=spots)


def _rolled(rows: list[Instrument], first_expiry: date) -> list[Instrument]:
    earliest = min((one.expiry for one in rows if one.expiry is not None), default=first_expiry)
    weeks = max(-((earliest - first_expiry).days // 7), 0)
    return [one if one.expiry is None else replace(one, expiry=one.expiry + timedelta(weeks=weeks)) for one in rows]


def _instrument(row: dict[str, str]) -> Instrument:
    expiry = row["expiry"]
    exchange = row["exchange"]
    return Instrument(
        token=int(row["instrument_token"]),
        tradingsymbol=row["tradingsymbol"],
        name=row["name"],
        exchange=exchange,
        segment=row["segment"],
        instrument_type=row["instrument_type"],
        tick_size=float(row["tick_size"]),
        lot_size=int(float(row["lot_size"])),
        price=float(row["last_price"] or 0.0),
        underlying="",
        expiry=date.fromisoformat(expiry) if expiry else None,
        strike=float(row["strike"] or 0.0),
        freeze_quantity=int(float(row["lot_size"])) * 40 if expiry else 0,
    )


def _underlying(one: Instrument, known: dict[tuple[str, str], Instrument]) -> str:
    if one.expiry is None:
        return one.tradingsymbol
    index = INDEX_NAMES.get(one.name)
    if index is not None:
        return index
    cash = "BSE" if one.exchange == "BFO" else "NSE"
    return one.name if (cash, one.name) in known or one.name else one.tradingsymbol


def _levels(rows: Iterable[Instrument]) -> dict[str, float]:
    """Guess levels from strikes: the middle strike of an underlying lies near its price."""
    strikes: dict[str, list[float]] = defaultdict(list)
    priced: dict[str, float] = {row["symbol"]: float(row["price"]) for row in equity_rows()}
    for one in rows:
        if one.is_option:
            strikes[one.name].append(one.strike)
        elif one.price > 0:
            priced[one.tradingsymbol if one.expiry is None else one.name] = one.price
    return {**priced, **{name: statistics.median(values) for name, values in strikes.items() if name not in priced}}


def _level(underlying: str, one: Instrument, levels: dict[str, float]) -> float:
    spec = INDEX_LEVELS.get(underlying)
    for name in (underlying, spec.option_name if spec else "", one.name):
        if name in levels:
            return levels[name]
    return spec.price if spec else 50.0 + zlib.crc32(underlying.encode()) % 2_000


def _spot(underlying: str, level: float) -> Spot:
    spec = INDEX_LEVELS.get(underlying)
    if spec is not None:
        return Spot(underlying, level, spec.volatility, spec.beta)
    return Spot(underlying, level, EQUITY_VOLATILITY, 1.0)
