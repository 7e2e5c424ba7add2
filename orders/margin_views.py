"""Margins and charges before an order is placed."""

from typing import Any, ClassVar

from django.utils import timezone
from drf_spectacular.utils import OpenApiExample, extend_schema, extend_schema_serializer
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.models import BrokerAccount
from accounts.permissions import caller_of
from accounts.queries import account_by_label
from accounts.strict import StrictSerializer
from orders import margins
from orders.basket_serializers import SPREAD, LegRequestSerializer
from orders.drafts import Wanted
from orders.requests import sessions_of

BODY = {"account": "main", "orders": SPREAD["legs"]}


@extend_schema_serializer(examples=[OpenApiExample("two orders", BODY, request_only=True)])
class CalculationSerializer(StrictSerializer):
    """Orders to be calculated; nothing is placed."""

    account = serializers.SlugField(max_length=50)
    orders = LegRequestSerializer(many=True, min_length=1, max_length=20)  # type: ignore[call-arg]

    @property
    def wanted(self) -> list[Wanted]:
        """The orders as values."""
        label = self.validated_data["account"]
        rows = ({n: v for n, v in order.items() if n != "after"} for order in self.validated_data["orders"])
        return [Wanted(account=label, **row) for row in rows]


class BasketCalculationSerializer(CalculationSerializer):
    """Orders to be calculated together."""

    consider_positions = serializers.BooleanField(default=True)


class MarginSerializer(serializers.Serializer[Any]):
    """Margin in rupees."""

    type = serializers.CharField()
    tradingsymbol = serializers.CharField()
    exchange = serializers.CharField()
    span = serializers.FloatField()
    exposure = serializers.FloatField()
    option_premium = serializers.FloatField()
    additional = serializers.FloatField()
    bo = serializers.FloatField()
    cash = serializers.FloatField()
    var = serializers.FloatField()
    leverage = serializers.FloatField()
    total = serializers.FloatField()
    charges = serializers.JSONField()


class MarginListSerializer(serializers.Serializer[Any]):
    """The margin of each order."""

    results = MarginSerializer(many=True)


class BasketMarginSerializer(serializers.Serializer[Any]):
    """Margin without and with the legs' benefit for each other."""

    initial = MarginSerializer()
    final = MarginSerializer()
    orders = MarginSerializer(many=True)


class ChargeListSerializer(serializers.Serializer[Any]):
    """The virtual contract note: a row with `charges` an order, as the broker writes it."""

    results = serializers.ListField(child=serializers.JSONField())


class OrderMarginView(APIView):
    """POST /api/v1/orders/margins."""

    required_scopes: ClassVar[dict[str, str]] = {"POST": "orders:read"}

    @extend_schema(operation_id="orders_margins", request=CalculationSerializer, responses=MarginListSerializer)
    def post(self, request: Request) -> Response:
        """Calculate the margin of each order on its own; places nothing, so it needs no Idempotency-Key."""
        body, account = _read(request, CalculationSerializer)
        found = margins.order_margins(
            account=account, orders=body.wanted, sessions=sessions_of(request), now=timezone.now()
        )
        return Response({"results": found})


class BasketMarginView(APIView):
    """POST /api/v1/baskets/margins."""

    required_scopes: ClassVar[dict[str, str]] = {"POST": "orders:read"}

    @extend_schema(
        operation_id="baskets_margins", request=BasketCalculationSerializer, responses=BasketMarginSerializer
    )
    def post(self, request: Request) -> Response:
        """Calculate the margin of orders together; places nothing."""
        body, account = _read(request, BasketCalculationSerializer)
        found = margins.basket_margins(
            account=account,
            orders=body.wanted,
            consider_positions=body.validated_data["consider_positions"],
            sessions=sessions_of(request),
            now=timezone.now(),
        )
        return Response(found)


class ChargeView(APIView):
    """POST /api/v1/orders/charges."""

    required_scopes: ClassVar[dict[str, str]] = {"POST": "orders:read"}

    @extend_schema(operation_id="orders_charges", request=CalculationSerializer, responses=ChargeListSerializer)
    def post(self, request: Request) -> Response:
        """Calculate brokerage, taxes and fees of orders; places nothing."""
        body, account = _read(request, CalculationSerializer)
        found = margins.charges(account=account, orders=body.wanted, sessions=sessions_of(request), now=timezone.now())
        return Response({"results": found})


def _read(request: Request, kind: type[CalculationSerializer]) -> tuple[CalculationSerializer, BrokerAccount]:
    body = kind(data=request.data)
    body.is_valid(raise_exception=True)
    return body, account_by_label(label=body.validated_data["account"], principal=caller_of(request))
