"""The market data API: instruments, last values and candles."""

from collections.abc import Sequence
from hashlib import sha256

from django.db.models import Q, QuerySet
from django.http import HttpResponse
from django.utils import timezone
from django.utils.cache import get_conditional_response
from django.utils.http import quote_etag
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.cursors import read_cursor, write_cursor
from accounts.sessions import Sessions
from market_data.errors import InstrumentUnknown
from market_data.history import Broker, Question, read
from market_data.intervals import NAMES, Stretch
from market_data.models import Instrument, InstrumentChange, InstrumentSync
from market_data.queries import catalogue_version, instruments_by_keys, latest_of, search
from market_data.serializers import (
    INSTRUMENT_FIELDS,
    CandleListSerializer,
    CandleQuerySerializer,
    InstrumentChangeListSerializer,
    InstrumentChangeQuerySerializer,
    InstrumentChangeSerializer,
    InstrumentListSerializer,
    InstrumentSearchSerializer,
    InstrumentSerializer,
    InstrumentSyncSerializer,
    QuoteListSerializer,
    candles_document,
    quote_of,
)

QUOTES_MAX = 500
LOADS = 10


class InstrumentListView(APIView):
    """GET /api/v1/instruments."""

    required_scopes = {"GET": "market:read"}

    @extend_schema(
        operation_id="instruments_list", parameters=[InstrumentSearchSerializer], responses=InstrumentListSerializer
    )
    def get(self, request: Request) -> HttpResponse:
        """Search the listed contracts by words, underlying, expiry, strike and type.

        The answer carries an ETag that changes with the daily load: send it as If-None-Match.
        """
        etag = quote_etag(sha256(f"{catalogue_version()}?{request.META['QUERY_STRING']}".encode()).hexdigest()[:32])
        known = get_conditional_response(request, etag=etag)
        if known is not None:
            return known
        form = InstrumentSearchSerializer(data=request.query_params)
        form.is_valid(raise_exception=True)
        wanted = form.validated_data
        rows = _search(wanted)
        if "cursor" in wanted:
            exchange, symbol = read_cursor(wanted["cursor"], parts=2)
            rows = rows.filter(Q(exchange=exchange, tradingsymbol__gt=symbol) | Q(exchange__gt=exchange))
        found = list(rows.order_by("exchange", "tradingsymbol").values(*INSTRUMENT_FIELDS)[: wanted["limit"] + 1])
        page = [{"key": f"{row['exchange']}:{row['tradingsymbol']}", **row} for row in found[: wanted["limit"]]]
        last = page[-1] if len(found) > len(page) else None
        more = write_cursor([last["exchange"], last["tradingsymbol"]]) if last is not None else None
        return Response({"results": page, "next": more}, headers={"ETag": etag})


class InstrumentChangeListView(APIView):
    """GET /api/v1/instruments/changes."""

    required_scopes = {"GET": "market:read"}

    @extend_schema(
        operation_id="instruments_changes",
        parameters=[InstrumentChangeQuerySerializer],
        responses=InstrumentChangeListSerializer,
    )
    def get(self, request: Request) -> Response:
        """List the lots, tick sizes and tokens that exchanges changed, newest first, and the last loads' reports."""
        form = InstrumentChangeQuerySerializer(data=request.query_params)
        form.is_valid(raise_exception=True)
        wanted = form.validated_data
        rows = InstrumentChange.objects.select_related("instrument").order_by("-pk")
        if "instrument" in wanted:
            rows = rows.filter(instrument=_instrument(wanted["instrument"]))
        if "field" in wanted:
            rows = rows.filter(field=wanted["field"])
        if "since" in wanted:
            rows = rows.filter(changed_at__gte=wanted["since"])
        changes = InstrumentChangeSerializer(rows[: wanted["limit"]], many=True).data
        loads = InstrumentSyncSerializer(InstrumentSync.objects.order_by("-pk")[:LOADS], many=True).data
        return Response({"results": changes, "loads": loads})


