"""Errors of the broker, named by what the caller must do."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Evidence:
    """What was seen on the wire; `status` is None where no answer arrived, `body` is cut at 4 KiB."""

    method: str
    path: str
    status: int | None = None
    body: str = ""
    error_type: str = ""


class KiteError(Exception):
    """Base of all broker errors; carries the evidence and a stable code."""

    code = "kite_error"

    def __init__(self, message: str, *, evidence: Evidence) -> None:
        super().__init__(message)
        self.message = message
        self.evidence = evidence


class Refused(KiteError):
    """The broker answered no: stop, the request had no effect."""

    code = "refused"


class SessionExpired(KiteError):
    """The access token is not valid any more: log in, the request had no effect."""

    code = "session_expired"


class Throttled(KiteError):
    """Too many requests: wait, the request had no effect."""

    code = "throttled"


class Unavailable(KiteError):
    """Nothing was sent, or a read was not answered: retry later."""

    code = "unavailable"


class OutcomeUnknown(KiteError):
    """A write left and no proof of its outcome came back: reconcile, never send again."""

    code = "outcome_unknown"
