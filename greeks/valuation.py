"""What every chain is valued with, and its options' sensitivities in one kernel call. No I/O."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import numpy as np
import numpy.typing as npt

from greeks import conventions, kernel
from greeks.conventions import IST, NSE_RATE, ForwardInputs, Forwards, Futures, Parity, Prices, Profile
from greeks.kernel import Bits, Flag, Floats
from greeks.layout import ChainSlot, Layout, Places
from greeks.market import Market
from market_data.trading_days import read_calendar

NAN: Final = float("nan")
COPYABLE: Final = Flag.NO_TIME_VALUE | Flag.BELOW_INTRINSIC
EXPLAINED: Final = Flag.NO_PRICE | Flag.NO_FORWARD


@dataclass(frozen=True, slots=True)
class Kept:
    """The last good parity forward of each chain, divided by its spot, and when it was found; NaN before the first."""

    ratio: Floats
    at: Floats


@dataclass(frozen=True, slots=True)
class Terms:
    """What each chain is valued with, one row a chain."""

    forward: Forwards
    spot: Floats
    spot_age: Floats
    years: Floats
    rate: Floats
    parity: Parity
    flags: Bits


@dataclass(frozen=True, slots=True)
class Rates:
    """What the chains of a layout have of the settings, one row a chain, and the rows they are priced with."""

    rate: Floats
    dividend: Floats
    on_spot: npt.NDArray[np.bool_]
    index: Places
    same_expiry: Places
    nearest: Places


def rates_of(*, slots: Sequence[ChainSlot], rate: float) -> Rates:
    """Return the chains' columns; `rate` is the configured one, which the exchange's profile does not follow."""
    compat = np.array([slot.profile is Profile.NSE_COMPAT for slot in slots], np.bool_)
    return Rates(
        rate=np.where(compat, NSE_RATE, rate),
        dividend=np.where(compat, 0.0, np.array([slot.dividend for slot in slots], np.float64)),
        on_spot=np.array([slot.profile.on_spot for slot in slots], np.bool_),
        index=np.array([slot.index for slot in slots], np.intp),
        same_expiry=np.array([slot.same_expiry for slot in slots], np.intp),
        nearest=np.array([slot.nearest for slot in slots], np.intp),
    )


def years_of(*, profile: Profile, exchange: str, expires_at: datetime, now: datetime) -> float:
    """Return the time to expiry in the profile's own years, 0.0 after it."""
    if profile is Profile.NSE_COMPAT:
        days = conventions.nse_years(today=now.astimezone(IST).date(), expiry=expires_at.astimezone(IST).date())
        return days if now < expires_at else 0.0
    if profile is not Profile.FWD_TRD:
        return conventions.calendar_years(now=now, expires_at=expires_at)
    calendar = read_calendar(since=now.astimezone(IST).date(), until=expires_at.astimezone(IST).date())
    left = calendar.sessions_between(exchange=exchange, start=now, end=expires_at)
    sessions = [(session.opens, session.closes) for session in left]
    return conventions.trading_years(now=now, expires_at=expires_at, sessions=sessions)


def terms_of(*, plan: Layout, rates: Rates, market: Market, kept: Kept, now: datetime) -> Terms:
    """Return what each chain is valued with at this moment."""
    quotes, stamp = market.quotes, now.timestamp()
    years = _by_clock(plan.slots, now)
    spot, spot_age = quotes.last[rates.index], quotes.quote_age[rates.index]
    inputs = ForwardInputs(
        spot=spot,
        spot_age=spot_age,
        years=years,
        rate=rates.rate,
        dividend=rates.dividend,
        same_expiry=_futures(rates.same_expiry, [slot.expires_at for slot in plan.slots], rates, market, now),
        nearest=_futures(rates.nearest, [slot.nearest_expires_at for slot in plan.slots], rates, market, now),
        parity=_parity(plan, rates, market, years),
        kept=np.where(rates.on_spot, NAN, kept.ratio),
        kept_age=stamp - kept.at,
    )
    forward = conventions.choose_forwards(inputs=inputs)
    return Terms(
        forward, spot, spot_age, years, rates.rate, inputs.parity, forward.flags | _near_expiry(plan.slots, now)
    )


