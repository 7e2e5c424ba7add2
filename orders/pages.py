"""Cursors over lists that grow at one end."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import TypeVar
from uuid import UUID

from django.db.models import Model, Q, QuerySet

from accounts.cursors import CursorBroken, read_cursor, write_cursor
from orders.models import Order, Trade

Row = TypeVar("Row", bound=Model)


def page_of_orders(*, rows: QuerySet[Order], cursor: str | None, limit: int) -> tuple[list[Order], str | None]:
    """Return a page, newest first, and the cursor of the next one."""
    if cursor is not None:
        at, order_id = read_cursor(cursor, parts=2)
        try:
            moment, key = datetime.fromisoformat(at), UUID(order_id)
        except ValueError as error:
            raise CursorBroken("the cursor is not one of ours", field="cursor") from error
        rows = rows.filter(Q(created_at__lt=moment) | Q(created_at=moment, pk__lt=key))
    found = list(rows.order_by("-created_at", "-id")[: limit + 1])
    return _cut(found, limit, lambda order: [order.created_at.isoformat(), str(order.pk)])


def page_of_trades(*, rows: QuerySet[Trade], cursor: str | None, limit: int) -> tuple[list[Trade], str | None]:
    """Return a page, last heard first, and the cursor of the next one."""
    if cursor is not None:
        (trade_id,) = read_cursor(cursor, parts=1)
        if not trade_id.isdigit():
            raise CursorBroken("the cursor is not one of ours", field="cursor")
        rows = rows.filter(pk__lt=int(trade_id))
    found = list(rows.order_by("-id")[: limit + 1])
    return _cut(found, limit, lambda trade: [str(trade.pk)])


def _cut(found: list[Row], limit: int, position: Callable[[Row], Sequence[str]]) -> tuple[list[Row], str | None]:
    if len(found) <= limit:
        return found, None
    page = found[:limit]
    return page, write_cursor(position(page[-1]))
