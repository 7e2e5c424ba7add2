"""Tells clients again of what the bus did not take: it was down, was emptied, or the process died after the commit."""

from collections import defaultdict
from datetime import datetime, timedelta
from typing import TypeVar
from uuid import UUID

from django.db.models import QuerySet

from market_data.bus import NamedBlob, sync_bus
from market_data.errors import FeedDown
from orders.models import OrderEvent, Trade
from orders.stream import append, event_document, event_mark, order_document, stream_of, trade_document, trade_mark

Row = TypeVar("Row", OrderEvent, Trade)
# Younger events are on their way.
GRACE = timedelta(seconds=2)
# Ids are drawn before the commit, so a smaller one may become visible later.
OVERLAP_IDS = 200
MOST = 5_000
LASTS_SECONDS = 86_400


def retell(*, now: datetime) -> int:
    """Publish each order's newest untold event and every untold trade; return how many, 0 while the bus rests."""
    try:
        return _retell_events(now) + _retell_trades(now)
    except FeedDown:
        return 0


def _retell_events(now: datetime) -> int:
    rows = OrderEvent.objects.select_related("order__account")
    events = _unseen(rows.filter(at__lte=now - GRACE), key="retold:events")
    by_account: dict[UUID, list[OrderEvent]] = defaultdict(list)
    for event in events:
        by_account[event.order.account_id].append(event)
    count = sum(_retell_account(account_id, mine) for account_id, mine in by_account.items())
    _keep("retold:events", [event.pk for event in events])
    return count


def _retell_account(account_id: UUID, events: list[OrderEvent]) -> int:
    told = sync_bus().told(stream=stream_of(account_id), marks=[event_mark(event) for event in events])
    missing: dict[UUID, list[OrderEvent]] = defaultdict(list)
    for event in events:
        if event_mark(event) not in told:
            missing[event.order_id].append(event)
    for untold in missing.values():
        newest = max(untold, key=lambda event: event.sequence)
        message = {"order": order_document(newest.order), "event": event_document(newest)}
        append(account_id=account_id, message=message, marks=[event_mark(event) for event in untold])
    return len(missing)


def _retell_trades(now: datetime) -> int:
    rows = Trade.objects.select_related("account")
    trades = _unseen(rows.filter(heard_at__lte=now - GRACE), key="retold:trades")
    by_account: dict[UUID, list[Trade]] = defaultdict(list)
    for trade in trades:
        by_account[trade.account_id].append(trade)
    count = 0
    for account_id, mine in by_account.items():
        told = sync_bus().told(stream=stream_of(account_id), marks=[trade_mark(trade.pk) for trade in mine])
        for trade in mine:
            if trade_mark(trade.pk) not in told:
                append(account_id=account_id, message={"trade": trade_document(trade)}, marks=[trade_mark(trade.pk)])
                count += 1
    _keep("retold:trades", [trade.pk for trade in trades])
    return count


def _unseen(rows: QuerySet[Row], *, key: str) -> list[Row]:
    """Return the rows behind the last looked at; without a mark, as after a loss of the bus, the newest of all."""
    seen = sync_bus().get_blob(key)
    if seen is None:
        return list(rows.order_by("-pk")[:MOST])[::-1]
    return list(rows.filter(pk__gt=int(seen) - OVERLAP_IDS).order_by("pk")[:MOST])


def _keep(key: str, ids: list[int]) -> None:
    if ids:
        blob = NamedBlob(key, str(max(ids)).encode(), "orders.retold", max(ids))
        sync_bus().put_blobs(blobs=[blob], seconds=LASTS_SECONDS)
