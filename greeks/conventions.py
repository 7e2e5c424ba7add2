"""The choices behind a volatility as data: profile, time, forward, price. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, time
from enum import IntEnum, StrEnum
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt

from greeks.kernel import Bits, Flag, Floats

IST = ZoneInfo("Asia/Kolkata")
YEAR_SECONDS = 365 * 86_400
TRADING_YEAR_SECONDS = 252 * 22_500
FLOOR_SECONDS = 60
NEAR_EXPIRY_SECONDS = 1_800
NSE_RATE = 0.10

EXPIRY_TIMES = {
    "NFO": time(15, 30),
    "BFO": time(15, 30),
    "MCX": time(23, 30),
    "CDS": time(12, 30),
    "BCD": time(12, 30),
}


class Profile(StrEnum):
    """A named set of choices, stored with every result."""

    FWD_CAL = "fwd_cal"
    FWD_TRD = "fwd_trd"
    NSE_COMPAT = "nse_compat"
    SPOT_BSM = "spot_bsm"

    @property
    def on_spot(self) -> bool:
        return self in {Profile.NSE_COMPAT, Profile.SPOT_BSM}

    @property
    def code(self) -> int:
        return list(Profile).index(self)


class ForwardSource(IntEnum):
    """Where a forward came from, best first."""

    NONE = 0
    FUTURE = 1
    PARITY = 2
    CARRY = 3
    SPOT = 4
    KEPT_PARITY = 5
    GIVEN = 6


class PriceSource(IntEnum):
    """Which price an option was valued at."""

    NONE = 0
    MID = 1
    LAST = 2
    STALE = 3


@dataclass(frozen=True, slots=True)
class Rules:
    """Limits of the price and forward choice."""

    quote_seconds: float = 30.0
    trade_seconds: float = 60.0
    forward_seconds: float = 60.0
    spread_fraction: float = 0.10
    spread_ticks: float = 2.0
    parity_strikes: int = 6
    parity_least: int = 4
    parity_disagreement: float = 0.0005
    kept_seconds: float = 900.0


DEFAULT_RULES = Rules()


@dataclass(frozen=True, slots=True)
class Prices:
    """The price each option is valued at, its source, its age in seconds and what to hold against it."""

    value: Floats
    source: npt.NDArray[np.uint8]
    age: Floats
    flags: Bits


@dataclass(frozen=True, slots=True)
class Quotes:
    """Market columns of one or many chains, one row per option; NaN where a value is unknown."""

    bid: Floats
    ask: Floats
    last: Floats
    quote_age: Floats
    trade_age: Floats
    tick: Floats


@dataclass(frozen=True, slots=True)
class Parity:
    """A forward read off put-call parity; dispersion is the median distance from it, age that of the oldest quote."""

    value: float
    dispersion: float
    strikes: int
    age: float = 0.0


@dataclass(frozen=True, slots=True)
class Future:
    """A traded future of the same underlying."""

    price: float
    years: float
    age: float


@dataclass(frozen=True, slots=True)
class Forward:
    """The forward of one underlying and expiry, with its source and the age of what it was read from."""

    value: float
    source: ForwardSource
    age: float
    flags: int = 0


@dataclass(frozen=True, slots=True)
class ForwardInputs:
    """What is known when a forward is chosen; `kept` is the last accepted parity forward divided by its spot."""

    spot: float
    spot_age: float
    years: float
    rate: float
    dividend: float = 0.0
    same_expiry: Future | None = None
    nearest: Future | None = None
    parity: Parity | None = None
    kept: float | None = None
    kept_age: float = 0.0


def expiry_instant(*, expiry: date, exchange: str) -> datetime:
    """Return the moment an option of this exchange stops living, in India's time."""
    return datetime.combine(expiry, EXPIRY_TIMES[exchange], tzinfo=IST)


def calendar_years(*, now: datetime, expires_at: datetime) -> float:
    """Return elapsed-time years to expiry, at least a minute while the option lives and 0.0 after."""
    seconds = (expires_at - now).total_seconds()
    return max(seconds, FLOOR_SECONDS) / YEAR_SECONDS if seconds > 0 else 0.0


def trading_years(*, now: datetime, expires_at: datetime, sessions: Iterable[tuple[datetime, datetime]]) -> float:
    """Return open-market years to expiry: session seconds left over 252 days of 6 h 15 min."""
    if expires_at <= now:
        return 0.0
    left = sum(
        max((min(closes_at, expires_at) - max(opens_at, now)).total_seconds(), 0.0) for opens_at, closes_at in sessions
    )
    return max(left, FLOOR_SECONDS) / TRADING_YEAR_SECONDS


def nse_years(*, today: date, expiry: date) -> float:
    """Return whole days to expiry over 365, never less than one day: what the exchange's page uses all day long."""
    return max((expiry - today).days, 1) / 365.0


def near_expiry(*, now: datetime, expires_at: datetime) -> bool:
    return 0 < (expires_at - now).total_seconds() <= NEAR_EXPIRY_SECONDS


