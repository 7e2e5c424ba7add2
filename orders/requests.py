"""What every write of the orders API reads from its request."""

import re
import time
from collections.abc import Callable

from drf_spectacular.utils import OpenApiParameter
from rest_framework.request import Request

from accounts.sessions import Sessions
from orders.errors import IdempotencyKeyMissing

LONGEST_WAIT_SECONDS = 10
POLL_SECONDS = 0.02
KEY = re.compile(r"[\x21-\x7e]{1,128}")
IDEMPOTENCY = OpenApiParameter(
    "Idempotency-Key", str, OpenApiParameter.HEADER, required=True, description="Your own id of this write."
)
MAY_REPEAT = OpenApiParameter(
    "Idempotency-Key", str, OpenApiParameter.HEADER, description="Your own id of this write; it may be left out."
)
PREFER = OpenApiParameter(
    "Prefer", str, OpenApiParameter.HEADER, description="wait=N: answer when the broker has, after N seconds at most."
)


def wait_until(condition: Callable[[], bool], *, seconds: float) -> None:
    """Return when the condition holds, or the seconds are over."""
    ends = time.monotonic() + seconds
    while seconds and not condition() and time.monotonic() < ends:
        time.sleep(POLL_SECONDS)


def idempotency_key(request: Request) -> str:
    """Return the caller's own id of the write; raises IdempotencyKeyMissing."""
    key = request.headers.get("Idempotency-Key", "")
    if not KEY.fullmatch(key):
        text = "send an Idempotency-Key of 1 to 128 visible characters, the same when you repeat the request"
        raise IdempotencyKeyMissing(text, field="Idempotency-Key")
    return key


def preferred_wait(request: Request) -> float:
    """Return how many seconds the caller would wait for the broker's answer."""
    match = re.search(r"\bwait=(\d{1,4})\b", request.headers.get("Prefer", ""))
    return float(min(int(match[1]), LONGEST_WAIT_SECONDS)) if match else 0.0


def sessions_of(request: Request) -> Sessions:
    """Return the broker sessions of this process."""
    sessions: Sessions = request.kite  # type: ignore[attr-defined] # set by accounts.middleware
    return sessions
