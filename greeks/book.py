"""Greeks of positions: sums over legs that are priced, a list of those that are not, and what moves would do. Pure."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final

import numpy as np

from greeks import kernel
from greeks.kernel import DAYS_PER_YEAR, FATAL, Flag, Floats
from greeks.store import Chain, ChainKey

REFERENCE_DAYS: Final = 30
NO_CHAIN: Final = "no_live_chain"
LEAST_IV: Final = 0.001
NOT_PRICED: Final = FATAL | Flag.NO_PRICE | Flag.NO_FORWARD
NEVER: Final = date.max
LEG_COLUMNS: Final = ("quantity", "price", "forward", "strike", "years", "rate", "sign", "iv", "lot", "linear")


@dataclass(frozen=True, slots=True)
class Position:
    """A holding of one instrument; quantity in units (not lots), negative when short.

    What is `linear`, a future or a share, needs a price and moves one for one with its underlying; the key of a share
    expires NEVER.
    """

    instrument_token: int
    key: ChainKey
    quantity: float
    linear: bool = False
    price: float = float("nan")
    lot_size: int = 1
    account: str = ""
    group: str = ""
    strategy: str = ""


GROUPINGS: Final[Mapping[str, Callable[[Position], str]]] = {
    "underlying": lambda position: position.key.underlying,
    "expiry": lambda position: "" if position.key.expiry == NEVER else position.key.expiry.isoformat(),
    "account": lambda position: position.account,
    "group": lambda position: position.group,
    "strategy": lambda position: position.strategy,
}


@dataclass(frozen=True, slots=True)
class Unpriced:
    """A position missing from every sum, and why."""

    position: Position
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Totals:
    """Sums over the priced legs of one group.

    value is the premium of the options. delta in units, in lots, and in rupees per 100 % move, gamma in rupees for a
    1 % move (half gamma times the square), theta in rupees a calendar day, vega in rupees a point and weighted to 30
    days by the root of time. Units and lots of several underlyings do not add up, and are NaN.
    """

    value: float
    delta_units: float
    delta_lots: float
    delta_rupees: float
    gamma_one_percent: float
    theta: float
    vega: float
    vega_weighted: float
    rho: float
    legs: int


@dataclass(frozen=True, slots=True)
class Legs:
    """Priced legs of one group as columns; `linear` is 1 for what is no option, and then only forward counts."""

    quantity: Floats
    price: Floats
    forward: Floats
    strike: Floats
    years: Floats
    rate: Floats
    sign: Floats
    iv: Floats
    lot: Floats
    linear: Floats
    underlyings: frozenset[str]

    def __len__(self) -> int:
        return len(self.quantity)


def collect(
    *, positions: Sequence[Position], chains: Mapping[ChainKey, Chain], by: str = "underlying"
) -> tuple[dict[str, Legs], list[Unpriced]]:
    """Return the priced legs by group, one of GROUPINGS, and every option that has no volatility."""
    name_of = GROUPINGS[by]
    found: dict[str, list[tuple[float, ...]]] = {}
    underlyings: dict[str, set[str]] = {}
    unpriced: list[Unpriced] = []
    for position in positions:
        leg = _linear_leg(position) if position.linear else _option_leg(position, chains)
        if isinstance(leg, Unpriced):
            unpriced.append(leg)
            continue
        found.setdefault(name_of(position), []).append(leg)
        underlyings.setdefault(name_of(position), set()).add(position.key.underlying)
    return {name: _legs(rows, underlyings[name]) for name, rows in sorted(found.items())}, unpriced


def totals(*, legs: Legs) -> Totals:
    """Return the sums of one group's legs."""
    found = kernel.greeks(legs.forward, legs.strike, legs.years, legs.rate, legs.sign, legs.iv)
    linear = legs.linear > 0.0
    delta = np.where(linear, 1.0, found.delta)
    gamma, theta, vega, rho = (
        np.where(linear, 0.0, column) for column in (found.gamma, found.theta, found.vega, found.rho)
    )
    held = legs.quantity
    root = np.sqrt(REFERENCE_DAYS / DAYS_PER_YEAR / legs.years)
    one = len(legs.underlyings) == 1
    return Totals(
        value=_sum(held * np.where(linear, 0.0, legs.price)),
        delta_units=_sum(held * delta) if one else float("nan"),
        delta_lots=_sum(held * delta / legs.lot) if one else float("nan"),
        delta_rupees=_sum(held * delta * legs.forward),
        gamma_one_percent=_sum(held * 0.5 * gamma * (0.01 * legs.forward) ** 2),
        theta=_sum(held * theta),
        vega=_sum(held * vega),
        vega_weighted=_sum(held * vega * root),
        rho=_sum(held * rho),
        legs=len(legs),
    )


