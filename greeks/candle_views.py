"""Candles of options, valued on demand."""

from django.utils import timezone
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.sessions import Sessions
from greeks import queries
from greeks.candle_documents import CandleQuestionSerializer, valued_document
from greeks.conventions import Profile
from greeks.option_candles import CandleReader
from market_data.history import Broker
from market_data.intervals import Stretch


class OptionCandleView(APIView):
    """GET /api/v1/greeks/candles."""

    required_scopes = {"GET": "greeks:read"}

    @extend_schema(
        operation_id="greeks_candles",
        parameters=[
            OpenApiParameter("instrument", str, required=True, description="NFO:NIFTY26NOV24000CE"),
            OpenApiParameter("from", str, required=True, description="ISO 8601 with offset; a candle may start on it"),
            OpenApiParameter("to", str, required=True, description="ISO 8601 with offset; no candle starts on it"),
            OpenApiParameter("interval", str, description="Width, minute by default"),
            OpenApiParameter("profile", str, enum=[each.value for each in Profile], description="fwd_cal by default"),
        ],
        responses={200: dict},
    )
    def get(self, request: Request) -> Response:
        """Return an option's candles with volatility and Greeks at each close, and what each was valued with."""
        query = request.query_params
        form = CandleQuestionSerializer(data={**query.dict(), "start": query.get("from"), "end": query.get("to")})
        form.is_valid(raise_exception=True)
        asked = form.validated_data
        option = queries.instrument_by_key(key=asked["instrument"])
        now = timezone.now()
        sessions: Sessions = request.kite  # type: ignore[attr-defined] # set by accounts.middleware
        reader = CandleReader(
            broker=Broker(sessions=sessions, now=now),
            interval=asked["interval"],
            stretch=Stretch(asked["start"], asked["end"]),
            now=now,
        )
        profile = Profile(asked["profile"])
        valued = reader.valued(option=option, base=reader.base(option=option), profile=profile)
        return Response(
            valued_document(key=asked["instrument"], interval=asked["interval"], profile=profile, valued=valued)
        )
