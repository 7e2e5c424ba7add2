"""The API of the floor: how everything stands, and the jobs somebody may want before the clock does."""

from typing import Any

from django.db import transaction
from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.audit import record
from accounts.once import once
from accounts.permissions import caller_of
from ops.errors import JobUnknown
from ops.status import recent
from ops.tasks import JOBS, start


class JobSerializer(serializers.Serializer[Any]):
    """A job that was put into its queue."""

    job = serializers.ChoiceField(sorted(JOBS))
    task = serializers.UUIDField()


class StatusView(APIView):
    """GET /api/v1/status."""

    required_scopes = {"GET": "ops:read"}

    @extend_schema(operation_id="status", responses=OpenApiTypes.OBJECT)
    def get(self, request: Request) -> Response:
        """Return what the Desk shows: trading, accounts, budgets, orders, feed, processes, Greeks and findings."""
        return Response(recent(now=timezone.now(), principal=caller_of(request)))


class JobView(APIView):
    """POST /api/v1/jobs/{name}."""

    required_scopes = {"POST": "ops:write"}

    @extend_schema(operation_id="jobs_start", request=None, responses={202: JobSerializer})
    @once
    def post(self, request: Request, name: str) -> Response:
        """Start a periodic job now: instruments, calendar, candles, gaps or books."""
        if name not in JOBS:
            raise JobUnknown(f"no job {name[:40]}: known are {', '.join(sorted(JOBS))}", field="name")
        with transaction.atomic():
            record(actor=caller_of(request).label, action="ops.job.started", subject=name, now=timezone.now())
        return Response({"job": name, "task": start(name)}, status=status.HTTP_202_ACCEPTED)
