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
    """Forwards read off put-call parity, one row a chain, NaN and 0 strikes where too few are quoted.

    `dispersion` is the median distance from the value, `age` that of the oldest quote behind it.
    """

    value: Floats
    dispersion: Floats
    strikes: npt.NDArray[np.intp]
    age: Floats


@dataclass(frozen=True, slots=True)
class Futures:
    """A traded future of each chain's underlying, NaN where there is none."""

    price: Floats
    years: Floats
    age: Floats


@dataclass(frozen=True, slots=True)
class Forwards:
    """The forward of each chain, with its source and the age in seconds of what it was read from."""

    value: Floats
    source: npt.NDArray[np.uint8]
    age: Floats
    flags: Bits


@dataclass(frozen=True, slots=True)
class ForwardInputs:
    """What is known when forwards are chosen, one row a chain; `kept` is the last good parity forward over its spot."""

    spot: Floats
    spot_age: Floats
    years: Floats
    rate: Floats
    dividend: Floats
    same_expiry: Futures
    nearest: Futures
    parity: Parity
    kept: Floats
    kept_age: Floats


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


def parity_forwards(  # noqa: PLR0913 (columns of many chains)
    *,
    strike: Floats,
    call: Floats,
    put: Floats,
    age: Floats,
    spot: Floats,
    years: Floats,
    rate: Floats,
    rules: Rules = DEFAULT_RULES,
) -> Parity:
    """Return the median of K + exp(rT)(C - P) over the quoted strikes nearest each chain's spot.

    `call` and `put` are narrow mids aligned with `strike`, (chains, strikes), NaN elsewhere, `age` that of the older of
    the two. Without a spot the strikes with the closest call and put stand in for it.
    """
    apart = call - put
    distance = np.where(np.isfinite(spot)[:, None], np.abs(strike - spot[:, None]), np.abs(apart))
    distance[~np.isfinite(apart)] = np.inf
    nearest, usable = _least(distance, rules.parity_strikes)
    implied = np.take_along_axis(strike, nearest, 1) + np.exp(rate * years)[:, None] * np.take_along_axis(
        apart, nearest, 1
    )
    implied[~usable] = np.nan
    quoted = np.count_nonzero(usable, axis=1)
    middle = _medians(implied, quoted)
    enough = quoted >= rules.parity_least
    oldest = np.where(usable, np.take_along_axis(age, nearest, 1), -np.inf).max(axis=1)
    return Parity(
        value=np.where(enough, middle, np.nan),
        dispersion=np.where(enough, _medians(np.abs(implied - middle[:, None]), quoted), np.nan),
        strikes=np.where(enough, quoted, 0),
        age=np.where(enough, oldest, np.nan),
    )


def choose_forwards(*, inputs: ForwardInputs, rules: Rules = DEFAULT_RULES) -> Forwards:
    """Return the best forwards there are: future of the expiry, parity, kept parity, another future's carry, spot."""
    spot, future, nearest, parity = inputs.spot, inputs.same_expiry, inputs.nearest, inputs.parity
    has_spot = np.isfinite(spot) & (spot > 0.0)
    with np.errstate(all="ignore"):
        carry = np.log(nearest.price / spot) / nearest.years
        carried, grown = (spot * np.exp(growth * inputs.years) for growth in (carry, inputs.rate - inputs.dividend))
    choices = (
        (ForwardSource.FUTURE, _live(future, rules), future.price, future.age),
        (ForwardSource.PARITY, agrees(parity=parity, rules=rules), parity.value, parity.age),
        (
            ForwardSource.KEPT_PARITY,
            has_spot & np.isfinite(inputs.kept) & (inputs.kept_age <= rules.kept_seconds),
            inputs.kept * spot,
            inputs.kept_age,
        ),
        (ForwardSource.CARRY, has_spot & _live(nearest, rules), carried, np.maximum(inputs.spot_age, nearest.age)),
        (ForwardSource.SPOT, has_spot, grown, inputs.spot_age),
    )
    when = [usable for _, usable, _, _ in choices]
    source = np.select(when, [np.uint8(each) for each, *_ in choices], np.uint8(ForwardSource.NONE))
    made_of_spot = (source == ForwardSource.CARRY) | (source == ForwardSource.SPOT)
    stale = (source == ForwardSource.KEPT_PARITY) | (made_of_spot & (inputs.spot_age > rules.forward_seconds))
    flags = np.select([stale, source == ForwardSource.NONE], [Flag.STALE_FORWARD, Flag.NO_FORWARD], 0)
    return Forwards(
        value=np.select(when, [value for _, _, value, _ in choices], np.nan),
        source=source,
        age=np.select(when, [age for *_, age in choices], np.nan),
        flags=flags.astype(np.uint16),
    )


def agrees(*, parity: Parity, rules: Rules = DEFAULT_RULES) -> npt.NDArray[np.bool_]:
    """Tell where the strikes behind a parity forward agree closely enough to trust it."""
    return np.asarray(parity.dispersion <= rules.parity_disagreement * parity.value)


def choose_prices(*, quotes: Quotes, mids: Floats | None = None, rules: Rules = DEFAULT_RULES) -> Prices:
    """Return the mid of a live, narrow market; else a recent trade inside it; else the last trade, marked stale.

    `mids` are the narrow mids of the quotes where they are known already.
    """
    last = quotes.last
    mid = narrow_mids(quotes=quotes, rules=rules) if mids is None else mids
    narrow = np.isfinite(mid)
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


def _least(distance: Floats, count: int) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.bool_]]:
    """Return the places of each row's least values, of equals the first, and which of them are finite."""
    count, rows = min(count, distance.shape[1]), np.arange(len(distance))
    places = np.empty((len(distance), count), np.intp)
    finite = np.empty(places.shape, np.bool_)
    for number in range(count):
        found = places[:, number] = distance.argmin(axis=1)
        finite[:, number] = np.isfinite(distance[rows, found])
        distance[rows, found] = np.inf
    return places, finite


def _medians(values: Floats, known: npt.NDArray[np.intp]) -> Floats:
    """Return each row's median over its `known` numbers; the rest are NaN, which sort last."""
    ordered, rows = np.sort(values, axis=1), np.arange(len(values))
    return np.asarray(0.5 * (ordered[rows, (known - 1) // 2] + ordered[rows, known // 2]))


def _live(future: Futures, rules: Rules) -> npt.NDArray[np.bool_]:
    return np.asarray((future.price > 0.0) & (future.age <= rules.forward_seconds))