def remember(*, kept: Kept, terms: Terms, now: datetime) -> Kept:
    """Return the parity forwards worth remembering after this beat."""
    good = (terms.spot > 0.0) & conventions.agrees(parity=terms.parity)
    with np.errstate(all="ignore"):
        ratio = terms.parity.value / terms.spot
    return Kept(np.where(good, ratio, kept.ratio), np.where(good, now.timestamp(), kept.at))


def solve(
    *, plan: Layout, rates: Rates, prices: Prices, terms: Terms, out: kernel.Result | None = None
) -> tuple[kernel.Result, Bits]:
    """Return the sensitivities of every option in one kernel call, and all flags with those of prices and forwards."""
    options, lengths = slice(plan.options), plan.lengths
    forward, t, r = (np.repeat(column, lengths) for column in (terms.forward.value, terms.years, terms.rate))
    result = kernel.solve(
        prices.value[options], forward, plan.strike, t, r, plan.sign, tick=plan.tick[options], out=out
    )
    _copy_through_parity(plan, result, forward, t, r)
    if rates.on_spot.any():
        spot = np.repeat(np.where(rates.on_spot, terms.spot, terms.forward.value), lengths)
        result = kernel.to_spot(result=result, forward=forward, spot=spot, t=t)
    flags = result.flags | prices.flags[options] | np.repeat(terms.flags, lengths)
    explained = (flags & EXPLAINED) != 0
    flags[explained] &= np.uint16(0xFFFF ^ Flag.BAD_INPUT)
    return result, flags


def _by_clock(slots: Sequence[ChainSlot], now: datetime) -> Floats:
    """Return each chain's years; chains of one profile, exchange and expiry share them."""
    clocks = [(slot.profile, slot.exchange, slot.expires_at) for slot in slots]
    years = {
        clock: years_of(profile=clock[0], exchange=clock[1], expires_at=clock[2], now=now) for clock in set(clocks)
    }
    return np.array([years[clock] for clock in clocks], np.float64)


def _near_expiry(slots: Sequence[ChainSlot], now: datetime) -> Bits:
    near = {end: conventions.near_expiry(now=now, expires_at=end) for end in {slot.expires_at for slot in slots}}
    return np.array([near[slot.expires_at] for slot in slots], np.uint16) * np.uint16(Flag.NEAR_EXPIRY)


def _parity(plan: Layout, rates: Rates, market: Market, years: Floats) -> Parity:
    """Read parity where the profile wants a forward; chains on spot have none."""
    call, put = market.mids[plan.pairs.call], market.mids[plan.pairs.put]
    call[rates.on_spot] = NAN
    ages = market.quotes.quote_age
    return conventions.parity_forwards(
        strike=plan.pairs.strike,
        call=call,
        put=put,
        age=np.maximum(ages[plan.pairs.call], ages[plan.pairs.put]),
        spot=market.quotes.last[rates.index],
        years=years,
        rate=rates.rate,
    )


def _futures(rows: Places, ends: Sequence[datetime | None], rates: Rates, market: Market, now: datetime) -> Futures:
    """A narrow market's mid is as old as its quote, anything else as old as the last trade."""
    years_to = {end: conventions.calendar_years(now=now, expires_at=end) for end in set(ends) if end is not None}
    years = np.array([0.0 if end is None else years_to[end] for end in ends], np.float64)
    mid, quotes = market.mids[rows], market.quotes
    narrow = np.isfinite(mid)
    alive = (years > 0.0) & ~rates.on_spot
    return Futures(
        price=np.where(alive, np.where(narrow, mid, quotes.last[rows]), NAN),
        years=years,
        age=np.where(narrow, quotes.quote_age[rows], quotes.trade_age[rows]),
    )


def _copy_through_parity(plan: Layout, result: kernel.Result, forward: Floats, t: Floats, r: Floats) -> None:
    """Give a leg without time value the volatility of its strike's other side: put-call parity says they are one."""
    rows = np.flatnonzero(((result.flags & COPYABLE) != 0) & (plan.partner >= 0))
    rows = rows[np.isfinite(result.iv[plan.partner[rows]])]
    if not len(rows):
        return
    iv = result.iv[plan.partner[rows]]
    copied = kernel.greeks(forward[rows], plan.strike[rows], t[rows], r[rows], plan.sign[rows], iv)
    for name in ("iv", *kernel.SENSITIVITIES):
        getattr(result, name)[rows] = getattr(copied, name)
    result.flags[rows] |= np.uint16(Flag.FROM_PARITY)
