"""The chains API."""

from datetime import datetime

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from greeks import queries, store
from greeks.errors import ChainNotReady, UnknownChain
from greeks.serializers import (
    ChainListSerializer,
    ChainSerializer,
    chain_document,
    head_document,
    smile_document,
)
from greeks.store import Chain, ChainKey
from greeks.summary import fitted, summarise
from market_data.bus import sync_bus


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
