"""The webhooks API: endpoints, their secrets, the log of deliveries and their repetition."""

import json
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
from accounts.once import once
from accounts.permissions import caller_of
from webhooks import delivery, keeping, tasks
from webhooks.announcing import announce_to
from webhooks.errors import EndpointUnknown
from webhooks.models import Attempt, Delivery
from webhooks.queries import visible_deliveries, visible_endpoint, visible_endpoints
from webhooks.serializers import (
    DeliveryDetailSerializer,
    DeliveryFilterSerializer,
    DeliveryListSerializer,
    DeliverySerializer,
    EndpointChangeSerializer,
    EndpointListSerializer,
    EndpointSerializer,
    NewEndpointSerializer,
    SecretSerializer,
    attempt_document,
    delivery_document,
    endpoint_document,
)

TEST_KIND = "webhooks.test"
READ, WRITE = "orders:read", "ops:write"


class EndpointListView(APIView):
    """GET and POST /api/v1/webhooks."""

    required_scopes: ClassVar[dict[str, str]] = {"GET": READ, "POST": WRITE}

    @extend_schema(operation_id="webhooks_list", responses=EndpointListSerializer)
    def get(self, request: Request) -> Response:
        """List the webhooks the caller may see."""
        rows = visible_endpoints(caller_of(request)).order_by("created_at", "id")
        return Response({"results": [endpoint_document(row) for row in rows]})

    @extend_schema(operation_id="webhooks_add", request=NewEndpointSerializer, responses={201: EndpointSerializer})
    @once
    def post(self, request: Request) -> Response:
        """Add a webhook; its signing secret is yours, and no answer shows it."""
        body = NewEndpointSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        made = keeping.add(principal=caller_of(request), wanted=body.validated_data, now=timezone.now())
        headers = {"Location": reverse("webhook", args=[made.pk])}
        return Response(endpoint_document(made), status=status.HTTP_201_CREATED, headers=headers)


class EndpointView(APIView):
    """GET, PATCH and DELETE /api/v1/webhooks/{id}."""

    required_scopes: ClassVar[dict[str, str]] = {"GET": READ, "PATCH": WRITE, "DELETE": WRITE}

    @extend_schema(operation_id="webhooks_get", responses=EndpointSerializer)
    def get(self, request: Request, endpoint_id: UUID) -> Response:
        """Show one webhook."""
        found = visible_endpoint(principal=caller_of(request), endpoint_id=endpoint_id)
        return Response(endpoint_document(found))

    @extend_schema(operation_id="webhooks_change", request=EndpointChangeSerializer, responses=EndpointSerializer)
    @once
    def patch(self, request: Request, endpoint_id: UUID) -> Response:
        """Change a webhook; enabling it again lets it start afresh."""
        principal = caller_of(request)
        found = visible_endpoint(principal=principal, endpoint_id=endpoint_id)
        body = EndpointChangeSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        changed = keeping.change(principal=principal, endpoint=found, wanted=body.validated_data, now=timezone.now())
        return Response(endpoint_document(changed))

    @extend_schema(operation_id="webhooks_remove", responses={204: None})
    @once
    def delete(self, request: Request, endpoint_id: UUID) -> Response:
        """Remove a webhook and forget its secret."""
        principal = caller_of(request)
        found = visible_endpoint(principal=principal, endpoint_id=endpoint_id)
        keeping.remove(principal=principal, endpoint=found, now=timezone.now())
        return Response(status=status.HTTP_204_NO_CONTENT)


class SecretView(APIView):
    """POST /api/v1/webhooks/{id}/secret."""

    required_scopes: ClassVar[dict[str, str]] = {"POST": WRITE}

    @extend_schema(operation_id="webhooks_rotate_secret", request=SecretSerializer, responses=EndpointSerializer)
    @once
    def post(self, request: Request, endpoint_id: UUID) -> Response:
        """Give a webhook a new signing secret; the former one signs beside it for a day."""
        principal = caller_of(request)
        found = visible_endpoint(principal=principal, endpoint_id=endpoint_id)
        body = SecretSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        secret = body.validated_data["secret"]
        held = keeping.rotate_secret(principal=principal, endpoint=found, secret=secret, now=timezone.now())
        return Response(endpoint_document(held))


class TestView(APIView):
    """POST /api/v1/webhooks/{id}/test."""

    required_scopes: ClassVar[dict[str, str]] = {"POST": WRITE}

    @extend_schema(operation_id="webhooks_test", request=None, responses={202: DeliverySerializer})
    @once
    def post(self, request: Request, endpoint_id: UUID) -> Response:
        """Send a message that means nothing, to see whether it arrives."""
        principal = caller_of(request)
        found = visible_endpoint(principal=principal, endpoint_id=endpoint_id)
        sent = announce_to(endpoint=found, kind=TEST_KIND, data={"by": principal.label}, now=timezone.now())
        return Response(delivery_document(sent), status=status.HTTP_202_ACCEPTED)


class DeliveryListView(APIView):
    """GET /api/v1/webhooks/deliveries."""

    required_scopes: ClassVar[dict[str, str]] = {"GET": READ}

    @extend_schema(
        operation_id="webhook_deliveries_list", parameters=[DeliveryFilterSerializer], responses=DeliveryListSerializer
    )
    def get(self, request: Request) -> Response:
        """List deliveries, newest first; `state=dead` lists what was given up."""
        form = DeliveryFilterSerializer(data=request.query_params)
        form.is_valid(raise_exception=True)
        wanted = form.validated_data
        rows = visible_deliveries(caller_of(request))
        if "webhook" in wanted:
            rows = rows.filter(endpoint_id=wanted["webhook"])
        if "state" in wanted:
            rows = rows.filter(state=wanted["state"])
        page, following = newest_first(rows=rows, cursor=wanted.get("cursor"), limit=wanted["limit"])
        return Response({"results": [delivery_document(row) for row in page], "next": following})


class DeliveryView(APIView):
    """GET /api/v1/webhooks/deliveries/{id}."""

    required_scopes: ClassVar[dict[str, str]] = {"GET": READ}

    @extend_schema(operation_id="webhook_deliveries_get", responses=DeliveryDetailSerializer)
    def get(self, request: Request, delivery_id: UUID) -> Response:
        """Show one delivery, what was sent and every try."""
        found = _visible(request, delivery_id)
        tries = Attempt.objects.filter(delivery=found).order_by("id")
        shown: dict[str, Any] = {
            **delivery_document(found),
            "body": json.loads(found.message.body),
            "log": [attempt_document(row) for row in tries],
        }
        return Response(shown)


class ReplayView(APIView):
    """POST /api/v1/webhooks/deliveries/{id}/replay."""

    required_scopes: ClassVar[dict[str, str]] = {"POST": WRITE}

    @extend_schema(operation_id="webhook_deliveries_replay", request=None, responses={202: DeliverySerializer})
    @once
    def post(self, request: Request, delivery_id: UUID) -> Response:
        """Send a message again under the same id."""
        again = delivery.replay(delivery=_visible(request, delivery_id), now=timezone.now())
        tasks.knock(again.pk)
        again = _visible(request, delivery_id)
        return Response(delivery_document(again), status=status.HTTP_202_ACCEPTED)


def _visible(request: Request, delivery_id: UUID) -> Delivery:
    found = visible_deliveries(caller_of(request)).filter(pk=delivery_id).first()
    if found is None:
        raise EndpointUnknown(f"no delivery {delivery_id}")
    return found
