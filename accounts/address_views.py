"""The accounts API about where orders leave from, about an account's history, and about all accounts in numbers."""

from collections import Counter

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts import egress, health
from accounts.addresses import EgressCheck
from accounts.models import AuditEntry, BrokerAccount
from accounts.once import once
from accounts.permissions import caller_of
from accounts.queries import account_by_label, current_credentials, login_for, open_halts, visible_accounts
from accounts.serializers import (
    AddressesSerializer,
    HistorySerializer,
    RegisteredAddressesSerializer,
    StatsSerializer,
)
from accounts.sessions import Sessions

NEWEST = 100


class AddressesView(APIView):
    """GET and PUT /api/v1/accounts/{label}/addresses."""

    required_scopes = {"GET": "accounts:read", "PUT": "accounts:write"}
    stepped_up = ("PUT",)

    @extend_schema(operation_id="accounts_addresses", responses=RegisteredAddressesSerializer)
    def get(self, request: Request, label: str) -> Response:
        """Return the registered addresses and what was seen last."""
        return Response(_document(account_by_label(label=label, principal=caller_of(request))))

    @extend_schema(
        operation_id="accounts_register_addresses",
        request=AddressesSerializer,
        responses=RegisteredAddressesSerializer,
    )
    @once
    def put(self, request: Request, label: str) -> Response:
        """Make these the registered addresses; orders leave from one of them, or not at all."""
        principal = caller_of(request)
        account = account_by_label(label=label, principal=principal)
        form = AddressesSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        egress.register(account_id=account.pk, actor=principal.label, now=timezone.now(), **form.validated_data)
        return Response(_document(account_by_label(label=label, principal=principal)))


class EgressCheckView(APIView):
    """POST /api/v1/accounts/{label}/egress-check."""

    required_scopes = {"POST": "ops:write"}

    @extend_schema(operation_id="accounts_egress_check", request=None, responses=RegisteredAddressesSerializer)
    @once
    def post(self, request: Request, label: str) -> Response:
        """Look now from where the account's orders leave."""
        principal = caller_of(request)
        account = account_by_label(label=label, principal=principal)
        now = timezone.now()
        sessions: Sessions = request.kite  # type: ignore[attr-defined] # by the middleware
        egress.check(login=login_for(account_id=account.pk, now=now), sessions=sessions, now=now)
        return Response(_document(account_by_label(label=label, principal=principal)))


class HistoryView(APIView):
    """GET /api/v1/accounts/{label}/history."""

    required_scopes = {"GET": "accounts:read"}

    @extend_schema(operation_id="accounts_history", responses=HistorySerializer)
    def get(self, request: Request, label: str) -> Response:
        """Return what became of an account: its states, logins, breakers and addresses, with who and why."""
        account = account_by_label(label=label, principal=caller_of(request))
        entries = AuditEntry.objects.filter(subject=health.subject_of(account)).order_by("-at", "-id")
        return Response(HistorySerializer({"results": entries[:NEWEST]}).data)


class StatsView(APIView):
    """GET /api/v1/accounts/stats."""

    required_scopes = {"GET": "accounts:read"}

    @extend_schema(operation_id="accounts_stats", responses=StatsSerializer)
    def get(self, request: Request) -> Response:
        """Count the accounts the caller may see."""
        accounts = visible_accounts(caller_of(request))
        held, now, halts = current_credentials(accounts=accounts), timezone.now(), open_halts()
        numbers = {
            "total": len(accounts),
            "logged_in": sum(row.is_live(now=now) for row in held.values()),
            "streams_data": sum(row.streams_data for row in accounts),
            "places_orders": sum(row.places_orders for row in accounts),
            "orders_refused_by_egress": sum(bool(row.egress_fault) for row in accounts),
            "halted": sum(any(halt.covers_account(row.label) for halt in halts) for row in accounts),
            "states": Counter(row.state for row in accounts),
            "groups": Counter(row.group.name for row in accounts if row.group is not None),
        }
        return Response(StatsSerializer(numbers).data)


def _document(account: BrokerAccount) -> object:
    seen = EgressCheck.objects.filter(account=account).order_by("-at", "-id").first()
    document = {
        "addresses": egress.addresses_of(account_id=account.pk),
        "egress_fault": account.egress_fault,
        "seen": seen and seen.observed,
        "verdict": seen and seen.verdict,
        "why": seen and seen.why,
        "seen_at": seen and seen.at,
    }
    return RegisteredAddressesSerializer(document).data
