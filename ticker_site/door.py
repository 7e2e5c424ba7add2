"""What every request must not bring and every answer must carry, Django's own middleware aside."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse, JsonResponse

PERMISSIONS = "accelerometer=(), camera=(), geolocation=(), gyroscope=(), microphone=(), payment=(), usb=()"
NUL = "\x00"
PROBLEM = {
    "type": "urn:ticker:problem:invalid",
    "code": "invalid",
    "status": 400,
    "detail": "the address holds a NUL character",
}


class Door:
    """Refuses NUL characters, which no column of PostgreSQL holds; sends a Permissions-Policy."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Answer the request."""
        response = _refusal() if _holds_nul(request) else self._get_response(request)
        response.headers.setdefault("Permissions-Policy", PERMISSIONS)
        return response


def _refusal() -> HttpResponse:
    return JsonResponse(PROBLEM, status=400, content_type="application/problem+json")


def _holds_nul(request: HttpRequest) -> bool:
    return NUL in request.path or "%00" in request.META.get("QUERY_STRING", "")