class InstrumentView(APIView):
    """GET /api/v1/instruments/{EXCHANGE:SYMBOL}."""

    required_scopes = {"GET": "market:read"}

    @extend_schema(operation_id="instruments_get", responses=InstrumentSerializer)
    def get(self, request: Request, key: str) -> Response:
        """Return one listed contract."""
        return Response(InstrumentSerializer(_instrument(key)).data)


class QuoteListView(APIView):
    """GET /api/v1/quotes?i=NSE:INFY."""

    required_scopes = {"GET": "market:read"}

    @extend_schema(
        operation_id="quotes_list",
        parameters=[OpenApiParameter("i", str, many=True, required=True, description="EXCHANGE:SYMBOL, repeated")],
        responses=QuoteListSerializer,
    )
    def get(self, request: Request) -> Response:
        """Return each last value, its age and whether it is stale; what is not streamed is missing."""
        keys = request.query_params.getlist("i")
        if not 1 <= len(keys) <= QUOTES_MAX:
            raise ValidationError({"i": f"1 to {QUOTES_MAX} keys such as NSE:INFY, were {len(keys)}"})
        known = {row.instrument_token: row for row in _instruments(keys)}
        now = timezone.now()
        latest = latest_of(known, now=now)
        quotes = {str(known[token]): quote_of(row, stale=old, now=now) for token, (row, old) in latest.items()}
        missing = [str(row) for row in known.values() if str(row) not in quotes]
        return Response({"results": quotes, "missing": missing})


class CandleListView(APIView):
    """GET /api/v1/candles?instrument=NSE:INFY&from=…&to=…."""

    required_scopes = {"GET": "market:read"}

    @extend_schema(
        operation_id="candles_list",
        parameters=[
            OpenApiParameter("instrument", str, required=True, description="EXCHANGE:SYMBOL or an alias"),
            OpenApiParameter("from", str, required=True, description="ISO 8601 with offset; a candle may start on it"),
            OpenApiParameter("to", str, required=True, description="ISO 8601 with offset; no candle starts on it"),
            OpenApiParameter("interval", str, enum=list(NAMES), description="Width, minute by default"),
            OpenApiParameter("oi", bool, description="Give open interest too"),
            OpenApiParameter("continuous", bool, description="A future's daily candles over its expired forerunners"),
        ],
        responses=CandleListSerializer,
    )
    def get(self, request: Request) -> Response:
        """Return candles of one instrument: from our store, and from the broker what the store has not.

        Where the broker cannot be asked, `complete` is false and `missing` names the stretches that may lack candles.
        """
        query = request.query_params
        form = CandleQuerySerializer(data={**query.dict(), "start": query.get("from"), "end": query.get("to")})
        form.is_valid(raise_exception=True)
        wanted = form.validated_data
        question = Question(
            instrument=_instrument(wanted["instrument"]),
            interval=wanted["interval"],
            stretch=Stretch(wanted["start"], wanted["end"]),
            continuous=wanted["continuous"],
        )
        now = timezone.now()
        sessions: Sessions = request.kite  # type: ignore[attr-defined] # set by accounts.middleware
        answer = read(question, broker=Broker(sessions=sessions, now=now), now=now)
        return Response(candles_document(question, answer, with_oi=wanted["oi"]))


def _search(wanted: dict[str, object]) -> QuerySet[Instrument]:
    exact = {
        name: wanted[name] for name in ("exchange", "name", "expiry", "strike", "instrument_type") if name in wanted
    }
    return search(words=str(wanted.get("q", ""))).filter(**exact)


def _instrument(key: str) -> Instrument:
    found = instruments_by_keys([key])
    if key not in found:
        raise InstrumentUnknown(f"no listed instrument {key}", field="instrument")
    return found[key]


def _instruments(keys: Sequence[str]) -> list[Instrument]:
    """Return every instrument asked for, or name the first that is unknown: nothing is half done."""
    found = instruments_by_keys(keys)
    unknown = [key for key in keys if key not in found]
    if unknown:
        raise InstrumentUnknown(
            f"no listed instrument {unknown[0]} ({len(unknown)} of {len(keys)} unknown)", field="instruments"
        )
    return list(found.values())
