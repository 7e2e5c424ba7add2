"""The Greeks of what accounts hold."""

from typing import ClassVar

import numpy as np
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.permissions import caller_of
from greeks import book
from greeks.holdings import chains_of
from greeks.serializers import MovesSerializer, totals_document, unpriced_document
from portfolio.queries import accounts_of, strategy_shares
from portfolio.readings import Kind, read
from portfolio.sensitivities import positions_of
from portfolio.serializers import ScopeSerializer, part_documents
from portfolio.views import scope_of, sessions_of


class SensitivityScopeSerializer(MovesSerializer, ScopeSerializer):
    """Whose positions, how to sum them, and the moves to try on them."""

    by = serializers.ChoiceField(choices=sorted(book.GROUPINGS), default="underlying")
    underlying = serializers.CharField(max_length=40, required=False)


class SensitivityListView(APIView):
    """GET /api/v1/greeks/positions."""

    required_scopes: ClassVar[dict[str, str]] = {"GET": "orders:read"}

    @extend_schema(operation_id="greeks_positions", parameters=[SensitivityScopeSerializer], responses={200: dict})
    def get(self, request: Request) -> Response:
        """Return the Greeks of net positions by underlying, expiry, account, group or strategy.

        What moves would do stands in `profit`. Legs without a volatility stand in `unpriced` with their reasons and are
        in no sum.
        """
        now = timezone.now()
        scope = scope_of(request, SensitivityScopeSerializer)
        accounts = accounts_of(principal=caller_of(request), account=scope.get("account"), group=scope.get("group"))
        parts = read(
            accounts=accounts,
            kind=Kind.POSITIONS,
            sessions=sessions_of(request),
            max_age=scope["max_age"],
            now=now,
        )
        shares = strategy_shares(accounts=accounts) if scope["by"] == "strategy" else {}
        found = positions_of(parts=parts, shares=shares, underlying=scope.get("underlying"))
        legs, unpriced = book.collect(
            positions=found.positions, chains=chains_of(positions=found.positions), by=scope["by"]
        )
        moves = {name: np.array(scope[name]) for name in ("spot_moves", "vol_moves", "days")}
        results = [
            totals_document(
                name=name, totals=book.totals(legs=held), profit=book.scenarios(legs=held, **moves), by=scope["by"]
            )
            for name, held in legs.items()
        ]
        return Response(
            {
                "by": scope["by"],
                "results": results,
                "unpriced": unpriced_document(unpriced=unpriced, names=found.names),
                "unknown": found.unknown,
                "accounts": part_documents(parts, now=now),
                "as_of": now.isoformat(),
            }
        )
