"""Candles of an option with the volatility and the Greeks at each close, all of them in one kernel call. No I/O."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Final

import numpy as np
import numpy.typing as npt

from greeks import conventions, kernel
from greeks.conventions import IST, NSE_RATE, ForwardSource, Profile
from greeks.kernel import Bits, Flag, Floats
from market_data.calendar import Calendar
from market_data.intervals import Bar

NEAREST_SECONDS: Final = 300.0
NAN: Final = float("nan")


@dataclass(frozen=True, slots=True)
class Contract:
    """The option whose candles are valued."""

    exchange: str
    strike: float
    sign: float
    expires_at: datetime
    tick: float


@dataclass(frozen=True, slots=True)
class Series:
    """Closes by the moment they stand for, ascending; `expires_at` where they are a future's."""

    at: Floats
    close: Floats
    expires_at: datetime | None = None

    def nearest(self, *, at: Floats) -> tuple[Floats, Floats]:
        """Return the close nearest each moment and how many seconds away it is; NaN beyond five minutes."""
        if not len(self.at):
            return np.full(len(at), NAN), np.full(len(at), NAN)
        after = np.clip(np.searchsorted(self.at, at), 0, len(self.at) - 1)
        before = np.maximum(after - 1, 0)
        place = np.where(np.abs(self.at[before] - at) <= np.abs(self.at[after] - at), before, after)
        away = np.abs(self.at[place] - at)
        usable = away <= NEAREST_SECONDS
        return np.where(usable, self.close[place], NAN), np.where(usable, away, NAN)


@dataclass(frozen=True, slots=True)
class Rates:
    """Dated settings: rates by day, and the dividend yields of one underlying by day."""

    rate: Mapping[date, float]
    dividend: Mapping[date, float]

    def at(self, *, days: Sequence[date]) -> tuple[Floats, Floats]:
        """Return rate and dividend in force on each day; a rate is NaN before the first, a dividend 0."""
        return _in_force(self.rate, days, NAN), _in_force(self.dividend, days, 0.0)


@dataclass(frozen=True, slots=True)
class Enriched:
    """One row a candle: what it was valued with and what came out; NaN where `flags` say why there is nothing."""

    spot: Floats
    underlying_age: Floats
    forward: Floats
    forward_source: npt.NDArray[np.uint8]
    years: Floats
    rate: Floats
    result: kernel.Result
    flags: Bits


def series(*, bars: Sequence[Bar], seconds: float, expires_at: datetime | None = None) -> Series:
    """Return the closes of candles, each traded so many seconds after its candle's start."""
    return Series(
        at=np.array([bar.start_at.timestamp() + seconds for bar in bars], np.float64),
        close=np.array([float(bar.close) for bar in bars], np.float64),
        expires_at=expires_at,
    )


def enrich(  # noqa: PLR0913 (what an option's value hangs on)
    *,
    contract: Contract,
    option: Series,
    spot: Series,
    future: Series | None,
    rates: Rates,
    profile: Profile,
    calendar: Calendar,
) -> Enriched:
    """Value each close of the option with the underlying's close nearest to it.

    The forward comes from the future of the same expiry, else from the nearest future's carry, else from spot.
    """
    at = option.at
    moments = [datetime.fromtimestamp(stamp, IST) for stamp in at]
    rate, dividend = rates.at(days=[moment.date() for moment in moments])
    compat = profile is Profile.NSE_COMPAT
    if compat:
        rate, dividend = np.full(len(at), NSE_RATE), np.zeros(len(at))
    years = years_at(profile=profile, contract=contract, at=at, calendar=calendar)
    level, age = spot.nearest(at=at)
    forward, source, age = _forward(
        contract, at, years, rate, dividend, (level, age), None if profile.on_spot else future
    )
    found = kernel.solve(option.close, forward, contract.strike, years, rate, contract.sign, tick=contract.tick)
    flags = found.flags | np.where(np.isfinite(forward), 0, Flag.NO_FORWARD).astype(np.uint16)
    flags[~np.isfinite(forward)] &= np.uint16(0xFFFF ^ Flag.BAD_INPUT)
    left = contract.expires_at.timestamp() - at
    flags |= np.where((left > 0.0) & (left <= conventions.NEAR_EXPIRY_SECONDS), Flag.NEAR_EXPIRY, 0).astype(np.uint16)
    if profile.on_spot:
        found = kernel.to_spot(result=found, forward=forward, spot=level, t=np.where(years > 0.0, years, NAN))
    return Enriched(level, age, forward, source, years, rate, found, flags)


def years_at(*, profile: Profile, contract: Contract, at: Floats, calendar: Calendar) -> Floats:
    """Return the profile's years to expiry from each moment, 0.0 after it."""
    end = contract.expires_at.timestamp()
    if profile is Profile.NSE_COMPAT:
        last = contract.expires_at.astimezone(IST).date()
        days = [conventions.nse_years(today=datetime.fromtimestamp(stamp, IST).date(), expiry=last) for stamp in at]
        return np.where(at < end, np.array(days, np.float64), 0.0)
    floor = float(conventions.FLOOR_SECONDS)
    if profile is not Profile.FWD_TRD:
        return np.where(at < end, np.maximum(end - at, floor), 0.0) / conventions.YEAR_SECONDS
    if not len(at):
        return at
    first = datetime.fromtimestamp(float(at[0]), IST)
    sessions = calendar.sessions_between(exchange=contract.exchange, start=first, end=contract.expires_at)
    left = np.zeros(len(at))
    for session in sessions:
        left += np.maximum(session.closes.timestamp() - np.maximum(session.opens.timestamp(), at), 0.0)
    return np.where(at < end, np.maximum(left, floor), 0.0) / conventions.TRADING_YEAR_SECONDS


def _forward(  # noqa: PLR0913, PLR0917 (columns of one option's candles)
    contract: Contract,
    at: Floats,
    years: Floats,
    rate: Floats,
    dividend: Floats,
    spot: tuple[Floats, Floats],
    future: Series | None,
) -> tuple[Floats, npt.NDArray[np.uint8], Floats]:
    level, age = spot
    forward = level * np.exp((rate - dividend) * years)
    source = np.where(np.isfinite(forward), ForwardSource.SPOT, ForwardSource.NONE).astype(np.uint8)
    if future is None or future.expires_at is None:
        return forward, source, age
    price, away = future.nearest(at=at)
    known = np.isfinite(price)
    if future.expires_at == contract.expires_at:
        source[known] = ForwardSource.FUTURE
        return np.where(known, price, forward), source, np.where(known, away, age)
    end = future.expires_at.timestamp()
    usable = known & np.isfinite(level) & (end > at)
    with np.errstate(all="ignore"):
        carry = np.log(price / level) * (contract.expires_at.timestamp() - at) / (end - at)
    source[usable] = ForwardSource.CARRY
    return np.where(usable, level * np.exp(carry), forward), source, np.where(usable, np.fmax(away, age), age)


def _in_force(settings: Mapping[date, float], days: Sequence[date], before: float) -> Floats:
    known = sorted(settings)
    values = np.array([before, *(settings[day] for day in known)])
    found: Floats = values[
        np.searchsorted([day.toordinal() for day in known], [day.toordinal() for day in days], "right")
    ]
    return found
