"""From ticks to valued rows: the columns of all chains, what each is valued with, one kernel call. No I/O."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from greeks import conventions, kernel, store
from greeks.conventions import IST, NSE_RATE, Forward, ForwardInputs, Future, Parity, Prices, Profile, Quotes
from greeks.kernel import Bits, Flag, Floats
from greeks.layout import ChainSlot, FutureSlot, Layout
from kite.wire import KIND_FULL, Rows
from market_data.trading_days import read_calendar

NAN: Final = float("nan")
COPYABLE: Final = Flag.NO_TIME_VALUE | Flag.BELOW_INTRINSIC
EXPLAINED: Final = Flag.NO_PRICE | Flag.NO_FORWARD


@dataclass(frozen=True, slots=True)
class Market:
    """The latest ticks as columns beside the layout's rows, NaN or 0 where none came; `mids` only of narrow markets."""

    quotes: Quotes
    mids: Floats
    received_at: Floats
    close: Floats
    oi: Floats
    volume: Floats


@dataclass(frozen=True, slots=True)
class Terms:
    """What one chain is valued with."""

    forward: Forward
    spot: float
    spot_age: float
    years: float
    rate: float
    parity: Parity | None
    flags: int


@dataclass(frozen=True, slots=True)
class Kept:
    """The last good parity forward of a chain, divided by its spot."""

    ratio: float
    at: float


