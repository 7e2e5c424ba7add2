"""Cursors over lists that grow at one end."""

import base64
import binascii
import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any, TypeVar
from uuid import UUID

from django.db.models import Model, Q, QuerySet

from orders.errors import CursorBroken
from orders.models import Order, Trade

Row = TypeVar("Row", bound=Model)


def page_of_orders(*, rows: QuerySet[Order], cursor: str | None, limit: int) -> tuple[list[Order], str | None]:
    """Return a page, newest first, and the cursor of the next one."""
    if cursor is not None:
        at, order_id = _read(cursor, 2)
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
        (trade_id,) = _read(cursor, 1)
        if not trade_id.isdigit():
            raise CursorBroken("the cursor is not one of ours", field="cursor")
        rows = rows.filter(pk__lt=int(trade_id))
    found = list(rows.order_by("-id")[: limit + 1])
    return _cut(found, limit, lambda trade: [str(trade.pk)])


def _cut(found: list[Row], limit: int, position: Any) -> tuple[list[Row], str | None]:
    if len(found) <= limit:
        return found, None
    page = found[:limit]
    return page, base64.urlsafe_b64encode(json.dumps(position(page[-1])).encode()).decode()


def _read(cursor: str, parts: int) -> Sequence[str]:
    try:
        values = json.loads(base64.urlsafe_b64decode(cursor.encode()))
    except (binascii.Error, ValueError) as error:
        raise CursorBroken("the cursor is not one of ours", field="cursor") from error
    if not isinstance(values, list) or len(values) != parts or not all(isinstance(value, str) for value in values):
        raise CursorBroken("the cursor is not one of ours", field="cursor")
    return values
