"""What an answer on the wire means for the caller, from its raw status and body alone."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

from kite.errors import Evidence, KiteError, OutcomeUnknown, Refused, SessionExpired, Throttled, Unavailable

BODY_LIMIT: Final = 4096


@dataclass(frozen=True, slots=True)
class Expected:
    """What a granted answer looks like: the type of its data, and the key in it that proves a write was done."""

    write: bool = False
    shape: type = object
    proof: str = ""


def evidence(*, method: str, path: str, status: int | None = None, body: bytes = b"") -> Evidence:
    """Return what was seen; the body of a granted session is withheld, because it holds the access token."""
    secret = path.startswith("/session") and status is not None and status < HTTPStatus.BAD_REQUEST
    kept = "(withheld)" if secret else body[:BODY_LIMIT].decode("utf-8", "replace")
    error_type = _text(document(body), "error_type")
    return Evidence(method=method, path=path, status=status, body=kept, error_type=error_type)


def document(body: bytes) -> object:
    """Return the parsed JSON body, or None where it is not JSON."""
    try:
        return json.loads(body)
    except ValueError:
        return None


def unanswered(*, seen: Evidence, expected: Expected, sent: bool, cause: str) -> KiteError:
    """Return the verdict on a call without an answer; `sent` is whether a byte of the request may have left."""
    if not sent:
        return Unavailable(f"The request was not sent: {cause}.", evidence=seen)
    if expected.write:
        return OutcomeUnknown(f"The request left and no answer came: {cause}.", evidence=seen)
    return Unavailable(f"The broker did not answer: {cause}.", evidence=seen)


def answered(*, seen: Evidence, expected: Expected, parsed: object) -> KiteError | None:
    """Return the verdict on a complete answer, None where it grants what was asked.

    A write is refused only where the answer proves that nothing happened; what is not listed here leaves it in doubt.
    """
    if seen.status == HTTPStatus.OK:
        return None if _is_granted(parsed, expected) else _unproved(seen, expected)
    message = _text(parsed, "message") or f"The broker answered {seen.status} without a message."
    if seen.status == HTTPStatus.FORBIDDEN and seen.error_type == "TokenException":
        return SessionExpired(message, evidence=seen)
    if seen.status == HTTPStatus.TOO_MANY_REQUESTS:
        return Throttled(message, evidence=seen)
    if _proves_nothing_happened(seen, parsed):
        return Refused(message, evidence=seen)
    if expected.write:
        return OutcomeUnknown(message, evidence=seen)
    if HTTPStatus.BAD_REQUEST <= (seen.status or 0) < HTTPStatus.INTERNAL_SERVER_ERROR:
        return Refused(message, evidence=seen)
    return Unavailable(message, evidence=seen)


def _proves_nothing_happened(seen: Evidence, parsed: object) -> bool:
    return seen.status == HTTPStatus.FORBIDDEN or (seen.status == HTTPStatus.BAD_REQUEST and _is_error(parsed))


def _unproved(seen: Evidence, expected: Expected) -> KiteError:
    if expected.write:
        return OutcomeUnknown("The broker answered 200 without saying what it did.", evidence=seen)
    return Unavailable("The broker answered 200 without the data asked for.", evidence=seen)


def _is_granted(parsed: object, expected: Expected) -> bool:
    if not isinstance(parsed, Mapping) or _is_error(parsed):
        return False
    data = parsed.get("data")
    if data is None or not isinstance(data, expected.shape):
        return False
    return not expected.proof or (isinstance(data, Mapping) and data.get(expected.proof) not in (None, ""))


def _is_error(parsed: object) -> bool:
    return isinstance(parsed, Mapping) and (parsed.get("status") == "error" or bool(parsed.get("error_type")))


def _text(parsed: object, name: str) -> str:
    value = parsed.get(name) if isinstance(parsed, Mapping) else None
    return value if isinstance(value, str) else ""