def gather(*, plan: Layout, latest: Rows, now: datetime) -> Market:
    """Return the ticks of the layout's rows as columns; `latest` holds one row per token, by token."""
    tokens = np.ascontiguousarray(latest["instrument_token"])
    place = np.searchsorted(tokens, plan.token)
    known = place < len(tokens)
    known[known] = tokens[place[known]] == plan.token[known]
    place = place[known]

    def column(values: npt.NDArray[Any], missing: float) -> Floats:
        filled = np.full(len(plan.token), missing)
        filled[known] = values[place]
        return filled

    stamp = now.timestamp()
    full = column(latest["kind"] == KIND_FULL, 0.0) > 0.0
    received_at = column(latest["received_at"], NAN)
    traded_at = column(latest["last_trade_at"], 0.0)
    quotes = Quotes(
        bid=np.where(full, column(latest["bid_price"][:, 0], NAN), NAN),
        ask=np.where(full, column(latest["ask_price"][:, 0], NAN), NAN),
        last=column(latest["last_price"], NAN),
        quote_age=np.maximum(stamp - received_at, 0.0),
        trade_age=np.where(traded_at > 0.0, np.maximum(stamp - traded_at, 0.0), NAN),
        tick=plan.tick,
    )
    return Market(
        quotes=quotes,
        mids=conventions.narrow_mids(quotes=quotes),
        received_at=received_at,
        close=column(latest["close"], NAN),
        oi=column(latest["oi"], 0.0),
        volume=column(latest["volume"], 0.0),
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


def terms_of(*, slot: ChainSlot, market: Market, rate: float, kept: Kept | None, now: datetime) -> Terms:
    """Return what the chain is valued with; `rate` is the configured one."""
    compat = slot.profile is Profile.NSE_COMPAT
    rate = NSE_RATE if compat else rate
    years = years_of(profile=slot.profile, exchange=slot.exchange, expires_at=slot.expires_at, now=now)
    near = int(Flag.NEAR_EXPIRY) if conventions.near_expiry(now=now, expires_at=slot.expires_at) else 0
    inputs = _spot_inputs(slot, market, years, rate)
    if not slot.profile.on_spot:
        inputs = _forward_inputs(inputs, slot, market, kept, now)
    forward = conventions.choose_forward(inputs=inputs)
    return Terms(forward, inputs.spot, inputs.spot_age, years, rate, inputs.parity, forward.flags | near)


def good_parity(*, terms: Terms, now: datetime) -> Kept | None:
    """Return the parity forward worth remembering, if this beat found one."""
    if terms.parity is None or not terms.spot > 0.0 or not conventions.agrees(parity=terms.parity):
        return None
    return Kept(terms.parity.value / terms.spot, now.timestamp())


def solve(
    *, plan: Layout, prices: Prices, terms: Sequence[Terms], out: kernel.Result | None = None
) -> tuple[kernel.Result, Bits]:
    """Return the sensitivities of every option in one kernel call, and all flags with those of prices and forwards."""
    options = slice(plan.options)
    forward = _spread(plan, [term.forward.value for term in terms])
    t = _spread(plan, [term.years for term in terms])
    r = _spread(plan, [term.rate for term in terms])
    result = kernel.solve(
        prices.value[options], forward, plan.strike, t, r, plan.sign, tick=plan.tick[options], out=out
    )
    _copy_through_parity(plan, result, forward, t, r)
    on_spot = _spread(plan, [float(slot.profile.on_spot) for slot in plan.slots]) > 0.0
    if on_spot.any():
        spot = np.where(on_spot, _spread(plan, [term.spot for term in terms]), forward)
        result = kernel.to_spot(result=result, forward=forward, spot=spot, t=t)
    flags = result.flags | prices.flags[options] | _spread(plan, [term.flags for term in terms]).astype(np.uint16)
    explained = (flags & EXPLAINED) != 0
    flags[explained] &= np.uint16(0xFFFF ^ Flag.BAD_INPUT)
    return result, flags


def packed(
    *, plan: Layout, market: Market, prices: Prices, result: kernel.Result, flags: Bits, now: datetime
) -> store.Rows:
    """Return the rows as they are stored."""
    options = slice(plan.options)
    rows = np.zeros(plan.options, store.ROW)
    rows["instrument_token"], rows["strike"], rows["sign"] = plan.token[options], plan.strike, plan.sign
    rows["flags"], rows["price_source"], rows["price"] = flags, prices.source[options], prices.value[options]
    rows["price_at"] = now.timestamp() - prices.age[options]
    for name in ("bid", "ask", "last"):
        rows[name] = getattr(market.quotes, name)[options]
    for name in ("close", "oi", "volume"):
        rows[name] = getattr(market, name)[options]
    for name in kernel.COLUMNS:
        rows[name] = getattr(result, name)
    return rows


def header(*, slot: ChainSlot, terms: Terms, sequence: int, now: datetime) -> dict[str, object]:
    """Return the header of a chain's blob."""
    stamp = now.timestamp()
    return {
        "profile": slot.profile.code,
        "forward_source": terms.forward.source,
        "forward_flags": terms.flags,
        "underlying": slot.key.underlying.encode(),
        "exchange": slot.exchange.encode(),
        "expiry_ordinal": slot.key.expiry.toordinal(),
        "lot_size": slot.lot_size,
        "parity_strikes": terms.parity.strikes if terms.parity else 0,
        "layout": slot.layout,
        "sequence": sequence,
        "as_of": stamp,
        "expires_at": slot.expires_at.timestamp(),
        "years": terms.years,
        "rate": terms.rate,
        "dividend": slot.dividend,
        "spot": terms.spot,
        "spot_at": stamp - terms.spot_age,
        "forward": terms.forward.value,
        "forward_at": stamp - terms.forward.age,
        "parity_dispersion": terms.parity.dispersion if terms.parity else NAN,
    }


def _spread(plan: Layout, values: Sequence[float]) -> Floats:
    lengths = [slot.rows.stop - slot.rows.start for slot in plan.slots]
    return np.repeat(np.array(values, np.float64), lengths)


def _spot_inputs(slot: ChainSlot, market: Market, years: float, rate: float) -> ForwardInputs:
    compat = slot.profile is Profile.NSE_COMPAT
    known = slot.index is not None
    return ForwardInputs(
        spot=float(market.quotes.last[slot.index]) if known else NAN,
        spot_age=float(market.quotes.quote_age[slot.index]) if known else NAN,
        years=years,
        rate=rate,
        dividend=0.0 if compat else slot.dividend,
    )


def _forward_inputs(
    inputs: ForwardInputs, slot: ChainSlot, market: Market, kept: Kept | None, now: datetime
) -> ForwardInputs:
    ages = market.quotes.quote_age
    return replace(
        inputs,
        same_expiry=_future(slot.same_expiry, market, now),
        nearest=_future(slot.nearest, market, now),
        parity=conventions.parity_forward(
            strike=slot.pair_strike,
            call=market.mids[slot.pair_call],
            put=market.mids[slot.pair_put],
            age=np.maximum(ages[slot.pair_call], ages[slot.pair_put]),
            spot=inputs.spot,
            years=inputs.years,
            rate=inputs.rate,
        ),
        kept=kept.ratio if kept else None,
        kept_age=now.timestamp() - kept.at if kept else 0.0,
    )


def _future(slot: FutureSlot | None, market: Market, now: datetime) -> Future | None:
    """A narrow market's mid is as old as its quote, anything else as old as the last trade."""
    years = conventions.calendar_years(now=now, expires_at=slot.expires_at) if slot else 0.0
    if slot is None or years <= 0.0:
        return None
    mid = float(market.mids[slot.row])
    if np.isfinite(mid):
        return Future(mid, years, float(market.quotes.quote_age[slot.row]))
    last, age = float(market.quotes.last[slot.row]), float(market.quotes.trade_age[slot.row])
    return Future(last, years, age) if last > 0.0 else None


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
