"""Watches what accounts lose and how often the broker refuses them, and stops them."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final
from uuid import UUID

import structlog
from django.db.models import Count, F, Q

from accounts.errors import PlatformError
from accounts.models import BrokerAccount, TradingHalt
from accounts.queries import login_for
from accounts.sessions import Sessions
from kite.errors import KiteError
from kite.rows import money
from ops import halt
from ops.errors import HaltStricter
from orders.models import Order, RiskLimit
from orders.risk import MAX_REJECTIONS
from orders.states import State

log = structlog.get_logger(__name__)

ACTOR: Final = "platform"
WINDOW: Final = timedelta(seconds=60)


def stop(*, sessions: Sessions, now: datetime) -> list[TradingHalt]:
    """Halt accounts that were refused too often, let accounts that lost too much only reduce; return the new halts."""
    found = [_engage(label, TradingHalt.Level.HALTED, reason, now=now) for label, reason in _refused(now=now)]
    found += [
        _engage(label, TradingHalt.Level.REDUCING, reason, now=now) for label, reason in _losing(sessions, now=now)
    ]
    return [each for each in found if each is not None]


def day_result(*, account_id: UUID, sessions: Sessions, now: datetime) -> Decimal:
    """Return the account's day in rupees, realised and marked, as the broker's positions show it."""
    rows = sessions.client(login_for(account_id=account_id, now=now)).positions().net
    return sum((money(row.raw, "m2m") for row in rows), Decimal(0))


def _refused(*, now: datetime) -> Iterator[tuple[str, str]]:
    rows = (
        Order.objects.filter(
            state__in=[State.REJECTED, State.REJECTED_RMS],
            origin=Order.Origin.PLATFORM,
            finished_at__gte=now - WINDOW,
        )
        .values(label=F("account__label"))
        .annotate(count=Count("pk"))
        .filter(count__gte=MAX_REJECTIONS)
    )
    for row in rows.order_by("label"):
        yield row["label"], f"the broker rejected {row['count']} orders within {WINDOW.seconds} s"


def _losing(sessions: Sessions, *, now: datetime) -> Iterator[tuple[str, str]]:
    for account, bound in _bounded():
        try:
            result = day_result(account_id=account.pk, sessions=sessions, now=now)
        except (KiteError, PlatformError) as error:
            log.warning("ops.stopping.positions_not_read", account=account.label, error=str(error))
            continue
        if -result >= bound:
            yield account.label, f"the day's loss is {-result:.2f}, the bound is {bound:.2f}"


def _bounded() -> Iterator[tuple[BrokerAccount, Decimal]]:
    """Yield the accounts with a bound on the day's loss, the tightest of their rows."""
    rows = list(RiskLimit.objects.filter(max_day_loss__isnull=False, strategy="", exchange=""))
    if not rows:
        return
    trading = Q(places_orders=True) & ~Q(state=BrokerAccount.State.RETIRED)
    for account in BrokerAccount.objects.filter(trading).order_by("label"):
        bounds = [row.max_day_loss for row in rows if row.account_id in {None, account.pk}]
        found = [bound for bound in bounds if bound is not None]
        if found:
            yield account, min(found)


def _engage(label: str, level: TradingHalt.Level, reason: str, *, now: datetime) -> TradingHalt | None:
    """Return the halt if it is new; what somebody engaged more strictly stays."""
    standing = TradingHalt.objects.filter(scope=TradingHalt.Scope.ACCOUNT, target=label, released_at=None).first()
    if standing is not None and standing.level in {level, TradingHalt.Level.HALTED}:
        return None
    try:
        return halt.engage(
            scope=TradingHalt.Scope.ACCOUNT, target=label, level=level, reason=reason, actor=ACTOR, now=now
        )
    except HaltStricter:
        return None
