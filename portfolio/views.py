"""The portfolio API: readings over one account, a group or all."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, ClassVar

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.permissions import caller_of
from accounts.sessions import Sessions
from portfolio.deltas import lines_of
from portfolio.exposure import ProfitAndLoss, by_underlying, profit
from portfolio.queries import accounts_of
from portfolio.readings import Kind, Part, read
from portfolio.serializers import (
    ExposureListSerializer,
    MarginScopeSerializer,
    PositionListSerializer,
    ProfitListSerializer,
    RowsSerializer,
    ScopeSerializer,
    exposure_document,
    labelled,
    part_documents,
    profit_document,
)


class ReadingView(APIView):
    """Rows of one kind over the accounts that were asked for."""

    required_scopes: ClassVar[dict[str, str]] = {"GET": "orders:read"}
    kind: ClassVar[Kind]

    def get(self, request: Request) -> Response:
        """Return the rows, each with its account, and how old each account's answer is."""
        now = timezone.now()
        parts = asked(request, self.kind, now=now)
        return Response({"results": labelled(parts), "accounts": part_documents(parts, now=now)})


class HoldingListView(ReadingView):
    """GET /api/v1/holdings."""

    kind = Kind.HOLDINGS

    @extend_schema(operation_id="holdings_list", parameters=[ScopeSerializer], responses=RowsSerializer)
    def get(self, request: Request) -> Response:
        """List what the demat accounts hold."""
        return super().get(request)


class FundHoldingListView(ReadingView):
    """GET /api/v1/funds/holdings."""

    kind = Kind.FUND_HOLDINGS

    @extend_schema(operation_id="fund_holdings_list", parameters=[ScopeSerializer], responses=RowsSerializer)
    def get(self, request: Request) -> Response:
        """List mutual-fund units held."""
        return super().get(request)


class FundListView(APIView):
    """GET /api/v1/funds."""

    required_scopes: ClassVar[dict[str, str]] = {"GET": "market:read"}

    @extend_schema(operation_id="funds_list", parameters=[ScopeSerializer], responses=RowsSerializer)
    def get(self, request: Request) -> Response:
        """List the mutual funds that can be bought, as one account's broker lists them."""
        now = timezone.now()
        scope = scope_of(request, ScopeSerializer)
        accounts = accounts_of(principal=caller_of(request), account=scope.get("account"), group=scope.get("group"))
        parts = read(
            accounts=accounts[:1], kind=Kind.FUNDS, sessions=sessions_of(request), max_age=scope["max_age"], now=now
        )
        rows = [row for part in parts for row in part.answer]
        return Response({"results": rows, "accounts": part_documents(parts, now=now)})


class PositionListView(APIView):
    """GET /api/v1/positions."""

    required_scopes: ClassVar[dict[str, str]] = {"GET": "orders:read"}

    @extend_schema(operation_id="positions_list", parameters=[ScopeSerializer], responses=PositionListSerializer)
    def get(self, request: Request) -> Response:
        """List positions, net over days and today's alone."""
        now = timezone.now()
        parts = asked(request, Kind.POSITIONS, now=now)
        sides = {side: labelled(parts, side=side) for side in ("net", "day")}
        return Response({**sides, "accounts": part_documents(parts, now=now)})


class MarginListView(APIView):
    """GET /api/v1/margins."""

    required_scopes: ClassVar[dict[str, str]] = {"GET": "orders:read"}

    @extend_schema(operation_id="margins_list", parameters=[MarginScopeSerializer], responses=RowsSerializer)
    def get(self, request: Request) -> Response:
        """List the funds of each account and segment."""
        now = timezone.now()
        segment = scope_of(request, MarginScopeSerializer).get("segment")
        parts = asked(request, Kind.MARGINS, now=now)
        rows = [
            {"account": part.account.label, "segment": name, **values}
            for part in parts
            for name, values in (part.answer or {}).items()
            if segment in {None, name}
        ]
        return Response({"results": rows, "accounts": part_documents(parts, now=now)})


class ProfileListView(APIView):
    """GET /api/v1/profiles."""

    required_scopes: ClassVar[dict[str, str]] = {"GET": "accounts:read"}

    @extend_schema(operation_id="profiles_list", parameters=[ScopeSerializer], responses=RowsSerializer)
    def get(self, request: Request) -> Response:
        """List who each account is at the broker and what it may trade."""
        now = timezone.now()
        parts = asked(request, Kind.PROFILE, now=now)
        rows = [{"account": part.account.label, **part.answer} for part in parts if part.answer is not None]
        return Response({"results": rows, "accounts": part_documents(parts, now=now)})


class ExposureListView(APIView):
    """GET /api/v1/exposure."""

    required_scopes: ClassVar[dict[str, str]] = {"GET": "orders:read"}

    @extend_schema(operation_id="exposure_list", parameters=[ScopeSerializer], responses=ExposureListSerializer)
    def get(self, request: Request) -> Response:
        """Return value, profit and delta by underlying; options without live Greeks are named, not skipped."""
        now = timezone.now()
        positions, holdings = asked(request, Kind.POSITIONS, now=now), asked(request, Kind.HOLDINGS, now=now)
        found = by_underlying(lines_of(positions=positions, holdings=holdings))
        documents = part_documents([*positions, *holdings], now=now)
        return Response({"results": [exposure_document(each) for each in found], "accounts": documents})


class ProfitListView(APIView):
    """GET /api/v1/profit."""

    required_scopes: ClassVar[dict[str, str]] = {"GET": "orders:read"}

    @extend_schema(operation_id="profit_list", parameters=[ScopeSerializer], responses=ProfitListSerializer)
    def get(self, request: Request) -> Response:
        """Return realised and unrealised profit by account, and the sum."""
        now = timezone.now()
        positions, holdings = asked(request, Kind.POSITIONS, now=now), asked(request, Kind.HOLDINGS, now=now)
        found = {
            part.account.label: profit(net=(part.answer or {"net": []})["net"], holdings=held.answer or [])
            for part, held in zip(positions, holdings, strict=True)
        }
        return Response(
            {
                "results": [profit_document(account=label, found=each) for label, each in found.items()],
                "total": profit_document(account="", found=_summed(list(found.values()))),
                "accounts": part_documents([*positions, *holdings], now=now),
            }
        )


def asked(request: Request, kind: Kind, *, now: datetime) -> list[Part]:
    """Return the parts of the accounts the query names."""
    scope = scope_of(request, ScopeSerializer)
    accounts = accounts_of(principal=caller_of(request), account=scope.get("account"), group=scope.get("group"))
    return read(accounts=accounts, kind=kind, sessions=sessions_of(request), max_age=scope["max_age"], now=now)


def scope_of(request: Request, serializer: type[ScopeSerializer]) -> dict[str, Any]:
    """Return the checked query."""
    form = serializer(data=request.query_params)
    form.is_valid(raise_exception=True)
    scope: dict[str, Any] = form.validated_data
    return scope


def sessions_of(request: Request) -> Sessions:
    """Return the process's sessions."""
    sessions: Sessions = request.kite  # type: ignore[attr-defined] # set by accounts.middleware
    return sessions


def _summed(found: Sequence[ProfitAndLoss]) -> ProfitAndLoss:
    return ProfitAndLoss(
        realised=sum(each.realised for each in found),
        unrealised=sum(each.unrealised for each in found),
        m2m=sum(each.m2m for each in found),
        holdings_day_change=sum(each.holdings_day_change for each in found),
        holdings_pnl=sum(each.holdings_pnl for each in found),
    )
