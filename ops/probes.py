"""What machines ask the web process: is it alive, is it ready, and how is the floor."""

from django.db import DatabaseError, connection
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.views import APIView

from market_data.bus import sync_bus
from market_data.errors import FeedDown
from ops import metrics, pulse, status


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


class MetricsView(APIView):
    """GET /metrics, for Prometheus with a key that holds ops:read."""

    required_scopes = {"GET": "ops:read"}

    @extend_schema(exclude=True)
    def get(self, _request: Request) -> HttpResponse:
        """Return the state in Prometheus's text format."""
        page = metrics.exposition(state=status.snapshot(now=timezone.now()), pulse=pulse.listen())
        return HttpResponse(page, content_type=metrics.CONTENT_TYPE)


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
