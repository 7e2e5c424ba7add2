"""The orders API."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from django.urls import reverse
from django.utils import timezone
from drf_spectacular.utils import PolymorphicProxySerializer, extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.cursors import newest_first
from accounts.permissions import caller_of
from accounts.queries import account_by_label
from orders import intake
from orders.answers import group_response
from orders.basket_serializers import BasketSerializer
from orders.baskets import sliced
from orders.budget import remaining
from orders.clock import trading_day
from orders.models import Order, OrderCommand, OrderEvent, Trade
from orders.pages import page_of_trades
from orders.queries import budget_of
from orders.requests import IDEMPOTENCY, MAY_REPEAT, PREFER, idempotency_key, preferred_wait, sessions_of, wait_until
from orders.serializers import (
    AskedSerializer,
    EventListSerializer,
    OrderChangeSerializer,
    OrderFilterSerializer,
    OrderListSerializer,
    OrderRequestSerializer,
    OrderSerializer,
    TradeFilterSerializer,
    TradeListSerializer,
)
from orders.states import FINAL, CommandState, State
from orders.stream import event_document, order_document, trade_document

# A wait ends when the broker's answer is written down or there will be none.
ANSWERED = (frozenset(State) - {State.READY, State.CLAIMED, State.SENDING, State.AWAITING_APPROVAL}) | FINAL
HALT_STATUS = 423


PLACED = PolymorphicProxySerializer("Placed", [OrderSerializer, BasketSerializer], resource_type_field_name=None)


class OrderListView(APIView):
    """POST and GET /api/v1/orders."""

    required_scopes = {"GET": "orders:read", "POST": "orders:write"}

    @extend_schema(
        operation_id="orders_place",
        request=OrderRequestSerializer,
        responses={202: PLACED, 200: PLACED},
        parameters=[IDEMPOTENCY, PREFER],
    )
    def post(self, request: Request) -> Response:
        """Take an order in; it is carried to the broker by the workers. Sliced, it is answered as a group."""
        body = OrderRequestSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        if body.wanted.autoslice:
            return group_response(request, sliced(body.wanted), now=timezone.now())
        placed = intake.place(
            principal=caller_of(request),
            wanted=body.wanted,
            idempotency_key=idempotency_key(request),
            sessions=sessions_of(request),
            now=timezone.now(),
        )
        return order_response(request, placed)

    @extend_schema(operation_id="orders_list", parameters=[OrderFilterSerializer], responses=OrderListSerializer)
    def get(self, request: Request) -> Response:
        """List orders, newest first."""
        wanted = filters_of(request)
        rows = Order.objects.select_related("account").filter(**account_filter(request, wanted))
        if "state" in wanted:
            rows = rows.filter(state=wanted["state"])
        if "day" in wanted:
            rows = rows.filter(trading_day=wanted["day"])
        page, following = newest_first(rows=rows, cursor=wanted.get("cursor"), limit=wanted["limit"])
        return Response({"results": [order_document(order) for order in page], "next": following})


class OrderView(APIView):
    """GET, PATCH and DELETE /api/v1/orders/{id}."""

    required_scopes = {"GET": "orders:read", "PATCH": "orders:write", "DELETE": "orders:write"}

    @extend_schema(operation_id="orders_get", responses=OrderSerializer)
    def get(self, request: Request, order_id: UUID) -> Response:
        """Show one order."""
        order = intake.visible_order(principal=caller_of(request), order_id=order_id)
        return Response(order_document(order), headers=_budget_headers(order))

    @extend_schema(
        operation_id="orders_modify",
        request=OrderChangeSerializer,
        responses={202: AskedSerializer, 200: AskedSerializer},
        parameters=[IDEMPOTENCY, PREFER],
    )
    def patch(self, request: Request, order_id: UUID) -> Response:
        """Ask for new values of an order at the broker."""
        body = OrderChangeSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        asked = intake.modify(
            principal=caller_of(request),
            order_id=order_id,
            wanted=body.validated_data,
            idempotency_key=idempotency_key(request),
            now=timezone.now(),
        )
        return asked_response(request, asked)

    @extend_schema(
        operation_id="orders_cancel",
        responses={202: AskedSerializer, 200: AskedSerializer},
        parameters=[MAY_REPEAT, PREFER],
    )
    def delete(self, request: Request, order_id: UUID) -> Response:
        """Ask for the end of an order; asking twice is asking once."""
        asked = intake.cancel(
            principal=caller_of(request),
            order_id=order_id,
            idempotency_key=request.headers.get("Idempotency-Key"),
            now=timezone.now(),
        )
        return asked_response(request, asked)


class OrderEventListView(APIView):
    """GET /api/v1/orders/{id}/events."""

    required_scopes = {"GET": "orders:read"}

    @extend_schema(operation_id="orders_events", responses=EventListSerializer)
    def get(self, request: Request, order_id: UUID) -> Response:
        """Show an order's history, oldest first."""
        order = intake.visible_order(principal=caller_of(request), order_id=order_id)
        events = OrderEvent.objects.filter(order=order).order_by("sequence")
        return Response({"results": [event_document(event) for event in events]})


