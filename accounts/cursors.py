"""Positions in a long list, as opaque text a client sends back for the next page."""

import base64
import binascii
import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any, TypeVar
from uuid import UUID

from django.db.models import Model, Q, QuerySet

from accounts.errors import PlatformError

Row = TypeVar("Row", bound=Model)


class CursorBroken(PlatformError):
    """The text is no cursor this list gave out."""

    code = "cursor_broken"
    status = 400


def write_cursor(position: Sequence[str]) -> str:
    """Return the cursor that stands for a position."""
    return base64.urlsafe_b64encode(json.dumps(list(position)).encode()).decode()


def read_cursor(cursor: str, *, parts: int) -> list[str]:
    """Return the position a cursor stands for; raises CursorBroken."""
    try:
        values = json.loads(base64.urlsafe_b64decode(cursor.encode()))
    except (binascii.Error, ValueError) as error:
        raise CursorBroken("the cursor is not one of ours", field="cursor") from error
    if not isinstance(values, list) or len(values) != parts or not all(isinstance(value, str) for value in values):
        raise CursorBroken("the cursor is not one of ours", field="cursor")
    return values


def newest_first(*, rows: QuerySet[Row], cursor: str | None, limit: int) -> tuple[list[Row], str | None]:
    """Return a page of rows that have `created_at` and a UUID as key, and the cursor of the next page or None.

    Raises CursorBroken.
    """
    if cursor is not None:
        at, key = read_cursor(cursor, parts=2)
        try:
            moment, row_id = datetime.fromisoformat(at), UUID(key)
        except ValueError as error:
            raise CursorBroken("the cursor is not one of ours", field="cursor") from error
        rows = rows.filter(Q(created_at__lt=moment) | Q(created_at=moment, pk__lt=row_id))
    found = list(rows.order_by("-created_at", "-pk")[: limit + 1])
    page = found[:limit]
    last: Any = page[-1] if len(found) > limit else None
    return page, None if last is None else write_cursor([last.created_at.isoformat(), str(last.pk)])
