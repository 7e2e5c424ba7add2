"""The portfolio API: what changes a portfolio, each once for its Idempotency-Key."""

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
from orders.requests import IDEMPOTENCY, idempotency_key
from portfolio.instructions import Kind, State, Wanted, instruct
from portfolio.models import Instruction
from portfolio.queries import visible_instruction
from portfolio.readings import Kind as Reading
from portfolio.serializers import (
    AccountSerializer,
    ConversionSerializer,
    FundOrderSerializer,
    InstructionFilterSerializer,
    InstructionListSerializer,
    InstructionSerializer,
    RowsSerializer,
    ScopeSerializer,
    SipChangeSerializer,
    SipSerializer,
    instruction_document,
)
from portfolio.views import ReadingView, sessions_of

ANSWERS: dict[int, Any] = {200: InstructionSerializer, 202: InstructionSerializer}
PROBLEM = "application/problem+json"
REFUSALS = {
    State.REFUSED: status.HTTP_422_UNPROCESSABLE_ENTITY,
    State.NOT_DONE: status.HTTP_503_SERVICE_UNAVAILABLE,
}
READ_AND_WRITE = {"GET": "orders:read", "POST": "orders:write"}


class ConversionView(APIView):
    """POST /api/v1/positions/conversions."""

    required_scopes: ClassVar[dict[str, str]] = {"POST": "orders:write"}

    @extend_schema(
        operation_id="positions_convert", request=ConversionSerializer, responses=ANSWERS, parameters=[IDEMPOTENCY]
    )
    def post(self, request: Request) -> Response:
        """Move part of a position to another product."""
        body = ConversionSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        return carried(request, Kind.CONVERSION, dict(body.validated_data))


class FundOrderListView(ReadingView):
    """GET and POST /api/v1/funds/orders."""

    required_scopes = READ_AND_WRITE
    kind = Reading.FUND_ORDERS

    @extend_schema(operation_id="fund_orders_list", parameters=[ScopeSerializer], responses=RowsSerializer)
    def get(self, request: Request) -> Response:
        """List mutual-fund orders."""
        return super().get(request)

    @extend_schema(
        operation_id="fund_orders_place", request=FundOrderSerializer, responses=ANSWERS, parameters=[IDEMPOTENCY]
    )
    def post(self, request: Request) -> Response:
        """Buy for an amount or sell units; Kite documents fund orders as read-only today and may refuse."""
        body = FundOrderSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        return carried(request, Kind.FUND_ORDER, dict(body.validated_data))


class FundOrderView(APIView):
    """DELETE /api/v1/funds/orders/{id}?account=."""

    required_scopes: ClassVar[dict[str, str]] = {"DELETE": "orders:write"}

    @extend_schema(operation_id="fund_orders_cancel", parameters=[AccountSerializer, IDEMPOTENCY], responses=ANSWERS)
    def delete(self, request: Request, order_id: str) -> Response:
        """Cancel a mutual-fund order."""
        query = AccountSerializer(data=request.query_params)
        query.is_valid(raise_exception=True)
        return carried(request, Kind.FUND_ORDER_CANCEL, {**query.validated_data, "order_id": order_id})


class SipListView(ReadingView):
    """GET and POST /api/v1/funds/sips."""

    required_scopes = READ_AND_WRITE
    kind = Reading.FUND_SIPS

    @extend_schema(operation_id="fund_sips_list", parameters=[ScopeSerializer], responses=RowsSerializer)
    def get(self, request: Request) -> Response:
        """List systematic investment plans."""
        return super().get(request)

    @extend_schema(operation_id="fund_sips_place", request=SipSerializer, responses=ANSWERS, parameters=[IDEMPOTENCY])
    def post(self, request: Request) -> Response:
        """Start a systematic investment plan."""
        body = SipSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        return carried(request, Kind.SIP, dict(body.validated_data))


