"""The dead-letter list of orders, their requeue, the exit of cover orders and the acknowledgement of orphans."""

from typing import Any, ClassVar
from uuid import UUID

from django.utils import timezone
from drf_spectacular.utils import OpenApiExample, extend_schema, extend_schema_serializer
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.cursors import newest_first
from accounts.once import once
from accounts.permissions import caller_of
from accounts.strict import StrictSerializer
from orders import intake, letters
from orders.models import Order
from orders.requests import IDEMPOTENCY, PREFER, idempotency_key, sessions_of
from orders.serializers import AskedSerializer, OrderFilterSerializer, OrderSerializer
from orders.stream import order_document
from orders.views import account_filter, asked_response, filters_of, order_response


class LetterSerializer(serializers.Serializer[Any]):
    """An order that ended without reaching its aim."""

    order = OrderSerializer()
    requeue_allowed = serializers.BooleanField()
    forbidden_because = serializers.CharField()


class LetterListSerializer(serializers.Serializer[Any]):
    """A page of dead letters, newest first."""

    results = LetterSerializer(many=True)
    next = serializers.CharField(allow_null=True)


@extend_schema_serializer(
    examples=[OpenApiExample("seen", {"reason": "restored from last night's backup"}, request_only=True)]
)
class AcknowledgementSerializer(StrictSerializer):
    """Body of POST /api/v1/orders/{id}/acknowledge."""

    reason = serializers.CharField(max_length=200)


class LetterListView(APIView):
    """GET /api/v1/orders/dead-letters."""

    required_scopes: ClassVar[dict[str, str]] = {"GET": "orders:read"}

    @extend_schema(
        operation_id="orders_dead_letters", parameters=[OrderFilterSerializer], responses=LetterListSerializer
    )
    def get(self, request: Request) -> Response:
        """List orders that were denied, refused, lost or in doubt, and whether each may be sent again."""
        wanted = filters_of(request)
        rows = letters.letters(Order.objects.select_related("account").filter(**account_filter(request, wanted)))
        if "state" in wanted:
            rows = rows.filter(state=wanted["state"])
        if "day" in wanted:
            rows = rows.filter(trading_day=wanted["day"])
        page, following = newest_first(rows=rows, cursor=wanted.get("cursor"), limit=wanted["limit"])
        shown = [
            {
                "order": order_document(letter.order),
                "requeue_allowed": not letter.forbidden,
                "forbidden_because": letter.forbidden,
            }
            for letter in letters.letters_of(page)
        ]
        return Response({"results": shown, "next": following})


class RequeueView(APIView):
    """POST /api/v1/orders/{id}/requeue."""

    required_scopes: ClassVar[dict[str, str]] = {"POST": "orders:write"}

    @extend_schema(
        operation_id="orders_requeue",
        request=None,
        responses={202: OrderSerializer, 200: OrderSerializer},
        parameters=[IDEMPOTENCY, PREFER],
    )
    def post(self, request: Request, order_id: UUID) -> Response:
        """Place what a never-sent order said anew; refused with the reason where that is not safe."""
        placed = letters.requeue(
            principal=caller_of(request),
            order_id=order_id,
            key=idempotency_key(request),
            sessions=sessions_of(request),
            now=timezone.now(),
        )
        return order_response(request, placed)


class ExitView(APIView):
    """POST /api/v1/orders/{id}/exit."""

    required_scopes: ClassVar[dict[str, str]] = {"POST": "orders:write"}

    @extend_schema(
        operation_id="orders_exit",
        request=None,
        responses={202: AskedSerializer, 200: AskedSerializer},
        parameters=[IDEMPOTENCY, PREFER],
    )
    def post(self, request: Request, order_id: UUID) -> Response:
        """Exit a cover order: its entry while that waits, else its stop."""
        asked = intake.exit_cover(
            principal=caller_of(request),
            order_id=order_id,
            idempotency_key=idempotency_key(request),
            now=timezone.now(),
        )
        return asked_response(request, asked)


class AcknowledgementView(APIView):
    """POST /api/v1/orders/{id}/acknowledge."""

    required_scopes: ClassVar[dict[str, str]] = {"POST": "ops:write"}

    @extend_schema(operation_id="orders_acknowledge", request=AcknowledgementSerializer, responses=OrderSerializer)
    @once
    def post(self, request: Request, order_id: UUID) -> Response:
        """Take note of an order of ours that nobody here remembers, so that its account may order again."""
        body = AcknowledgementSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        order = letters.acknowledge(
            principal=caller_of(request),
            order_id=order_id,
            reason=body.validated_data["reason"],
            now=timezone.now(),
        )
        return Response(order_document(order))
