"""Every API request counts against its caller; the answer says what is left."""

import math
from typing import Any

from django.conf import settings
from rest_framework.permissions import SAFE_METHODS
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

from accounts.queries import Principal
from accounts.rates import Answer, request_rates


class CallerThrottle(BaseThrottle):
    """Reads and writes of one key or one person, as `settings.REQUEST_RATES` says.

    Answers carry RateLimit-Policy and RateLimit (draft-ietf-httpapi-ratelimit-headers-10), refusals Retry-After too.
    """

    def __init__(self) -> None:
        self._answer: Answer | None = None

    def allow_request(self, request: Request, view: Any) -> bool:
        """Count the request and write what is left into the answer's headers."""
        kind = "read" if request.method in SAFE_METHODS else "write"
        allowance = settings.REQUEST_RATES[kind]
        self._answer = request_rates().admit(caller=_caller(request), kind=kind, allowance=allowance)
        window = math.ceil(allowance.burst / allowance.per_second)
        view.headers["RateLimit-Policy"] = f'"{kind}";q={allowance.burst};w={window}'
        reset = math.ceil(self._answer.reset_seconds)
        view.headers["RateLimit"] = f'"{kind}";r={self._answer.remaining};t={reset}'
        return self._answer.admitted

    def wait(self) -> float | None:
        """Return the seconds for Retry-After."""
        return self._answer.reset_seconds if self._answer is not None else None


def _caller(request: Request) -> str:
    if isinstance(request.auth, Principal):
        key = request.auth.key_id
        return f"user:{request.auth.user_id}" if key is None else f"key:{key}"
    return f"address:{request.META.get('REMOTE_ADDR', '')}"