class SipView(APIView):
    """PATCH and DELETE /api/v1/funds/sips/{id}."""

    required_scopes: ClassVar[dict[str, str]] = {"PATCH": "orders:write", "DELETE": "orders:write"}

    @extend_schema(
        operation_id="fund_sips_modify", request=SipChangeSerializer, responses=ANSWERS, parameters=[IDEMPOTENCY]
    )
    def patch(self, request: Request, sip_id: str) -> Response:
        """Change or pause a plan."""
        body = SipChangeSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        return carried(request, Kind.SIP_CHANGE, {**body.validated_data, "sip_id": sip_id})

    @extend_schema(operation_id="fund_sips_cancel", parameters=[AccountSerializer, IDEMPOTENCY], responses=ANSWERS)
    def delete(self, request: Request, sip_id: str) -> Response:
        """End a plan."""
        query = AccountSerializer(data=request.query_params)
        query.is_valid(raise_exception=True)
        return carried(request, Kind.SIP_CANCEL, {**query.validated_data, "sip_id": sip_id})


class InstructionListView(APIView):
    """GET /api/v1/instructions."""

    required_scopes: ClassVar[dict[str, str]] = {"GET": "orders:read"}

    @extend_schema(
        operation_id="instructions_list", parameters=[InstructionFilterSerializer], responses=InstructionListSerializer
    )
    def get(self, request: Request) -> Response:
        """List conversions and fund instructions, newest first."""
        form = InstructionFilterSerializer(data=request.query_params)
        form.is_valid(raise_exception=True)
        wanted, principal = form.validated_data, caller_of(request)
        rows = Instruction.objects.select_related("account").order_by("-created_at", "-id")
        if principal.account_ids is not None:
            rows = rows.filter(account_id__in=principal.account_ids)
        if "account" in wanted:
            rows = rows.filter(account=account_by_label(label=wanted["account"], principal=principal))
        if "state" in wanted:
            rows = rows.filter(state=wanted["state"])
        page, following = newest_first(rows=rows, cursor=wanted.get("cursor"), limit=wanted["limit"])
        return Response({"results": [instruction_document(row) for row in page], "next": following})


class InstructionView(APIView):
    """GET /api/v1/instructions/{id}."""

    required_scopes: ClassVar[dict[str, str]] = {"GET": "orders:read"}

    @extend_schema(operation_id="instructions_get", responses=InstructionSerializer)
    def get(self, request: Request, instruction_id: UUID) -> Response:
        """Show one instruction and what became of it."""
        found = visible_instruction(principal=caller_of(request), instruction_id=instruction_id)
        return Response(instruction_document(found))


def carried(request: Request, kind: Kind, body: dict[str, Any]) -> Response:
    """Carry the checked body to the broker and answer with the instruction."""
    principal = caller_of(request)
    account = account_by_label(label=body.pop("account"), principal=principal)
    done = instruct(
        principal=principal,
        wanted=Wanted(account=account, kind=kind, body=body, idempotency_key=idempotency_key(request)),
        sessions=sessions_of(request),
        now=timezone.now(),
    )
    found = done.instruction
    headers = {
        "Location": reverse("instruction", args=[found.pk]),
        "Idempotent-Replayed": str(done.replayed).lower(),
    }
    if found.state in REFUSALS:
        return Response(_problem(found), status=REFUSALS[State(found.state)], headers=headers, content_type=PROBLEM)
    code = status.HTTP_200_OK if found.state == State.DONE else status.HTTP_202_ACCEPTED
    return Response(instruction_document(found), status=code, headers=headers)


def _problem(found: Instruction) -> dict[str, Any]:
    return {
        "type": f"urn:ticker:problem:{found.code}",
        "code": found.code,
        "status": REFUSALS[State(found.state)],
        "detail": found.reason,
        "outcome": found.outcome,
        "retryable": found.state == State.NOT_DONE,
        "instruction": instruction_document(found),
    }
