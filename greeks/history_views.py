"""The past of options, minute by minute as it was kept."""

from datetime import date, datetime

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from greeks import option_store, queries
from greeks.history import CONSTANT_DAYS
from greeks.history_documents import (
    UNDERLYING_COLUMNS,
    OptionHistorySerializer,
    minutes_document,
    option_minutes_document,
)
from greeks.models import OptionMinute
from greeks.serializers import SpanSerializer


class OptionHistoryView(APIView):
    """GET /api/v1/greeks/history."""

    required_scopes = {"GET": "greeks:read"}

    @extend_schema(operation_id="greeks_history", parameters=[OptionHistorySerializer], responses={200: dict})
    def get(self, request: Request) -> Response:
        """Return what was kept of an option, or of all options of an underlying, minute by minute, one list a column.

        `next_start` is where to go on when the limit cut the answer; a minute is never cut in two.
        """
        form = OptionHistorySerializer(data=request.query_params)
        form.is_valid(raise_exception=True)
        start, end = form.span(now=timezone.now())
        asked = form.validated_data
        if "instrument" in asked:
            option = queries.instrument_by_key(key=asked["instrument"])
            rows = option_store.of_option(instrument_token=option.instrument_token, start=start, end=end)
        else:
            rows = _of_underlying(asked["underlying"].upper(), asked.get("expiry"), start, end, asked["limit"])
        rows, next_start = _whole_minutes(rows, asked["limit"])
        contracts = "underlying" in asked
        return Response(
            {
                "instrument": asked.get("instrument"),
                "underlying": asked.get("underlying"),
                "columns": option_minutes_document(minutes=rows, contracts=contracts),
                "next_start": next_start,
            }
        )


class UnderlyingHistoryView(APIView):
    """GET /api/v1/volatility/{underlying}/history."""

    required_scopes = {"GET": "greeks:read"}

    @extend_schema(operation_id="volatility_history", parameters=[SpanSerializer], responses={200: dict})
    def get(self, request: Request, underlying: str) -> Response:
        """Return what all expiries of an underlying said together minute by minute, one list a column.

        Volatility and skew are those of 30 days, max pain that of the soonest expiry.
        """
        form = SpanSerializer(data=request.query_params)
        form.is_valid(raise_exception=True)
        start, end = form.span(now=timezone.now())
        rows = queries.underlying_minutes(underlying=underlying.upper(), start=start, end=end)
        columns = minutes_document(minutes=rows, columns=UNDERLYING_COLUMNS)
        return Response({"underlying": underlying.upper(), "constant_maturity_days": CONSTANT_DAYS, "columns": columns})


def _of_underlying(
    underlying: str, expiry: date | None, start: datetime, end: datetime, limit: int
) -> list[OptionMinute]:
    return option_store.of_underlying(underlying=underlying, expiry=expiry, start=start, end=end, limit=limit + 1)


def _whole_minutes(rows: list[OptionMinute], limit: int) -> tuple[list[OptionMinute], datetime | None]:
    """Cut behind the last minute that fits; the first is given whole even where it alone is more."""
    if len(rows) <= limit:
        return rows, None
    cut = rows[-1].minute_at
    if cut == rows[0].minute_at:
        return rows, None
    return [row for row in rows if row.minute_at < cut], cut
