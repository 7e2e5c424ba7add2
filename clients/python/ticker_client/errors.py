"""What can go wrong, by what a caller can do about it."""

from collections.abc import Mapping
from typing import Any


class TickerError(Exception):
    """Base of all errors of this client."""


class ApiError(TickerError):
    """The platform answered with a problem document; `code` is stable, `retryable` says that asking again may help.

    `outcome` is set for orders: not_sent, accepted, refused or unknown. An unknown one must be watched, not repeated
    under another key.
    """

    def __init__(self, status: int, problem: Mapping[str, Any]) -> None:
        super().__init__(f"{status} {problem.get('code', 'error')}: {problem.get('detail', '')}")
        self.status = status
        self.problem = dict(problem)
        self.code = str(problem.get("code", "error"))
        self.detail = str(problem.get("detail", ""))
        self.field: str | None = problem.get("field")
        self.outcome: str | None = problem.get("outcome")
        self.retryable = bool(problem.get("retryable", False))


class ConnectionLost(TickerError):
    """The platform could not be reached, or did not answer in time, however often it was asked."""


class StreamClosed(TickerError):
    """The platform ended the stream for good; `code` is the WebSocket's close code."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(f"the stream was closed for good with {code}: {reason or 'no reason given'}")
        self.code = code
