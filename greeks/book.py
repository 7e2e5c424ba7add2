"""Greeks of positions: sums over legs that are priced, a list of those that are not, and what moves would do. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from greeks import kernel
from greeks.kernel import DAYS_PER_YEAR, FATAL, Flag, Floats
from greeks.store import Chain, ChainKey

REFERENCE_DAYS: Final = 30
NO_CHAIN: Final = "no_live_chain"
LEAST_IV: Final = 0.001
NOT_PRICED: Final = FATAL | Flag.NO_PRICE | Flag.NO_FORWARD


@dataclass(frozen=True, slots=True)
class Position:
    """A holding of one option; quantity in units (not lots), negative when short."""

    instrument_token: int
    key: ChainKey
    quantity: int


@dataclass(frozen=True, slots=True)
class Unpriced:
    """A position missing from every sum, and why."""

    position: Position
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Totals:
    """Sums over one underlying's priced legs.

    delta in units and in rupees per 100 % move, gamma in rupees for a 1 % move (half gamma times the square), theta in
    rupees a calendar day, vega in rupees a point and weighted to 30 days by the root of time.
    """

    value: float
    delta_units: float
    delta_rupees: float
    gamma_one_percent: float
    theta: float
    vega: float
    vega_weighted: float
    rho: float
    legs: int


@dataclass(frozen=True, slots=True)
class Legs:
    """Priced legs of one underlying as columns."""

    quantity: Floats
    price: Floats
    forward: Floats
    strike: Floats
    years: Floats
    rate: Floats
    sign: Floats
    iv: Floats

    def __len__(self) -> int:
        return len(self.quantity)


def collect(
    *, positions: Sequence[Position], chains: Mapping[ChainKey, Chain]
) -> tuple[dict[str, Legs], list[Unpriced]]:
    """Return the priced legs by underlying, and every position that has no volatility."""
    found: dict[str, list[tuple[float, ...]]] = {}
    unpriced: list[Unpriced] = []
    for position in positions:
        chain = chains.get(position.key)
        row = _row(chain, position.instrument_token) if chain is not None else None
        if chain is None or row is None:
            unpriced.append(Unpriced(position, (NO_CHAIN,)))
        elif not np.isfinite(row["iv"]):
            unpriced.append(Unpriced(position, _reasons(int(row["flags"]))))
        else:
            found.setdefault(position.key.underlying, []).append(_leg(position, chain, row))
    return {name: Legs(*np.array(rows, np.float64).T) for name, rows in sorted(found.items())}, unpriced


def totals(*, legs: Legs) -> Totals:
    """Return the sums of one underlying's legs."""
    found = kernel.greeks(legs.forward, legs.strike, legs.years, legs.rate, legs.sign, legs.iv)
    held = legs.quantity
    root = np.sqrt(REFERENCE_DAYS / DAYS_PER_YEAR / legs.years)
    return Totals(
        value=_sum(held * legs.price),
        delta_units=_sum(held * found.delta),
        delta_rupees=_sum(held * found.delta * legs.forward),
        gamma_one_percent=_sum(held * 0.5 * found.gamma * (0.01 * legs.forward) ** 2),
        theta=_sum(held * found.theta),
        vega=_sum(held * found.vega),
        vega_weighted=_sum(held * found.vega * root),
        rho=_sum(held * found.rho),
        legs=len(legs),
    )


def scenarios(*, legs: Legs, spot_moves: Floats, vol_moves: Floats, days: Floats) -> Floats:
    """Return profit in rupees by (spot move, volatility move, days gone), all three at once.

    Spot moves are fractions and carry the forward with them, volatility moves are points, days are calendar days. A leg
    past its expiry is worth its intrinsic value.
    """
    shape = (len(spot_moves), len(vol_moves), len(days), len(legs))
    forward = _tiled(legs.forward * (1.0 + spot_moves[:, None, None, None]), shape)
    iv = _tiled(np.maximum(legs.iv + vol_moves[None, :, None, None] / kernel.POINTS, LEAST_IV), shape)
    years = _tiled(np.maximum(legs.years - days[None, None, :, None] / DAYS_PER_YEAR, 0.0), shape)
    strike, rate, sign = (_tiled(column, shape) for column in (legs.strike, legs.rate, legs.sign))
    found = kernel.greeks(forward, strike, years, rate, sign, iv)
    value = np.where(found.flags == Flag.EXPIRED, found.intrinsic, found.intrinsic + found.time_value)
    today = kernel.price(legs.forward, legs.strike, legs.years, legs.rate, legs.sign, legs.iv)
    profit: Floats = ((value.reshape(shape) - today) * legs.quantity).sum(axis=-1)
    return profit


def _row(chain: Chain, token: int) -> np.void | None:
    places = np.flatnonzero(chain.rows["instrument_token"] == token)
    return chain.rows[places[0]] if len(places) else None


def _leg(position: Position, chain: Chain, row: np.void) -> tuple[float, ...]:
    return (
        float(position.quantity),
        float(row["price"]),
        chain.value("forward"),
        float(row["strike"]),
        chain.value("years"),
        chain.value("rate"),
        float(row["sign"]),
        float(row["iv"]),
    )


def _reasons(bits: int) -> tuple[str, ...]:
    return tuple(str(flag.name).lower() for flag in Flag if bits & flag & NOT_PRICED)


def _sum(values: Floats) -> float:
    return float(values.sum())


def _tiled(values: Floats, shape: tuple[int, ...]) -> Floats:
    return np.broadcast_to(values, shape).ravel()
