"""NIFTY options from a real NSE option chain: its strikes and expiries, moved to today, its prices at the start."""

from __future__ import annotations

import gzip
import json
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from sandbox.black import implied_total_sigma
from sandbox.instruments import Instrument
from sandbox.prices import Model
from sandbox.universe import INDICES, TokenBook, Universe, future_symbol, option_symbol

NAME, INDEX = "NIFTY", "NIFTY 50"


@dataclass(frozen=True, slots=True)
class Contract:
    """One quoted option of the chain; `price` is the middle of its book, or its last price."""

    expiry: date
    strike: float
    kind: str
    price: float


@dataclass(frozen=True, slots=True)
class Chain:
    """A chain whose dates have been moved so that its stamp is today."""

    spot: float
    contracts: list[Contract]

    @property
    def expiries(self) -> list[date]:
        return sorted({contract.expiry for contract in self.contracts})


def read_chain(path: Path, *, today: date) -> Chain:
    """Read NSE's option-chain JSON, bare or under `records`; expiries keep their distance from its stamp."""
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rt", encoding="utf-8") as handle:
        document = json.load(handle)
    records = document.get("records", document)
    stamped = datetime.strptime(records["timestamp"].split()[0], "%d-%b-%Y").date()  # noqa: DTZ007
    contracts = [
        _contract(row[kind], kind, stamped, today) for row in records["data"] for kind in ("CE", "PE") if kind in row
    ]
    return Chain(float(records["underlyingValue"]), contracts)


def _contract(quote: dict[str, Any], kind: str, stamped: date, today: date) -> Contract:
    expiry = datetime.strptime(quote["expiryDate"], "%d-%b-%Y").date()  # noqa: DTZ007
    moved = today + (expiry - stamped)
    while moved.weekday() > 4:
        moved -= timedelta(days=1)
    bid, ask = float(quote.get("bidprice") or 0), float(quote.get("askPrice") or 0)
    price = (bid + ask) / 2 if bid > 0 and ask > 0 else float(quote.get("lastPrice") or 0)
    return Contract(max(moved, today), float(quote["strikePrice"]), kind, price)


def chain_universe(base: Universe, chain: Chain) -> Universe:
    """Return the universe with NIFTY's options and futures replaced by the chain's."""
    spec = next(one for one in INDICES if one.symbol == INDEX)
    tokens = TokenBook()
    kept = [one for one in base.instruments if not (one.name == NAME and one.expiry is not None)]
    for one in kept:
        tokens.take(one.token)
    last_of_month = {(day.year, day.month): day for day in chain.expiries}
    months = set(last_of_month.values())
    added = [
        Instrument(
            tokens.hashed(symbol=future_symbol(name=NAME, expiry=day), segment="NFO"),
            future_symbol(name=NAME, expiry=day), NAME, "NFO", "NFO-FUT", "FUT", 0.1, spec.lot, chain.spot, INDEX, day,
            freeze_quantity=spec.freeze,
        )
        for day in sorted(months)[:3]
    ]  # fmt: skip
    for contract in sorted(chain.contracts, key=lambda one: (one.expiry, one.strike, one.kind)):
        symbol = option_symbol(
            name=NAME, expiry=contract.expiry, strike=contract.strike, kind=contract.kind,
            monthly=contract.expiry in months,
        )  # fmt: skip
        token = tokens.hashed(symbol=symbol, segment="NFO")
        added.append(
            Instrument(
                token, symbol, NAME, "NFO", "NFO-OPT", contract.kind, 0.05, spec.lot, contract.price, INDEX,
                contract.expiry, contract.strike, freeze_quantity=spec.freeze,
            )
        )  # fmt: skip
    spots = {**base.spots, INDEX: replace(base.spots[INDEX], price=chain.spot)}
    moved = [replace(one, price=chain.spot) if one.tradingsymbol == INDEX else one for one in kept]
    return Universe(instruments=moved + added, spots=spots)


def calibrate(model: Model, *, epoch: float) -> int:
    """Set each quoted option's volatility so that the model starts at the chain's price; return how many fit."""
    universe = model.universe
    rows = np.array(
        [row for row, one in enumerate(universe.instruments) if one.name == NAME and one.is_option and one.price > 0],
        dtype=np.int64,
    )
    if not len(rows):
        return 0
    years = np.maximum((model.expiry_epoch[rows] - epoch) / (365.0 * 86_400.0), 1e-6)
    forward = _forwards(model, rows, years)
    discount = np.exp(-model.carry[model.spot[rows]] * years)
    price = np.array([universe.instruments[row].price for row in rows])
    total = implied_total_sigma(
        price=price, forward=forward, strike=model.strike[rows], discount=discount, is_call=model.is_call[rows]
    )
    sigma = total / np.sqrt(years)
    fits = (sigma > 0.01) & (sigma < 3.0) & (total < 4.9)
    model.fixed_sigma[rows[fits]] = sigma[fits]
    model.forward_shift[rows] = forward - model.level[model.spot[rows]] * np.exp(model.carry[model.spot[rows]] * years)
    return int(fits.sum())


def _forwards(
    model: Model, rows: np.ndarray[tuple[int, ...], np.dtype[np.int64]], years: np.ndarray[Any, np.dtype[np.float64]]
) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Return each option's forward by parity at the strikes nearest the spot, or spot plus carry."""
    spot = float(model.level[model.spot[rows[0]]])
    carry = float(model.carry[model.spot[rows[0]]])
    forward = spot * np.exp(carry * years)
    quotes: dict[tuple[float, float], dict[bool, float]] = {}
    for row in rows.tolist():
        key = (float(model.expiry_epoch[row]), float(model.strike[row]))
        quotes.setdefault(key, {})[bool(model.is_call[row])] = model.universe.instruments[row].price
    for expiry in {key[0] for key in quotes}:
        pairs = [(strike, quote) for (at, strike), quote in quotes.items() if at == expiry and len(quote) == 2]
        nearest = sorted(pairs, key=lambda pair: abs(pair[0] - spot))[:3]
        chosen = model.expiry_epoch[rows] == expiry
        if nearest and abs(nearest[0][0] - spot) < 0.02 * spot:
            grown = np.exp(carry * years[chosen][0])
            implied = [strike + (quote[True] - quote[False]) * grown for strike, quote in nearest]
            forward[chosen] = float(np.median(implied))
    return np.asarray(forward, dtype=np.float64)
