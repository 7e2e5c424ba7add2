"""Probes for whatever supervises the web process: alive, and ready to serve."""

from django.db import DatabaseError, connection
from django.http import HttpRequest, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from market_data.bus import sync_bus
from market_data.errors import FeedDown


@never_cache
@require_safe
def healthz(_request: HttpRequest) -> JsonResponse:
    """The process answers; nothing else is asked, so that a database outage restarts no web process."""
    return JsonResponse({"status": "alive"})


@never_cache
@require_safe
def readyz(_request: HttpRequest) -> JsonResponse:
    """The process can serve: the database and Redis answer."""
    checks = {"database": _database_answers(), "redis": _redis_answers()}
    ready = all(checks.values())
    return JsonResponse({"status": "ready" if ready else "not ready", **checks}, status=200 if ready else 503)


def _database_answers() -> bool:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1 FROM accounts_haltepoch LIMIT 1")
    except DatabaseError:
        return False
    return True


def _redis_answers() -> bool:
    try:
        sync_bus().ping()
    except FeedDown:
        return False
    return True
