"""Minutes of chains and options from the blobs that stand on the bus, and what the rows of years say about today."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import groupby
from typing import Final

import numpy as np
from django.db import transaction

from greeks import analytics, option_rows, option_store, queries, store
from greeks.conventions import IST
from greeks.errors import NotEnoughQuotes
from greeks.models import ChainMinute, UnderlyingMinute
from greeks.smile import Skew
from greeks.store import Chain
from greeks.summary import Summary, fitted, summarise
from market_data.bus import SyncBus
from market_data.calendar import Calendar
from market_data.trading_days import read_calendar

FRESH: Final = timedelta(seconds=60)
SESSIONS: Final = 252
CONSTANT_DAYS: Final = 30


@dataclass(frozen=True, slots=True)
class Standing:
    """A constant-maturity volatility among those of the last sessions; NaN where they are too few."""

    iv: float
    rank: float
    percentile: float
    sessions: int
    as_of: datetime | None


@dataclass(frozen=True, slots=True)
class View:
    """A chain with what it says as a whole; no skew where too few quotes carry one."""

    chain: Chain
    summary: Summary
    skew: Skew | None


def record(*, bus: SyncBus, now: datetime) -> int:
    """Keep this minute of every live chain that had a fresh price in it and of each underlying as a whole.

    Returns how many chains; raises FeedDown.
    """
    minute = now.replace(second=0, microsecond=0)
    views = [View(chain, summarise(chain=chain), _skew(chain)) for chain in _fresh_chains(bus, now)]
    with transaction.atomic():
        made = ChainMinute.objects.bulk_create([_minute(view, minute) for view in views], ignore_conflicts=True)
        by_name = groupby(sorted(views, key=_name_and_expiry), key=lambda view: view.chain.key.underlying)
        wholes = [_whole(name, list(group), minute) for name, group in by_name]
        UnderlyingMinute.objects.bulk_create(wholes, ignore_conflicts=True)
    return len(made)


def record_options(*, bus: SyncBus, now: datetime) -> int:
    """Keep this minute of the options that are held, traded or near the forward, of all in the session's last minute.

    Returns how many were new; raises FeedDown.
    """
    minute = now.replace(second=0, microsecond=0)
    each_side = queries.history_strikes()
    calendar = read_calendar(since=now.astimezone(IST).date())
    written = 0
    for chain in _fresh_chains(bus, now):
        kept = option_rows.worth_keeping(chain=chain, each_side=each_side.get(chain.key.underlying, 0))
        if _is_last_minute(calendar, chain, minute):
            kept[:] = True
        rows = option_rows.live_minutes(chain=chain, kept=kept, minute=minute.timestamp())
        written += option_store.write(underlying=chain.key.underlying, rows=rows)
    return written


def standing(*, underlying: str, now: datetime) -> Standing:
    """Return where the latest 30-day at-the-forward volatility stands among the closes of the last 252 sessions."""
    rows = queries.closing_minutes(underlying=underlying, before=now, sessions=SESSIONS)
    closes = np.array([row.iv for row in rows if row.iv is not None], np.float64)
    latest = queries.latest_minute(underlying=underlying)
    level = float("nan") if latest is None or latest.iv is None else latest.iv
    return Standing(
        iv=level,
        rank=analytics.rank(level=level, history=closes),
        percentile=analytics.percentile(level=level, history=closes),
        sessions=len(closes),
        as_of=latest.minute_at if latest else None,
    )


def _fresh_chains(bus: SyncBus, now: datetime) -> Iterator[Chain]:
    blob = bus.get_blob(store.INDEX)
    heads = store.unpack_index(blob) if blob else []
    chains = (store.unpack(found) for head in heads if (found := bus.get_blob(head.key.blob)))
    return (chain for chain in chains if _is_fresh(chain, now))


def _is_last_minute(calendar: Calendar, chain: Chain, minute: datetime) -> bool:
    session = calendar.session_at(exchange=chain.header["exchange"].decode(), at=minute)
    return session is not None and session.closes - minute <= timedelta(minutes=1)


def _is_fresh(chain: Chain, now: datetime) -> bool:
    prices_at = chain.rows["price_at"]
    return bool(np.any(prices_at >= (now - FRESH).timestamp()))


def _minute(view: View, minute: datetime) -> ChainMinute:
    chain, summary, skew = view.chain, view.summary, view.skew
    return ChainMinute(
        underlying=chain.key.underlying,
        expiry=chain.key.expiry,
        minute_at=minute,
        profile=chain.profile.value,
        sequence=chain.sequence,
        years=chain.value("years"),
        spot=_known(chain.value("spot")),
        forward=_known(chain.value("forward")),
        forward_source=chain.forward_source.name.lower(),
        atm_iv=_known(summary.atm_iv),
        risk_reversal=_known(skew.risk_reversal) if skew else None,
        butterfly=_known(skew.butterfly) if skew else None,
        straddle=_known(summary.straddle.price),
        expected_move=_known(summary.straddle.expected_move),
        put_call_oi=_known(summary.ratios.open_interest),
        put_call_volume=_known(summary.ratios.volume),
        max_pain=_known(summary.max_pain),
        gamma_exposure=_known(summary.exposure.rupees_per_percent),
        zero_gamma=_known(summary.exposure.zero_gamma),
        priced=summary.priced,
        unpriced=summary.unpriced,
    )


def _whole(underlying: str, views: Sequence[View], minute: datetime) -> UnderlyingMinute:
    """What the chains of one underlying say together, the soonest expiry first."""
    years, target = np.array([view.chain.value("years") for view in views]), CONSTANT_DAYS / 365
    skews = {
        name: np.array([getattr(view.skew, name) if view.skew else np.nan for view in views], np.float64)
        for name in ("risk_reversal", "butterfly")
    }
    sign, held, traded = (
        np.concatenate([view.chain.column(name) for view in views]) for name in ("sign", "oi", "volume")
    )
    ratios = analytics.put_call_ratios(sign=sign, open_interest=held, volume=traded)
    exposures = np.array([view.summary.exposure.rupees_per_percent for view in views])
    return UnderlyingMinute(
        underlying=underlying,
        minute_at=minute,
        expiries=len(views),
        spot=_known(views[0].chain.value("spot")),
        iv=_known(
            analytics.constant_maturity(t=years, iv=np.array([view.summary.atm_iv for view in views]), target=target)
        ),
        **{
            name: _known(analytics.between_maturities(t=years, value=values, target=target))
            for name, values in skews.items()
        },
        put_call_oi=_known(ratios.open_interest),
        put_call_volume=_known(ratios.volume),
        max_pain=_known(views[0].summary.max_pain),
        gamma_exposure=_known(float(np.sum(exposures))),
        priced=sum(view.summary.priced for view in views),
        unpriced=sum(view.summary.unpriced for view in views),
    )


def _name_and_expiry(view: View) -> tuple[str, date]:
    return view.chain.key.underlying, view.chain.key.expiry


def _skew(chain: Chain) -> Skew | None:
    try:
        return fitted(chain=chain)[2]
    except NotEnoughQuotes:
        return None


def _known(value: float) -> float | None:
    return value if np.isfinite(value) else None
