"""The API of halts: engage at once, let go with two people, clear what is open and say what is left."""

from django.utils import timezone
from drf_spectacular.utils import PolymorphicProxySerializer, extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.models import BrokerAccount, TradingHalt
from accounts.once import once
from accounts.permissions import caller_of
from accounts.queries import Principal, open_halts, visible_accounts
from ops import clearing, halt
from ops.errors import HaltUnknown, TargetUnknown
from ops.serializers import (
    ApprovalAskedSerializer,
    ClearSerializer,
    EngageSerializer,
    HaltSerializer,
    ReleaseSerializer,
    ReportSerializer,
)
from ops.stops import HaltReport

CLEARED = PolymorphicProxySerializer(
    "Cleared", [ReportSerializer, ApprovalAskedSerializer], resource_type_field_name=None
)


class HaltsView(APIView):
    """GET and POST /api/v1/halts."""

    required_scopes = {"GET": "ops:read", "POST": "ops:write"}

    @extend_schema(operation_id="halts", responses=HaltSerializer(many=True))
    def get(self, request: Request) -> Response:
        """Return the halts in force that concern the caller."""
        principal = caller_of(request)
        seen = set(visible_accounts(principal).values_list("label", flat=True))
        account = TradingHalt.Scope.ACCOUNT
        rows = [row for row in open_halts() if row.scope != account or row.target in seen]
        return Response(HaltSerializer(rows, many=True).data)

    @extend_schema(operation_id="halts_engage", request=EngageSerializer, responses={201: HaltSerializer})
    @once
    def post(self, request: Request) -> Response:
        """Stop trading; from the answer on no order leaves that was not on the wire."""
        principal = caller_of(request)
        form = EngageSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        wanted = form.validated_data
        scope = TradingHalt.Scope(wanted["scope"])
        if not _sees(principal, TradingHalt(scope=scope, target=wanted["target"])):
            raise TargetUnknown(f"no account is labelled {wanted['target']!r}", field="target")
        now = timezone.now()
        engaged = halt.engage(
            scope=scope,
            target=wanted["target"],
            level=TradingHalt.Level(wanted["level"]),
            reason=wanted["reason"],
            actor=principal.label,
            now=now,
        )
        if wanted["cancel_orders"]:
            clearing.begin(halt_id=engaged.pk, flatten=False, actor=principal.label, now=now)
        return Response(HaltSerializer(engaged).data, status=status.HTTP_201_CREATED)


class ReleaseView(APIView):
    """POST /api/v1/halts/{id}/release."""

    required_scopes = {"POST": "ops:write"}
    stepped_up = ("POST",)

    @extend_schema(
        operation_id="halts_release",
        request=ReleaseSerializer,
        responses={200: HaltSerializer, 202: ApprovalAskedSerializer},
    )
    @once
    def post(self, request: Request, halt_id: int) -> Response:
        """Let trading go on once a second person approved it; with `ask`, ask for that."""
        principal = caller_of(request)
        _visible(principal, halt_id)
        form = ReleaseSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        reason, now = form.validated_data["reason"], timezone.now()
        if form.validated_data["ask"]:
            asked = halt.ask_release(halt_id=halt_id, by=principal, reason=reason, now=now)
            return Response(ApprovalAskedSerializer(asked).data, status=status.HTTP_202_ACCEPTED)
        released = halt.release(halt_id=halt_id, actor=principal.label, now=now, reason=reason)
        return Response(HaltSerializer(released).data)


class ClearingView(APIView):
    """GET and POST /api/v1/halts/{id}/clearing."""

    required_scopes = {"GET": "ops:read", "POST": "ops:write"}
    stepped_up = ("POST",)

    @extend_schema(operation_id="halts_clearing", responses=ReportSerializer)
    def get(self, request: Request, halt_id: int) -> Response:
        """Return how far the clearing is, and what was left at the last look."""
        report = HaltReport.objects.filter(halt_id=halt_id).select_related("halt").first()
        if report is None or not _sees(caller_of(request), report.halt):
            raise HaltUnknown(f"nothing is cleared under halt {halt_id}")
        return Response(ReportSerializer(report).data)

    @extend_schema(operation_id="halts_clear", request=ClearSerializer, responses={202: CLEARED})
    @once
    def post(self, request: Request, halt_id: int) -> Response:
        """Take back what is open, and with `flatten` close the positions, which a second person must have approved."""
        principal = caller_of(request)
        _visible(principal, halt_id)
        form = ClearSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        now, wanted = timezone.now(), form.validated_data
        if wanted["ask"]:
            asked = clearing.ask_flatten(halt_id=halt_id, by=principal, reason=wanted["reason"], now=now)
            return Response(ApprovalAskedSerializer(asked).data, status=status.HTTP_202_ACCEPTED)
        report = clearing.begin(halt_id=halt_id, flatten=wanted["flatten"], actor=principal.label, now=now)
        return Response(ReportSerializer(report).data, status=status.HTTP_202_ACCEPTED)


def _sees(principal: Principal, held: TradingHalt) -> bool:
    """A halt of one account concerns those who see the account; the others concern everybody."""
    if held.scope != TradingHalt.Scope.ACCOUNT:
        return True
    account = BrokerAccount.objects.filter(label=held.target).first()
    return account is not None and principal.sees(account.pk)


def _visible(principal: Principal, halt_id: int) -> None:
    if not _sees(principal, halt.standing(halt_id=halt_id)):
        raise HaltUnknown(f"halt {halt_id} is not in force")
