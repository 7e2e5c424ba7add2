"""Real option-chain answers of the exchange, read where they lie; nothing of them is kept in the repository."""

import gzip
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from greeks import kernel
from greeks.conventions import (
    IST,
    NSE_RATE,
    Quotes,
    agrees,
    calendar_years,
    choose_prices,
    expiry_instant,
    narrow_mids,
    nse_years,
    parity_forwards,
)
from greeks.kernel import Floats

FOLDER = Path(__file__).resolve().parents[2].parent / "shared" / "nse-chain"
WITHIN = 0.01
LEAST_SHARE = 0.98
# Median |IV call - IV put| in points within NEAR of the spot under the default profile, and how many it takes to judge.
MOST_GAP = 0.5
LEAST_GAPS = 20
NEAR = 0.02
RATE = 0.065
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

        if not len(rows) or beside(self.spot) <= 1.0 - LEAST_SHARE:
            return self.spot
        near = min(self.spot * (1.0 + np.linspace(-0.004, 0.004, 321)), key=typical)
        fine = np.linspace(-0.00004, 0.00004, 81)
        return float(min([*(self.spot * (1.0 + fine)), *(near * (1.0 + fine))], key=beside))

    def judged(self) -> tuple[float, Floats]:
        """Return the spot the page is tied to, and the misses; a fitted spot is judged on rows it was not fitted on."""
        spot, published = self.tied_spot(), np.flatnonzero(self.published())
        rows = published if spot == self.spot else published[1::2]
        return spot, self.misses(spot=spot)[rows]


def files() -> list[Path]:
    return sorted([*FOLDER.glob("*.json.gz"), *FOLDER.glob("*.json")])


def chains() -> list[NseChain]:
    found = files()
    if not found:
        pytest.skip("no real exchange chain beside the repository")
    return [read(path) for path in found]


def read(path: Path) -> NseChain:
    raw = path.read_bytes()
    document = json.loads(gzip.decompress(raw) if path.suffix == ".gz" else raw)
    return parse(document.get("records") or document.get("filtered") or document)


def parse(document: Mapping[str, Any]) -> NseChain:
    """Read an answer of any of the layouts the page has had: expiries stand in each leg, or once in the row.

    Raises ValueError where what the judgement needs is missing.
    """
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
    if not rows:
        raise ValueError("no option stands in the page")
    columns = {name: np.array([_number(leg, names) for *_, leg in rows], np.float64) for name, names in NAMES.items()}
    spots = [document.get("underlyingValue"), *(leg.get("underlyingValue") for *_, leg in rows)]
    spot = next(filter(None, spots), None)
    if spot is None or document.get("timestamp") is None:
        raise ValueError(f"the page has no {'underlyingValue' if spot is None else 'timestamp'}")
    return NseChain(
        taken_at=_moment(document["timestamp"]),
        spot=float(spot),
        expiry=[expiry for expiry, *_ in rows],
        strike=np.array([float(leg.get("strikePrice") or entry["strikePrice"]) for _, _, entry, leg in rows]),
        sign=np.array([sign for _, sign, *_ in rows]),
        **columns,
    )


def call_put_gaps(chain: NseChain, *, on_spot: bool = False) -> Floats:
    """Return |IV call - IV put| in points within 2 % of the spot; none of an expiry whose parity strikes disagree."""
    return np.concatenate([_gaps(chain, expiry, on_spot=on_spot) for expiry in sorted(set(chain.expiry))])


def _gaps(chain: NseChain, expiry: date, *, on_spot: bool) -> Floats:
    strike = np.unique(chain.strike[chain.of(expiry)])
    quotes = {sign: _side_quotes(chain, expiry, strike, sign) for sign in (1.0, -1.0)}
    t = calendar_years(now=chain.taken_at, expires_at=expiry_instant(expiry=expiry, exchange="NFO"))
    call, put = (narrow_mids(quotes=quotes[sign]) for sign in (1.0, -1.0))
    parity = parity_forwards(
        strike=strike[None],
        call=call[None],
        put=put[None],
        age=np.zeros((1, len(strike))),
        spot=np.array([chain.spot]),
        years=np.array([t]),
        rate=np.array([RATE]),
    )
    if not agrees(parity=parity)[0]:
        return np.array([])
    forward = chain.spot if on_spot else parity.value[0]
    ivs = [
        kernel.solve(choose_prices(quotes=quotes[sign]).value, forward, strike, t, RATE, sign, tick=0.05).iv
        for sign in (1.0, -1.0)
    ]
    gaps = 100.0 * np.abs(ivs[0] - ivs[1])[np.abs(strike / chain.spot - 1.0) < NEAR]
    found: Floats = gaps[np.isfinite(gaps)]
    return found


def _side_quotes(chain: NseChain, expiry: date, strike: Floats, sign: float) -> Quotes:
    rows = np.flatnonzero(chain.of(expiry) & (chain.sign == sign))
    place = np.searchsorted(strike, chain.strike[rows])

    def aligned(values: Floats) -> Floats:
        column = np.full(len(strike), np.nan)
        column[place] = values[rows]
        return column

    return Quotes(
        bid=aligned(chain.bid),
        ask=aligned(chain.ask),
        last=aligned(np.where(chain.volume > 0.0, chain.last, np.nan)),
        quote_age=np.zeros(len(strike)),
        trade_age=np.full(len(strike), 120.0),
        tick=np.full(len(strike), 0.05),
    )


def _number(leg: Mapping[str, Any], names: tuple[str, ...]) -> float:
    value = next((leg[name] for name in names if leg.get(name) is not None), np.nan)
    if isinstance(value, str):
        value = value.replace(",", "").strip()
    try:
        return float(value)
    except ValueError:
        return np.nan


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
