"""The chains API."""

from datetime import datetime

import numpy as np
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from greeks import book, history, queries, store
from greeks.errors import ChainNotReady, UnknownChain
from greeks.history_documents import minutes_document, standing_document
from greeks.holdings import chains_of, position_of
from greeks.serializers import (
    BookSerializer,
    ChainListSerializer,
    ChainSerializer,
    SpanSerializer,
    chain_document,
    head_document,
    smile_document,
    totals_document,
    unpriced_document,
)
from greeks.store import Chain, ChainKey
from greeks.summary import fitted, summarise
from market_data.bus import sync_bus
from market_data.queries import last_prices

NO_PRICE = (float("nan"), 0.0)


class ChainListView(APIView):
    """GET /api/v1/chains."""

    required_scopes = {"GET": "greeks:read"}

    @extend_schema(operation_id="chains_list", responses=ChainListSerializer)
    def get(self, request: Request) -> Response:
        """List the live chains with their forwards and their ages."""
        blob = sync_bus().get_blob(store.INDEX)
        now = timezone.now()
        heads = store.unpack_index(blob) if blob else []
        return Response({"results": [head_document(chain=chain, now=now) for chain in heads]})


class ChainView(APIView):
    """GET /api/v1/chains/{underlying}/{expiry}."""

    required_scopes = {"GET": "greeks:read"}

    @extend_schema(operation_id="chains_get", responses=ChainSerializer)
    def get(self, request: Request, underlying: str, expiry: str) -> Response:
        """Return one chain; answers 304 while the caller's ETag is the latest sequence."""
        chain = _chain(underlying, expiry, now=timezone.now())
        headers = {"ETag": f'W/"{chain.key}:{chain.sequence}"', "Cache-Control": "no-cache"}
        if headers["ETag"] in request.headers.get("If-None-Match", ""):
            return Response(status=status.HTTP_304_NOT_MODIFIED, headers=headers)
        document = chain_document(chain=chain, summary=summarise(chain=chain), now=timezone.now())
        return Response(document, headers=headers)


class SmileView(APIView):
    """GET /api/v1/chains/{underlying}/{expiry}/smile."""

    required_scopes = {"GET": "greeks:read"}

    @extend_schema(operation_id="chains_smile", responses={200: dict})
    def get(self, request: Request, underlying: str, expiry: str) -> Response:
        """Return the smile, an SVI slice through it with its arbitrage check, and the skew."""
        now = timezone.now()
        chain = _chain(underlying, expiry, now=now)
        points, fit, skew = fitted(chain=chain)
        document = smile_document(points=points, fit=fit, skew=skew, years=chain.value("years"))
        return Response({**head_document(chain=chain, now=now), **document})


class ChainHistoryView(APIView):
    """GET /api/v1/chains/{underlying}/{expiry}/history."""

    required_scopes = {"GET": "greeks:read"}

    @extend_schema(operation_id="chains_history", parameters=[SpanSerializer], responses={200: dict})
    def get(self, request: Request, underlying: str, expiry: str) -> Response:
        """Return what the chain said minute by minute, one list a column."""
        key = store.parse_key(f"{underlying}:{expiry}")
        form = SpanSerializer(data=request.query_params)
        form.is_valid(raise_exception=True)
        start, end = form.span(now=timezone.now())
        rows = queries.minutes(underlying=key.underlying, expiry=key.expiry, start=start, end=end)
        return Response({"chain": str(key), "columns": minutes_document(minutes=rows)})


class StandingView(APIView):
    """GET /api/v1/volatility/{underlying}."""

    required_scopes = {"GET": "greeks:read"}

    @extend_schema(operation_id="volatility_get", responses={200: dict})
    def get(self, request: Request, underlying: str) -> Response:
        """Return the 30-day at-the-forward volatility, its rank and its percentile over 252 sessions."""
        found = history.standing(underlying=underlying.upper(), now=timezone.now())
        return Response(standing_document(underlying=underlying.upper(), standing=found))


class BookView(APIView):
    """POST /api/v1/greeks/book."""

    required_scopes = {"POST": "greeks:read"}

    @extend_schema(operation_id="greeks_book", request=BookSerializer, responses={200: dict})
    def post(self, request: Request) -> Response:
        """Return the Greeks of positions by underlying, what moves would do to them, and which legs have no value."""
        form = BookSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        asked = form.validated_data
        held = queries.derivatives_by_keys(keys=[row["instrument"] for row in asked["positions"]])
        prices = last_prices((row.instrument_token for row in held.values()), now=timezone.now())
        positions = [
            position_of(instrument=row, quantity=each["quantity"], price=prices.get(row.instrument_token, NO_PRICE)[0])
            for each in asked["positions"]
            for row in [held[each["instrument"]]]
        ]
        legs, unpriced = book.collect(positions=positions, chains=chains_of(positions=positions))
        moves = {name: np.array(asked[name]) for name in ("spot_moves", "vol_moves", "days")}
        return Response(
            {
                "results": [
                    totals_document(name=name, totals=book.totals(legs=part), profit=book.scenarios(legs=part, **moves))
                    for name, part in legs.items()
                ],
                "unpriced": unpriced_document(
                    unpriced=unpriced, names={row.instrument_token: key for key, row in held.items()}
                ),
                "as_of": timezone.now().isoformat(),
            }
        )


def _chain(underlying: str, expiry: str, *, now: datetime) -> Chain:
    key = store.parse_key(f"{underlying}:{expiry}")
    blob = sync_bus().get_blob(key.blob)
    if blob is None:
        raise _absent(key, now)
    chain = store.unpack(blob)
    if key.expiry < timezone.localdate(now):
        raise UnknownChain(f"{key} has expired", field="chain")
    return chain


def _absent(key: ChainKey, now: datetime) -> ChainNotReady | UnknownChain:
    if queries.is_live(underlying=key.underlying, expiry=key.expiry, day=timezone.localdate(now)):
        return ChainNotReady(f"{key} was not computed yet", field="chain")
    return UnknownChain(f"no live chain {key}", field="chain")