def scenarios(*, legs: Legs, spot_moves: Floats, vol_moves: Floats, days: Floats) -> Floats:
    """Return profit in rupees by (spot move, volatility move, days gone), all three at once.

    Spot moves are fractions and carry the forward with them, volatility moves are points, days are calendar days. A leg
    past its expiry is worth its intrinsic value; one that is no option moves with the spot alone.
    """
    shape = (len(spot_moves), len(vol_moves), len(days), len(legs))
    forward = _tiled(legs.forward * (1.0 + spot_moves[:, None, None, None]), shape)
    iv = _tiled(np.maximum(legs.iv + vol_moves[None, :, None, None] / kernel.POINTS, LEAST_IV), shape)
    years = _tiled(np.maximum(legs.years - days[None, None, :, None] / DAYS_PER_YEAR, 0.0), shape)
    strike, rate, sign = (_tiled(column, shape) for column in (legs.strike, legs.rate, legs.sign))
    found = kernel.greeks(forward, strike, years, rate, sign, iv)
    value = np.where(found.flags == Flag.EXPIRED, found.intrinsic, found.intrinsic + found.time_value)
    today = kernel.price(legs.forward, legs.strike, legs.years, legs.rate, legs.sign, legs.iv)
    moved = legs.forward * spot_moves[:, None, None, None]
    gain = np.where(legs.linear > 0.0, moved, value.reshape(shape) - today)
    profit: Floats = (gain * legs.quantity).sum(axis=-1)
    return profit


def _legs(rows: Sequence[tuple[float, ...]], underlyings: Collection[str]) -> Legs:
    columns = dict(zip(LEG_COLUMNS, np.array(rows, np.float64).T, strict=True))
    return Legs(**columns, underlyings=frozenset(underlyings))


def _option_leg(position: Position, chains: Mapping[ChainKey, Chain]) -> tuple[float, ...] | Unpriced:
    chain = chains.get(position.key)
    row = _row(chain, position.instrument_token) if chain is not None else None
    if chain is None or row is None:
        return Unpriced(position, (NO_CHAIN,))
    if not np.isfinite(row["iv"]):
        return Unpriced(position, _reasons(int(row["flags"])))
    return _leg(position, chain, row)


def _linear_leg(position: Position) -> tuple[float, ...] | Unpriced:
    price = position.price
    if not (np.isfinite(price) and price > 0.0):
        return Unpriced(position, (str(Flag.NO_PRICE.name).lower(),))
    return (position.quantity, price, price, price, 1.0, 0.0, 1.0, 1.0, float(position.lot_size), 1.0)


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
        max(float(chain.header["lot_size"]), 1.0),
        0.0,
    )


def _reasons(bits: int) -> tuple[str, ...]:
    return tuple(str(flag.name).lower() for flag in Flag if bits & flag & NOT_PRICED)


def _sum(values: Floats) -> float:
    return float(values.sum())


def _tiled(values: Floats, shape: tuple[int, ...]) -> Floats:
    return np.broadcast_to(values, shape).ravel()
