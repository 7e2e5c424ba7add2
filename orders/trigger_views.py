"""The GTT API."""

from typing import Any, ClassVar
from uuid import UUID

from django.urls import reverse
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.cursors import newest_first
from accounts.permissions import caller_of
from accounts.queries import account_by_label
from orders import trigger_book, triggers
from orders.answers import PROBLEM
from orders.parents import Trigger, TriggerWrite
from orders.requests import IDEMPOTENCY, idempotency_key, sessions_of
from orders.trigger_book import trigger_document
from orders.trigger_serializers import (
    TriggerChangeSerializer,
    TriggerFilterSerializer,
    TriggerListSerializer,
    TriggerRequestSerializer,
    TriggerSerializer,
    WrittenSerializer,
)

REFUSALS = {TriggerWrite.State.REFUSED: 422, TriggerWrite.State.NOT_DONE: 503}
WRITTEN = {200: WrittenSerializer, 201: WrittenSerializer, 202: WrittenSerializer}


class TriggerListView(APIView):
    """POST and GET /api/v1/gtts."""

    required_scopes: ClassVar[dict[str, str]] = {"GET": "orders:read", "POST": "orders:write"}

    @extend_schema(
        operation_id="gtts_place", request=TriggerRequestSerializer, responses=WRITTEN, parameters=[IDEMPOTENCY]
    )
    def post(self, request: Request) -> Response:
        """Place a trigger; 202 says that the broker's answer was lost and its list will tell."""
        body = TriggerRequestSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        done = triggers.place(
            principal=caller_of(request),
            account_label=body.validated_data["account"],
            wanted=body.wanted,
            key=idempotency_key(request),
            sessions=sessions_of(request),
            now=timezone.now(),
        )
        return _written(done, good=status.HTTP_201_CREATED)

    @extend_schema(operation_id="gtts_list", parameters=[TriggerFilterSerializer], responses=TriggerListSerializer)
    def get(self, request: Request) -> Response:
        """List triggers, newest first, those placed elsewhere among them."""
        form = TriggerFilterSerializer(data=request.query_params)
        form.is_valid(raise_exception=True)
        wanted, principal = form.validated_data, caller_of(request)
        rows = Trigger.objects.select_related("account").order_by("-created_at", "-id")
        if principal.account_ids is not None:
            rows = rows.filter(account_id__in=principal.account_ids)
        if "account" in wanted:
            account = account_by_label(label=wanted["account"], principal=principal)
            rows = rows.filter(account=account)
            if wanted["fresh"]:
                trigger_book.reconcile(account_id=account.pk, sessions=sessions_of(request), now=timezone.now())
        if "status" in wanted:
            rows = rows.filter(status=wanted["status"])
        page, following = newest_first(rows=rows, cursor=wanted.get("cursor"), limit=wanted["limit"])
        return Response({"results": [trigger_document(row) for row in page], "next": following})


class TriggerView(APIView):
    """GET, PUT and DELETE /api/v1/gtts/{id}."""

    required_scopes: ClassVar[dict[str, str]] = {"GET": "orders:read", "PUT": "orders:write", "DELETE": "orders:write"}

    @extend_schema(operation_id="gtts_get", responses=TriggerSerializer)
    def get(self, request: Request, trigger_id: UUID) -> Response:
        """Show one trigger."""
        return Response(trigger_document(triggers.visible_trigger(principal=caller_of(request), trigger_id=trigger_id)))

    @extend_schema(
        operation_id="gtts_modify", request=TriggerChangeSerializer, responses=WRITTEN, parameters=[IDEMPOTENCY]
    )
    def put(self, request: Request, trigger_id: UUID) -> Response:
        """Give a waiting trigger other values and legs."""
        body = TriggerChangeSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        done = triggers.modify(
            principal=caller_of(request),
            trigger_id=trigger_id,
            wanted=body.wanted,
            key=idempotency_key(request),
            sessions=sessions_of(request),
            now=timezone.now(),
        )
        return _written(done)

    @extend_schema(operation_id="gtts_cancel", responses=WRITTEN, parameters=[IDEMPOTENCY])
    def delete(self, request: Request, trigger_id: UUID) -> Response:
        """Take a waiting trigger back."""
        done = triggers.cancel(
            principal=caller_of(request),
            trigger_id=trigger_id,
            key=idempotency_key(request),
            sessions=sessions_of(request),
            now=timezone.now(),
        )
        return _written(done)


def _written(done: triggers.Written, *, good: int = status.HTTP_200_OK) -> Response:
    write = done.write
    document: dict[str, Any] = {**trigger_document(done.trigger), "outcome": write.outcome}
    headers = {
        "Location": reverse("gtt", args=[done.trigger.pk]),
        "Idempotent-Replayed": str(done.replayed).lower(),
    }
    state = TriggerWrite.State(write.state)
    if state in REFUSALS:
        problem = {
            "type": f"urn:ticker:problem:{write.code}",
            "code": write.code,
            "status": REFUSALS[state],
            "detail": write.reason,
            "outcome": write.outcome,
            "retryable": state is TriggerWrite.State.NOT_DONE,
            "gtt": document,
        }
        return Response(problem, status=REFUSALS[state], headers=headers, content_type=PROBLEM)
    in_doubt = state is not TriggerWrite.State.DONE
    code = status.HTTP_202_ACCEPTED if in_doubt else status.HTTP_200_OK if done.replayed else good
    return Response(document, status=code, headers=headers)
