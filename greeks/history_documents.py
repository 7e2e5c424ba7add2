"""Minutes of chains and options as documents, one list a column, and what they say about today."""

from collections.abc import Sequence
from typing import Any, Final

from rest_framework import serializers

from greeks.conventions import ForwardSource, PriceSource, Profile
from greeks.history import CONSTANT_DAYS, Standing
from greeks.models import ChainMinute, OptionMinute, UnderlyingMinute
from greeks.option_rows import GREEKS, SOURCES
from greeks.serializers import DECIMALS, SIDES, SpanSerializer, number, reasons

PROFILES: Final = tuple(Profile)
MOST_ROWS: Final = 20_000
PLAIN: Final = ("minute_at", "oi", "volume")
MINUTE_COLUMNS: Final = (
    "minute_at",
    "profile",
    "sequence",
    "years",
    "spot",
    "forward",
    "forward_source",
    "atm_iv",
    "risk_reversal",
    "butterfly",
    "straddle",
    "expected_move",
    "put_call_oi",
    "put_call_volume",
    "max_pain",
    "gamma_exposure",
    "zero_gamma",
    "priced",
    "unpriced",
)
UNDERLYING_COLUMNS: Final = (
    "minute_at",
    "expiries",
    "spot",
    "iv",
    "risk_reversal",
    "butterfly",
    "put_call_oi",
    "put_call_volume",
    "max_pain",
    "gamma_exposure",
    "priced",
    "unpriced",
)
ROUNDED: Final = {"price": 4, "price_age": 3, "spot": 4, "forward": 4, **{name: DECIMALS[name] for name in GREEKS}}


class OptionHistorySerializer(SpanSerializer):
    """An option, or an underlying and perhaps one of its expiries, over a span of time."""

    instrument = serializers.CharField(max_length=100, required=False, help_text="NFO:NIFTY26NOV24000CE")
    underlying = serializers.CharField(max_length=24, required=False)
    expiry = serializers.DateField(required=False)
    limit = serializers.IntegerField(min_value=1, max_value=MOST_ROWS, default=5_000)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Ask for one thing or the other."""
        if ("instrument" in attrs) == ("underlying" in attrs):
            raise serializers.ValidationError({"instrument": "name an instrument or an underlying, one of the two"})
        return attrs


def option_minutes_document(*, minutes: Sequence[OptionMinute], contracts: bool) -> dict[str, list[Any]]:
    """Return minutes as one list a column; `contracts` adds which option each row is of."""
    columns: dict[str, list[Any]] = {name: [getattr(row, name) for row in minutes] for name in PLAIN}
    for name, decimals in ROUNDED.items():
        values = [getattr(row, name) for row in minutes]
        columns[name] = [None if value is None else round(value, decimals) for value in values]
    columns["profile"] = [PROFILES[row.profile].value for row in minutes]
    columns["price_source"] = [PriceSource(row.price_source).name.lower() for row in minutes]
    columns["forward_source"] = [ForwardSource(row.forward_source).name.lower() for row in minutes]
    columns["source"] = [SOURCES[row.source] for row in minutes]
    columns["flags"] = [reasons(row.flags) for row in minutes]
    if contracts:
        columns |= {name: [getattr(row, name) for row in minutes] for name in ("instrument_token", "expiry", "strike")}
        columns["side"] = [SIDES[row.sign] for row in minutes]
    return columns


def minutes_document(
    *, minutes: Sequence[ChainMinute | UnderlyingMinute], columns: Sequence[str] = MINUTE_COLUMNS
) -> dict[str, list[Any]]:
    """Return minutes as one list a column."""
    return {name: [getattr(row, name) for row in minutes] for name in columns}


def standing_document(*, underlying: str, standing: Standing) -> dict[str, Any]:
    """Return where an underlying's volatility stands among its past."""
    return {
        "underlying": underlying,
        "constant_maturity_days": CONSTANT_DAYS,
        "iv": number(standing.iv, 6),
        "rank": number(standing.rank, 2),
        "percentile": number(standing.percentile, 2),
        "sessions": standing.sessions,
        "as_of": standing.as_of.isoformat() if standing.as_of else None,
    }
