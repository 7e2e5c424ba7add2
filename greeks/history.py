"""Minutes of chains and options from the blobs that stand on the bus, and what the rows of years say about today."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import numpy as np

from greeks import analytics, option_rows, option_store, queries, store
from greeks.conventions import IST
from greeks.errors import NotEnoughQuotes
from greeks.models import ChainMinute
from greeks.smile import Skew
from greeks.store import Chain
from greeks.summary import fitted, summarise
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


def record(*, bus: SyncBus, now: datetime) -> int:
    """Keep this minute of every live chain that had a fresh price in it, and return how many; raises FeedDown."""
    minute = now.replace(second=0, microsecond=0)
    rows = [_minute(chain, minute) for chain in _fresh_chains(bus, now)]
    return len(ChainMinute.objects.bulk_create(rows, ignore_conflicts=True))


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
    closes = _constant(queries.closing_minutes(underlying=underlying, before=now, sessions=SESSIONS))
    latest = queries.latest_minutes(underlying=underlying)
    level = next(iter(_constant([latest])), float("nan"))
    return Standing(
        iv=level,
        rank=analytics.rank(level=level, history=np.array(closes)),
        percentile=analytics.percentile(level=level, history=np.array(closes)),
        sessions=len(closes),
        as_of=latest[0].minute_at if latest else None,
    )


def _constant(sessions: Iterable[list[ChainMinute]]) -> list[float]:
    levels = [
        analytics.constant_maturity(
            t=np.array([row.years for row in rows]),
            iv=np.array([np.nan if row.atm_iv is None else row.atm_iv for row in rows]),
            target=CONSTANT_DAYS / 365,
        )
        for rows in sessions
    ]
    return [level for level in levels if np.isfinite(level)]


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


def _minute(chain: Chain, minute: datetime) -> ChainMinute:
    summary, skew = summarise(chain=chain), _skew(chain)
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


def _skew(chain: Chain) -> Skew | None:
    try:
        return fitted(chain=chain)[2]
    except NotEnoughQuotes:
        return None


def _known(value: float) -> float | None:
    return value if np.isfinite(value) else None