def parity_forward(  # noqa: PLR0913 (columns of one chain)
    *,
    strike: Floats,
    call: Floats,
    put: Floats,
    age: Floats,
    spot: float,
    years: float,
    rate: float,
    rules: Rules = DEFAULT_RULES,
) -> Parity | None:
    """Return the median of K + exp(rT)(C - P) over the quoted strikes nearest the spot, None when too few are quoted.

    `call` and `put` are narrow mids aligned with `strike`, NaN elsewhere, `age` that of the older of the two. Without a
    spot the strikes with the closest call and put stand in for it.
    """
    usable = np.flatnonzero(np.isfinite(call) & np.isfinite(put))
    if len(usable) < rules.parity_least:
        return None
    distance = np.abs(strike - spot) if np.isfinite(spot) else np.abs(call - put)
    nearest = usable[np.argsort(distance[usable], kind="stable")][: rules.parity_strikes]
    implied = strike[nearest] + np.exp(rate * years) * (call[nearest] - put[nearest])
    middle = _median(implied)
    return Parity(
        value=middle,
        dispersion=_median(np.abs(implied - middle)),
        strikes=len(nearest),
        age=float(np.max(age[nearest])),
    )


def choose_forward(*, inputs: ForwardInputs, rules: Rules = DEFAULT_RULES) -> Forward:
    """Return the best forward there is: future of the expiry, parity, kept parity, another future's carry, spot."""
    spot, years = inputs.spot, inputs.years
    has_spot = bool(np.isfinite(spot) and spot > 0.0)
    old_spot = int(Flag.STALE_FORWARD) if inputs.spot_age > rules.forward_seconds else 0
    if inputs.same_expiry is not None and _live(inputs.same_expiry, rules):
        return Forward(inputs.same_expiry.price, ForwardSource.FUTURE, inputs.same_expiry.age)
    if inputs.parity is not None and agrees(parity=inputs.parity, rules=rules):
        return Forward(inputs.parity.value, ForwardSource.PARITY, inputs.parity.age)
    if has_spot and inputs.kept is not None and inputs.kept_age <= rules.kept_seconds:
        return Forward(inputs.kept * spot, ForwardSource.KEPT_PARITY, inputs.kept_age, Flag.STALE_FORWARD)
    if has_spot and inputs.nearest is not None and _live(inputs.nearest, rules):
        carry = np.log(inputs.nearest.price / spot) / inputs.nearest.years
        age = max(inputs.spot_age, inputs.nearest.age)
        return Forward(float(spot * np.exp(carry * years)), ForwardSource.CARRY, age, old_spot)
    if has_spot:
        value = float(spot * np.exp((inputs.rate - inputs.dividend) * years))
        return Forward(value, ForwardSource.SPOT, inputs.spot_age, old_spot)
    return Forward(float("nan"), ForwardSource.NONE, float("nan"), Flag.NO_FORWARD)


def agrees(*, parity: Parity, rules: Rules = DEFAULT_RULES) -> bool:
    """Tell whether the strikes behind a parity forward agree closely enough to trust it."""
    return parity.dispersion <= rules.parity_disagreement * parity.value


def choose_prices(*, quotes: Quotes, rules: Rules = DEFAULT_RULES) -> Prices:
    """Return the mid of a live, narrow market; else a recent trade inside it; else the last trade, marked stale."""
    last = quotes.last
    mid = narrow_mids(quotes=quotes, rules=rules)
    narrow = np.isfinite(mid)
    with np.errstate(invalid="ignore"):
        live = (quotes.bid > 0.0) & (quotes.ask >= quotes.bid) & (quotes.quote_age <= rules.quote_seconds)
        inside = ~live | ((last >= quotes.bid) & (last <= quotes.ask))
        traded = last > 0.0
        recent = traded & (quotes.trade_age <= rules.trade_seconds) & inside
    source = np.select(
        [narrow, recent, traded], [PriceSource.MID, PriceSource.LAST, PriceSource.STALE], default=PriceSource.NONE
    )
    flags = np.select([source == PriceSource.STALE, source == PriceSource.NONE], [Flag.STALE_PRICE, Flag.NO_PRICE], 0)
    flags |= np.where(live & ~narrow, Flag.WIDE_SPREAD, 0)
    return Prices(
        value=np.where(narrow, mid, np.where(traded, last, np.nan)),
        source=source.astype(np.uint8),
        age=np.where(narrow, quotes.quote_age, np.where(traded, quotes.trade_age, np.nan)),
        flags=flags.astype(np.uint16),
    )


def narrow_mids(*, quotes: Quotes, rules: Rules = DEFAULT_RULES) -> Floats:
    """Return the mid where both sides are live and close, NaN elsewhere; put-call parity is read from these alone."""
    with np.errstate(invalid="ignore"):
        mid = 0.5 * (quotes.bid + quotes.ask)
        allowed = np.maximum(rules.spread_fraction * mid, rules.spread_ticks * quotes.tick) * (1.0 + 1e-9)
        live = (quotes.bid > 0.0) & (quotes.ask >= quotes.bid) & (quotes.quote_age <= rules.quote_seconds)
        close = quotes.ask - quotes.bid <= allowed
    return np.where(live & close, mid, np.nan)


def _median(few: Floats) -> float:
    """Half a dozen numbers: numpy's own median spends most of its time on what they might be."""
    ordered = sorted(map(float, few))
    half = len(ordered) // 2
    return ordered[half] if len(ordered) % 2 else 0.5 * (ordered[half - 1] + ordered[half])


def _live(future: Future, rules: Rules) -> bool:
    return future.price > 0.0 and future.age <= rules.forward_seconds