class TradeListView(APIView):
    """GET /api/v1/trades."""

    required_scopes = {"GET": "orders:read"}

    @extend_schema(operation_id="trades_list", parameters=[TradeFilterSerializer], responses=TradeListSerializer)
    def get(self, request: Request) -> Response:
        """List trades, last heard first."""
        wanted = filters_of(request, TradeFilterSerializer)
        rows = Trade.objects.select_related("account").filter(**account_filter(request, wanted))
        if "day" in wanted:
            rows = rows.filter(trading_day=wanted["day"])
        page, following = page_of_trades(rows=rows, cursor=wanted.get("cursor"), limit=wanted["limit"])
        return Response({"results": [trade_document(trade) for trade in page], "next": following})


def order_response(request: Request, placed: intake.Placed) -> Response:
    """Answer with an order, once the broker has or the caller's patience is over."""
    order, replayed = _after_waiting(placed.order, seconds=preferred_wait(request)), placed.replayed
    location = reverse("order", args=[order.pk])
    headers = {"Location": location, "Idempotent-Replayed": str(replayed).lower(), **_budget_headers(order)}
    if order.state == State.DENIED:
        return _denial(order, headers=headers)
    code = status.HTTP_200_OK if replayed else status.HTTP_202_ACCEPTED
    return Response(order_document(order), status=code, headers=headers)


def _denial(order: Order, *, headers: dict[str, str]) -> Response:
    halted = order.reason_code == "TRADING_HALTED"
    code = HALT_STATUS if halted else status.HTTP_422_UNPROCESSABLE_ENTITY
    document = {
        "type": f"urn:ticker:problem:{order.reason_code.lower()}",
        "code": order.reason_code.lower(),
        "status": code,
        "detail": order.reason,
        "outcome": order.outcome.value,
        "retryable": halted,
        "order": order_document(order),
    }
    return Response(document, status=code, headers=headers, content_type="application/problem+json")


def asked_response(request: Request, asked: intake.Asked) -> Response:
    """Answer with a command and its order, once the broker has or the caller's patience is over."""
    command, seconds = asked.command, preferred_wait(request)
    if command is not None and not asked.replayed:
        wait_until(lambda: _command_settled(command), seconds=seconds)
        asked.order.refresh_from_db()
    shown = None
    if command is not None:
        shown = {
            "id": str(command.pk),
            "kind": command.kind,
            "state": command.state,
            "reason_code": command.reason_code,
            "reason": command.reason,
            "changes": command.changes,
        }
    done = command is None or asked.replayed
    code = status.HTTP_200_OK if done else status.HTTP_202_ACCEPTED
    headers = {"Idempotent-Replayed": str(asked.replayed).lower(), **_budget_headers(asked.order)}
    return Response({"command": shown, "order": order_document(asked.order)}, status=code, headers=headers)


def _after_waiting(order: Order, *, seconds: float) -> Order:
    wait_until(lambda: _answered(order), seconds=seconds)
    return order


def _answered(order: Order) -> bool:
    if State(order.state) in ANSWERED:
        return True
    order.refresh_from_db()
    return State(order.state) in ANSWERED


def _command_settled(command: OrderCommand) -> bool:
    command.refresh_from_db(fields=["state", "reason_code", "reason"])
    return command.state in {CommandState.DONE, CommandState.REJECTED, CommandState.EXPIRED, CommandState.UNKNOWN}


def filters_of(request: Request, form: type[TradeFilterSerializer] = OrderFilterSerializer) -> dict[str, Any]:
    """Return the checked query of a list of orders or trades."""
    body = form(data=request.query_params)
    body.is_valid(raise_exception=True)
    wanted: dict[str, Any] = body.validated_data
    return wanted


def account_filter(request: Request, wanted: Mapping[str, Any]) -> dict[str, Any]:
    """Return the lookup of the accounts that the caller may see, or of the one named."""
    principal = caller_of(request)
    if "account" in wanted:
        return {"account": account_by_label(label=wanted["account"], principal=principal)}
    return {} if principal.account_ids is None else {"account_id__in": principal.account_ids}


def _budget_headers(order: Order) -> dict[str, str]:
    """Say what is left of the account's order calls."""
    now = timezone.now()
    budget = budget_of(order.account_id)
    left = remaining(spent=budget.spent, limits=budget.limits, at=now.timestamp(), day=trading_day(now))
    return {f"Broker-Budget-{scope.title()}": str(count) for scope, count in left.items()}
