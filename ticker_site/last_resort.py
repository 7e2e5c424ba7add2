"""What is answered where no view could: a problem document under /api/, a page everywhere else."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.template.loader import render_to_string

from ticker_site.exceptions import NOT_SENT, UNKNOWN, document


@dataclass(frozen=True, slots=True)
class Fault:
    """What is said of a status, to a program and to a person."""

    code: str
    title: str
    detail: str
    next_step: str
    outcome: str = NOT_SENT


FAULTS: Final[Mapping[int, Fault]] = {
    400: Fault(
        code="bad_request",
        title="This request makes no sense",
        detail="the request could not be read",
        next_step="Go back, load the page again, and repeat what you did.",
    ),
    403: Fault(
        code="permission_denied",
        title="This is not yours to do",
        detail="You do not have permission to perform this action.",
        next_step="Your role does not allow it. Someone with every right changes roles, under People in the admin.",
    ),
    404: Fault(
        code="not_found",
        title="There is nothing here",
        detail="Not found.",
        next_step="The address is wrong, or what stood here is gone. The Desk leads everywhere.",
    ),
    500: Fault(
        code="error",
        title="Something broke on our side",
        detail="the server failed: it is in its log, under the request's id",
        next_step="Nothing says whether it was done: look before you repeat it. The log has it under the request's id.",
        outcome=UNKNOWN,
    ),
}


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Answer 400."""
    return _answer(request, 400)


def permission_denied(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Answer 403."""
    return _answer(request, 403)


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Answer 404."""
    return _answer(request, 404)


def server_error(request: HttpRequest) -> HttpResponse:
    """Answer 500; a broken request proves nothing about what it did."""
    return _answer(request, 500)


def _answer(request: HttpRequest, status: int) -> HttpResponse:
    fault = FAULTS[status]
    if request.path.startswith("/api/"):
        extra = {"outcome": fault.outcome}
        body = document(code=fault.code, http_status=status, detail=fault.detail, extra=extra)
        return JsonResponse(body, status=status, content_type="application/problem+json")
    # Without the request: what asks the database who is there may be what broke.
    return HttpResponse(render_to_string("fault.html", {"fault": fault, "status": status}), status=status)
