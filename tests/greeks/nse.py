"""Real option-chain answers of the exchange, read where they lie; nothing of them is kept in the repository."""

import gzip
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from greeks import kernel
from greeks.conventions import IST, NSE_RATE, nse_years
from greeks.kernel import Floats

FOLDER = Path(__file__).resolve().parents[2].parent / "shared" / "nse-chain"
WITHIN = 0.01
ALLOWED = 0.02
DAYS = ("%d-%b-%Y", "%d-%m-%Y", "%Y-%m-%d")
MOMENTS = tuple(f"{day} {clock}" for day in DAYS for clock in ("%H:%M:%S", "%H:%M"))
# The page has had several names for one thing.
NAMES: Mapping[str, tuple[str, ...]] = {
    "last": ("lastPrice", "last_price"),
    "bid": ("bidprice", "bidPrice", "buyPrice1"),
    "ask": ("askPrice", "askprice", "sellPrice1"),
    "iv": ("impliedVolatility",),
    "volume": ("totalTradedVolume",),
}


@dataclass(frozen=True, slots=True)
class NseChain:
    """Columns of one answer; `iv` in points as the exchange prints it; NaN where a row lacks a field."""

    taken_at: datetime
    spot: float
    expiry: list[date]
    strike: Floats
    sign: Floats
    last: Floats
    bid: Floats
    ask: Floats
    iv: Floats
    volume: Floats

    def of(self, expiry: date) -> Floats:
        return np.array([day == expiry for day in self.expiry])

    def published(self) -> Floats:
        """Return which rows traded and have a volatility on the page."""
        return np.asarray((self.iv > 0.0) & (self.volume > 0.0) & (self.last > 0.0))

    def misses(self, *, spot: float) -> Floats:
        """Return by how many points the exchange's profile on this spot misses each published volatility."""
        t = np.array([nse_years(today=self.taken_at.date(), expiry=expiry) for expiry in self.expiry])
        result = kernel.solve(self.last, spot * np.exp(NSE_RATE * t), self.strike, t, NSE_RATE, self.sign)
        miss = np.abs(100.0 * result.iv - self.iv)
        return np.where(np.isfinite(miss), miss, np.inf)

    def tied_spot(self) -> float:
        """Return the printed spot where it explains the page, else the one that does, found on every second row.

        The page prints an index's close, an average, beside volatilities of its last tick.
        """
        rows = np.flatnonzero(self.published())[::2]

        def typical(spot: float) -> float:
            return float(np.median(self.misses(spot=spot)[rows]))

        def beside(spot: float) -> float:
            return float(np.mean(self.misses(spot=spot)[rows] > WITHIN))

        if beside(self.spot) <= ALLOWED:
            return self.spot
        near = min(self.spot * (1.0 + np.linspace(-0.004, 0.004, 321)), key=typical)
        fine = np.linspace(-0.00004, 0.00004, 81)
        return float(min([*(self.spot * (1.0 + fine)), *(near * (1.0 + fine))], key=beside))


def chains() -> list[NseChain]:
    files = sorted([*FOLDER.glob("*.json.gz"), *FOLDER.glob("*.json")]) if FOLDER.is_dir() else []
    if not files:
        pytest.skip("no real exchange chain beside the repository")
    return [read(path) for path in files]


def read(path: Path) -> NseChain:
    raw = path.read_bytes()
    document = json.loads(gzip.decompress(raw) if path.suffix == ".gz" else raw)
    return parse(document.get("records", document))


def parse(document: Mapping[str, Any]) -> NseChain:
    """Read an answer of any of the layouts the page has had: expiries stand in each leg, or once in the row."""
    rows = [
        (
            _day(leg.get("expiryDate") or entry.get("expiryDate") or entry["expiryDates"]),
            sign,
            entry,
            entry[side],
        )
        for entry in document["data"]
        for side, sign in (("CE", 1.0), ("PE", -1.0))
        if (leg := entry.get(side)) and leg.get("strikePrice", entry.get("strikePrice"))
    ]
    columns = {name: np.array([_number(leg, names) for *_, leg in rows], np.float64) for name, names in NAMES.items()}
    spot = document.get("underlyingValue") or next(
        leg["underlyingValue"] for *_, leg in rows if leg.get("underlyingValue")
    )
    return NseChain(
        taken_at=_moment(document["timestamp"]),
        spot=float(spot),
        expiry=[expiry for expiry, *_ in rows],
        strike=np.array([float(leg.get("strikePrice") or entry["strikePrice"]) for _, _, entry, leg in rows]),
        sign=np.array([sign for _, sign, *_ in rows]),
        **columns,
    )


def on_its_own_spot(chain: NseChain) -> NseChain:
    """Return the chain with the spot its volatilities were computed with."""
    return replace(chain, spot=chain.tied_spot())


def _number(leg: Mapping[str, Any], names: tuple[str, ...]) -> float:
    value = next((leg[name] for name in names if leg.get(name) is not None), np.nan)
    return float(value) if isinstance(value, int | float) else np.nan


def _day(text: str) -> date:
    return _parsed(text, DAYS).date()


def _moment(text: str) -> datetime:
    return _parsed(text, MOMENTS)


def _parsed(text: str, formats: tuple[str, ...]) -> datetime:
    for form in formats:
        try:
            return datetime.strptime(text, form).replace(tzinfo=IST)
        except ValueError:
            continue
    raise ValueError(f"no known way to write a date: {text!r}")
