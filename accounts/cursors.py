"""Positions in a long list, as opaque text a client sends back for the next page."""

import base64
import binascii
import json
from collections.abc import Sequence

from accounts.errors import PlatformError


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
