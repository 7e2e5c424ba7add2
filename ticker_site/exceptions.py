"""From an exception class to an HTTP problem document (RFC 9457)."""

from collections.abc import Mapping
from typing import Any

import structlog
from django.core.exceptions import PermissionDenied, RequestDataTooBig
from django.db import OperationalError
from django.http import Http404
from rest_framework import exceptions, status
from rest_framework.response import Response
from rest_framework.views import exception_handler

from accounts.errors import PlatformError
from kite.errors import KiteError, OutcomeUnknown, Refused, SessionExpired, Throttled

log = structlog.get_logger(__name__)

KITE_STATUS: Mapping[type[KiteError], int] = {
    Refused: status.HTTP_422_UNPROCESSABLE_ENTITY,
    SessionExpired: status.HTTP_503_SERVICE_UNAVAILABLE,
    Throttled: status.HTTP_503_SERVICE_UNAVAILABLE,
    OutcomeUnknown: status.HTTP_504_GATEWAY_TIMEOUT,
}

# What became of the request at the broker. What is refused here never left; a broken commit proves nothing.
NOT_SENT, UNKNOWN = "not_sent", "unknown"
KITE_OUTCOME: Mapping[type[KiteError], str] = {Refused: "rejected", OutcomeUnknown: UNKNOWN}


def problem(error: Exception, context: dict[str, Any]) -> Response | None:
    """Return the problem document of an anticipated error; None lets Django answer 500."""
    if isinstance(error, PlatformError):
        return _from_platform(error)
    if isinstance(error, KiteError):
        return _from_kite(error)
    if isinstance(error, exceptions.ValidationError):
        return _from_validation(error)
    if isinstance(error, OperationalError):
        return _from_database(error)
    if isinstance(error, RequestDataTooBig):
        return _document(code="body_too_large", http_status=413, detail="the body is longer than this server reads")
    response = exception_handler(error, context)
    if response is None:
        return None
    return _document(
        code=_code_of(error),
        http_status=response.status_code,
        detail=_detail_of(error),
        extra={"retryable": True} if isinstance(error, exceptions.Throttled) else None,
        headers=response.headers,
    )


def document(
    *, code: str, http_status: int, detail: str, extra: Mapping[str, object] | None = None
) -> dict[str, object]:
    """Return the members of a problem document; what is refused was not sent unless `extra` says otherwise."""
    return {
        "type": f"urn:ticker:problem:{code}",
        "code": code,
        "status": http_status,
        "detail": detail,
        "outcome": NOT_SENT,
        **(extra or {}),
    }


def _from_platform(error: PlatformError) -> Response:
    extra: dict[str, object] = {"retryable": error.retryable, "outcome": error.outcome or NOT_SENT}
    if error.field:
        extra["field"] = error.field
    return _document(code=error.code, http_status=error.status, detail=str(error), extra=extra)


def _from_kite(error: KiteError) -> Response:
    log.warning("kite.call.failed", code=error.code, path=error.evidence.path, status=error.evidence.status)
    return _document(
        code=f"broker_{error.code}",
        http_status=KITE_STATUS.get(type(error), status.HTTP_502_BAD_GATEWAY),
        detail=error.message,
        extra={"outcome": KITE_OUTCOME.get(type(error), NOT_SENT)},
    )


def _from_database(error: OperationalError) -> Response:
    # Its own words name tables and addresses; a caller needs to know that the same request may be sent again.
    log.error("database.unavailable", error=type(error.__cause__ or error).__name__, exc_info=error)
    text = "the database did not answer in time: send the request again, with the same Idempotency-Key if it had one"
    return _document(
        code="database_unavailable",
        http_status=status.HTTP_503_SERVICE_UNAVAILABLE,
        detail=text,
        extra={"retryable": True, "outcome": UNKNOWN},
        headers={"Retry-After": "1"},
    )


def _from_validation(error: exceptions.ValidationError) -> Response:
    fields = error.detail if isinstance(error.detail, dict) else {"non_field_errors": error.detail}
    first = next(iter(fields))
    return _document(
        code="invalid",
        http_status=status.HTTP_400_BAD_REQUEST,
        detail=f"{first}: {_first_text(fields[first])}",
        extra={"errors": fields},
    )


def _first_text(value: object) -> str:
    while isinstance(value, (list, dict)) and value:
        value = value[0] if isinstance(value, list) else next(iter(value.values()))
    return str(value)


def _code_of(error: Exception) -> str:
    if isinstance(error, exceptions.APIException):
        codes = error.get_codes()
        return codes if isinstance(codes, str) else error.default_code
    if isinstance(error, Http404):
        return "not_found"
    return "permission_denied" if isinstance(error, PermissionDenied) else "error"


def _detail_of(error: Exception) -> str:
    if isinstance(error, exceptions.APIException):
        return _first_text(error.detail)
    return "Not found." if isinstance(error, Http404) else "You do not have permission to perform this action."


def _document(
    *,
    code: str,
    http_status: int,
    detail: str,
    extra: Mapping[str, object] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    body = document(code=code, http_status=http_status, detail=detail, extra=extra)
    kept = {
        name: value for name, value in (headers or {}).items() if name in {"WWW-Authenticate", "Retry-After", "Allow"}
    }
    return Response(body, status=http_status, headers=kept, content_type="application/problem+json")
