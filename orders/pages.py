"""Cursors over lists that grow at one end."""

from django.db.models import QuerySet

from accounts.cursors import CursorBroken, read_cursor, write_cursor
from orders.models import Trade


def page_of_trades(*, rows: QuerySet[Trade], cursor: str | None, limit: int) -> tuple[list[Trade], str | None]:
    """Return a page, last heard first, and the cursor of the next one."""
    if cursor is not None:
        (trade_id,) = read_cursor(cursor, parts=1)
        if not trade_id.isdigit():
            raise CursorBroken("the cursor is not one of ours", field="cursor")
        rows = rows.filter(pk__lt=int(trade_id))
    found = list(rows.order_by("-id")[: limit + 1])
    page = found[:limit]
    return page, write_cursor([str(page[-1].pk)]) if len(found) > limit else None
