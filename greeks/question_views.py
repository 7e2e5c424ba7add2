"""Greeks of named options, of options as they might be, and across the expiries of one underlying."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Final

from django.utils import timezone
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from greeks import queries, store, whatif
from greeks.conventions import IST, Profile, expiry_instant
from greeks.errors import UnknownChain
from greeks.questions import (
    CasesSerializer,
    answers_document,
    case_of,
    legs_document,
    term_document,
    whole_ratios,
)
from greeks.store import Chain, ChainKey
from greeks.valuation import years_of
from market_data.bus import sync_bus

MOST_OPTIONS: Final = 500


class GreeksListView(APIView):
    """GET /api/v1/greeks."""

    required_scopes = {"GET": "greeks:read"}

    @extend_schema(
        operation_id="greeks_list",
        parameters=[OpenApiParameter("i", str, many=True, required=True, description="NFO:NIFTY26NOV24000CE")],
        responses={200: dict},
    )
    def get(self, request: Request) -> Response:
        """Return the live values of up to 500 options; those of no live chain are named as missing."""
        keys = request.query_params.getlist("i")
        if not 1 <= len(keys) <= MOST_OPTIONS:
            raise ValidationError({"i": f"1 to {MOST_OPTIONS} keys such as NFO:NIFTY26NOV24000CE, were {len(keys)}"})
        options = queries.options_by_keys(keys=keys)
        names = {option.instrument_token: key for key, option in options.items()}
        now = timezone.now()
        chains = chains_of({ChainKey(option.underlying, option.expiry) for option in options.values()})
        found = legs_document(chains=chains, names=names, now=now)
        return Response({"results": found, "missing": [key for key in options if key not in found]})


class WhatIfView(APIView):
    """POST /api/v1/greeks/whatif."""

    required_scopes = {"POST": "greeks:read"}

    @extend_schema(operation_id="greeks_whatif", request=CasesSerializer, responses={200: dict})
    def post(self, request: Request) -> Response:
        """Return price, volatility and Greeks of options as they might be, each under its own profile."""
        form = CasesSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        now = timezone.now()
        rates: dict[object, float] = {}
        cases = [_case(asked, now, rates) for asked in form.validated_data["cases"]]
        return Response(answers_document(cases=cases, answers=whatif.answer(cases=cases)))


class TermStructureView(APIView):
    """GET /api/v1/volatility/{underlying}/term."""

    required_scopes = {"GET": "greeks:read"}

    @extend_schema(operation_id="volatility_term", responses={200: dict})
    def get(self, request: Request, underlying: str) -> Response:
        """Return volatility, skew and arbitrage checks by expiry, and put over call of all of them together."""
        blob = sync_bus().get_blob(store.INDEX)
        heads = store.unpack_index(blob) if blob else []
        chains = chains_of(head.key for head in heads if head.key.underlying == underlying.upper())
        if not chains:
            raise UnknownChain(f"no live chain of {underlying[:40]}", field="underlying")
        return Response(
            {
                "underlying": underlying.upper(),
                "put_call_ratio": whole_ratios(chains=chains),
                "results": term_document(chains=chains, now=timezone.now()),
            }
        )


def chains_of(keys: Iterable[ChainKey]) -> list[Chain]:
    """Return those of the chains that were computed."""
    blobs = (sync_bus().get_blob(key.blob) for key in sorted(keys))
    return [store.unpack(blob) for blob in blobs if blob is not None]


def _case(asked: Mapping[str, Any], now: datetime, rates: dict[object, float]) -> whatif.Case:
    at = asked.get("at", now)
    profile = Profile(asked["profile"])
    years = asked.get("years")
    if years is None:
        expires_at = expiry_instant(expiry=asked["expiry"], exchange=asked["exchange"])
        years = years_of(profile=profile, exchange=asked["exchange"], expires_at=expires_at, now=at)
    rate = asked.get("rate")
    if rate is None:
        day = at.astimezone(IST).date()
        rate = rates[day] if day in rates else rates.setdefault(day, queries.rate_on(day=day))
    return case_of(asked=asked, years=years, rate=rate)
