"""Tells of every request in the log, by method and path."""

from django.http import HttpRequest
from django_structlog.middlewares import RequestMiddleware

from ticker_site.logs import named


class RequestLog(RequestMiddleware):
    """Logs a request's beginning and end."""

    @staticmethod
    def format_request(request: HttpRequest) -> str:
        """Return the request's name."""
        return named(request)
