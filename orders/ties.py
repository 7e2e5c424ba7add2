"""Ties the day's trades that we hold to the broker's day positions, and explains what differs."""

from collections import Counter
from datetime import datetime
from uuid import UUID

import structlog
from django.db import transaction
from django.db.models import F, OuterRef, QuerySet, Subquery, Sum
from django.db.models.functions import Coalesce

from accounts.queries import login_for
from accounts.sessions import Sessions
from kite.types import TransactionType
from orders import reconciliation
from orders.clock import Clock, trading_day
from orders.models import Order, Trade
from orders.readings import PositionGap

log = structlog.get_logger(__name__)

Key = tuple[str, str, str]


def tie(*, account_id: UUID, sessions: Sessions, clock: Clock) -> list[PositionGap]:
    """Compare after a fresh reading of the books, write down what differs with its explanation, and return it."""
    login = login_for(account_id=account_id, now=clock.now())
    reconciliation.reconcile_account(account_id=account_id, sessions=sessions, clock=clock)
    rows = sessions.client(login).positions().day
    # What trades between the two readings would look like a gap: the later reading of trades holds it.
    reconciliation.reconcile_account(account_id=account_id, sessions=sessions, clock=clock)
    now = clock.now()
    theirs: Counter[Key] = Counter()
    for row in rows:
        theirs[(row.exchange, row.tradingsymbol, row.product)] += row.buy_quantity - row.sell_quantity
    return compare(account_id=account_id, theirs=theirs, now=now)


def compare(*, account_id: UUID, theirs: Counter[Key], now: datetime) -> list[PositionGap]:
    """Open a gap for each symbol that differs, and close those that agree again."""
    ours = _traded(account_id, now=now)
    wrong = {key: (ours[key], theirs[key]) for key in {*ours, *theirs} if ours[key] != theirs[key]}
    with transaction.atomic():
        held = {_key(gap): gap for gap in open_gaps(account_id=account_id).select_for_update()}
        for key, gap in held.items():
            if key not in wrong:
                gap.closed_at = now
                gap.save(update_fields=["closed_at"])
        return [_note(account_id, key, pair, held.get(key), wrong=wrong, now=now) for key, pair in wrong.items()]


def open_gaps(*, account_id: UUID) -> QuerySet[PositionGap]:
    """Return the symbols of an account that do not tie."""
    return PositionGap.objects.filter(account_id=account_id, closed_at=None)


def untraded_orders(*, now: datetime) -> QuerySet[Order]:
    """Return the day's orders that are filled further than the trades we hold of them."""
    held = Trade.objects.filter(order=OuterRef("pk")).order_by().values("order").annotate(total=Sum("quantity"))
    orders = Order.objects.filter(trading_day=trading_day(now), filled_quantity__gt=0)
    return orders.annotate(traded=Coalesce(Subquery(held.values("total")), 0)).filter(filled_quantity__gt=F("traded"))


def _key(gap: PositionGap) -> Key:
    return gap.exchange, gap.tradingsymbol, gap.product


def _traded(account_id: UUID, *, now: datetime) -> Counter[Key]:
    totals: Counter[Key] = Counter()
    rows = Trade.objects.filter(account_id=account_id, trading_day=trading_day(now))
    for trade in rows.values_list("exchange", "tradingsymbol", "product", "transaction_type", "quantity"):
        *key, side, quantity = trade
        exchange, tradingsymbol, product = key
        totals[(exchange, tradingsymbol, product)] += quantity if side == TransactionType.BUY else -quantity
    return totals


def _note(
    account_id: UUID,
    key: Key,
    pair: tuple[int, int],
    held: PositionGap | None,
    *,
    wrong: dict[Key, tuple[int, int]],
    now: datetime,
) -> PositionGap:
    exchange, tradingsymbol, product = key
    explanation = _explanation(account_id, key, wrong=wrong, now=now)
    gap = held or PositionGap(
        account_id=account_id, exchange=exchange, tradingsymbol=tradingsymbol, product=product, seen_at=now
    )
    gap.trading_day = trading_day(now)
    gap.ours, gap.theirs = pair
    gap.explained = explanation is not None
    gap.explanation = explanation or "no trade, conversion or missing order that we know of explains it"
    gap.save()
    say = log.info if gap.explained else log.error
    say("orders.positions.untied", account_id=str(account_id), gap=str(gap), explanation=gap.explanation)
    return gap


def _explanation(account_id: UUID, key: Key, *, wrong: dict[Key, tuple[int, int]], now: datetime) -> str | None:
    exchange, tradingsymbol, product = key
    siblings = [pair for other, pair in wrong.items() if other[:2] == key[:2]]
    if len(siblings) > 1 and sum(ours for ours, _ in siblings) == sum(theirs for _, theirs in siblings):
        return "converted between products: over all products the symbol ties"
    missing = untraded_orders(now=now).filter(
        account_id=account_id, exchange=exchange, tradingsymbol=tradingsymbol, product=product
    )
    if missing:
        ids = ", ".join(order.broker_order_id or str(order.pk) for order in missing[:3])
        return f"trades of {ids} are not heard yet"
    return None
