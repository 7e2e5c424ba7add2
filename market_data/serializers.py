"""Shapes of the market data API."""

from datetime import datetime
from typing import Any, Final

import numpy as np
from rest_framework import serializers

from accounts.strict import StrictSerializer
from kite.types import Exchange, Mode
from kite.wire import KIND_LTP
from market_data.history import Answer, Question
from market_data.intervals import MINUTE, NAMES
from market_data.models import (
    ChainWindow,
    Instrument,
    InstrumentChange,
    InstrumentList,
    InstrumentSync,
    Subscription,
)

PAGE_DEFAULT: Final = 100
PAGE_MAX: Final = 500
INSTRUMENT_FIELDS: Final = (
    "instrument_token",
    "exchange",
    "tradingsymbol",
    "name",
    "instrument_type",
    "segment",
    "expiry",
    "strike",
    "tick_size",
    "lot_size",
    "freeze_quantity",
)


class InstrumentSerializer(serializers.ModelSerializer[Instrument]):
    """One contract; strike and tick_size in rupees."""

    key = serializers.CharField(source="__str__", read_only=True)

    class Meta:
        model = Instrument
        fields = ("key", *INSTRUMENT_FIELDS)


class InstrumentListSerializer(serializers.Serializer[Any]):
    """A page of contracts."""

    results = InstrumentSerializer(many=True)
    next = serializers.CharField(allow_null=True)


class InstrumentSearchSerializer(serializers.Serializer[Any]):
    """Query of the instrument list."""

    exchange = serializers.ChoiceField(choices=[item.value for item in Exchange], required=False)
    q = serializers.CharField(required=False, max_length=60, help_text="Words of the symbol or the name.")
    name = serializers.CharField(required=False, max_length=120, help_text="Underlying, such as NIFTY.")
    expiry = serializers.DateField(required=False)
    strike = serializers.DecimalField(required=False, max_digits=14, decimal_places=4)
    instrument_type = serializers.ChoiceField(choices=["EQ", "FUT", "CE", "PE"], required=False)
    limit = serializers.IntegerField(required=False, min_value=1, max_value=PAGE_MAX, default=PAGE_DEFAULT)
    cursor = serializers.CharField(required=False, max_length=400)


class InstrumentChangeSerializer(serializers.ModelSerializer[InstrumentChange]):
    """A term the exchange changed: lot_size, tick_size or instrument_token."""

    instrument = serializers.CharField(source="instrument.__str__", read_only=True)

    class Meta:
        model = InstrumentChange
        fields = ("instrument", "field", "was", "became", "changed_at")


class InstrumentChangeQuerySerializer(serializers.Serializer[Any]):
    """Query of the changes, newest first."""

    instrument = serializers.CharField(required=False, max_length=92)
    field = serializers.ChoiceField(choices=["lot_size", "tick_size", "instrument_token"], required=False)
    since = serializers.DateTimeField(required=False)
    limit = serializers.IntegerField(required=False, min_value=1, max_value=PAGE_MAX, default=PAGE_DEFAULT)


class InstrumentSyncSerializer(serializers.ModelSerializer[InstrumentSync]):
    """One load of the dump, in instruments; lots and ticks are among the changed."""

    class Meta:
        model = InstrumentSync
        fields = (
            *("finished_at", "took_seconds", "read", "new", "changed", "lots", "ticks", "gone", "expired", "doubled"),
        )


class InstrumentChangeListSerializer(serializers.Serializer[Any]):
    """What changed, and what the last loads reported."""

    results = InstrumentChangeSerializer(many=True)
    loads = InstrumentSyncSerializer(many=True)


class SubscriptionSerializer(serializers.ModelSerializer[Subscription]):
    """One wish."""

    instrument = serializers.CharField(source="instrument.__str__", read_only=True)
    instrument_token = serializers.IntegerField(source="instrument.instrument_token", read_only=True)

    class Meta:
        model = Subscription
        fields = ("instrument", "instrument_token", "mode", "wanted_by", "reason", "created_at", "expires_at")


class SubscriptionQuerySerializer(serializers.Serializer[Any]):
    """Query of the wishes; without a filter they are the caller's own."""

    instrument = serializers.CharField(required=False, max_length=92, help_text="Everybody's wishes for this one.")
    wanted_by = serializers.CharField(required=False, max_length=80, help_text="One wisher's wishes.")
    everyone = serializers.BooleanField(required=False, default=False, help_text="All wishes.")
    limit = serializers.IntegerField(required=False, min_value=1, max_value=500, default=500)
    cursor = serializers.CharField(required=False, max_length=100)


class SubscriptionListSerializer(serializers.Serializer[Any]):
    """Wishes."""

    results = SubscriptionSerializer(many=True)
    created = serializers.IntegerField(required=False)
    deleted = serializers.IntegerField(required=False)
    next = serializers.CharField(required=False, allow_null=True)


class NamedSerializer(StrictSerializer):
    """Names of instruments: EXCHANGE:SYMBOL or an alias, saved lists, and chains as UNDERLYING:YYYY-MM-DD."""

    instruments = serializers.ListField(
        child=serializers.CharField(max_length=92), required=False, max_length=3000, default=list
    )
    lists = serializers.ListField(
        child=serializers.CharField(max_length=50), required=False, max_length=50, default=list
    )
    chains = serializers.ListField(
        child=serializers.CharField(max_length=92), required=False, max_length=50, default=list
    )


class WishSerializer(NamedSerializer):
    """Instruments to stream."""

    mode = serializers.ChoiceField(choices=[item.value for item in Mode], default=Mode.QUOTE.value)
    reason = serializers.CharField(required=False, max_length=200, default="", allow_blank=True)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Refuse a wish for nothing."""
        return _naming_something(attrs)


class UnwishSerializer(NamedSerializer):
    """Instruments to stream no more."""

    everything = serializers.BooleanField(required=False, default=False)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Refuse to remove nothing."""
        return attrs if attrs["everything"] else _naming_something(attrs)


class ListBodySerializer(NamedSerializer):
    """What a list holds; `stream` is a mode where the list is to be streamed as a whole."""

    stream = serializers.ChoiceField(
        choices=[item.value for item in Mode], required=False, allow_blank=True, default=""
    )
    description = serializers.CharField(required=False, max_length=200, default="", allow_blank=True)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Refuse a body that says nothing: an empty list is asked for by name."""
        if not {"instruments", "lists", "chains"} & set(self.initial_data):
            raise serializers.ValidationError({"instruments": "Say what the list holds; [] empties it."})
        return attrs


class ListHeadSerializer(serializers.ModelSerializer[InstrumentList]):
    """A saved list, without what is on it."""

    size = serializers.IntegerField(read_only=True)

    class Meta:
        model = InstrumentList
        fields: tuple[str, ...] = ("name", "description", "stream", "saved_by", "saved_at", "size")


class ListSerializer(ListHeadSerializer):
    """A saved list."""

    instruments = serializers.ListField(child=serializers.CharField(), read_only=True)

    class Meta(ListHeadSerializer.Meta):
        fields = (*ListHeadSerializer.Meta.fields, "instruments")


class ListListSerializer(serializers.Serializer[Any]):
    """Saved lists by name."""

    results = ListHeadSerializer(many=True)


class WindowBodySerializer(StrictSerializer, serializers.ModelSerializer[ChainWindow]):
    """How wide a window is and when it moves."""

    strikes = serializers.IntegerField(required=False, min_value=0, max_value=100)
    expiries = serializers.IntegerField(required=False, min_value=1, max_value=12)
    hysteresis = serializers.DecimalField(required=False, max_digits=3, decimal_places=2, min_value=0, max_value=5)

    class Meta:
        model = ChainWindow
        fields = ("strikes", "expiries", "mode", "hysteresis", "reason")


class WindowSerializer(serializers.ModelSerializer[ChainWindow]):
    """A window, and the strike it stands on."""

    class Meta:
        model = ChainWindow
        fields = (
            *("underlying", "wanted_by", "strikes", "expiries", "mode", "hysteresis", "reason"),
            *("center", "moved_at", "fault"),
        )


class WindowListSerializer(serializers.Serializer[Any]):
    """Windows by underlying."""

    results = WindowSerializer(many=True)


def _naming_something(attrs: dict[str, Any]) -> dict[str, Any]:
    if not any(attrs[name] for name in ("instruments", "lists", "chains")):
        raise serializers.ValidationError({"instruments": "name instruments, lists or chains"})
    return attrs


class CandleQuerySerializer(serializers.Serializer[Any]):
    """Query of the candles; both ends carry an offset."""

    instrument = serializers.CharField(max_length=92)
    start = serializers.DateTimeField()
    end = serializers.DateTimeField()
    interval = serializers.ChoiceField(choices=NAMES, default=MINUTE)
    oi = serializers.BooleanField(default=False)
    continuous = serializers.BooleanField(default=False)


class CandleSerializer(serializers.Serializer[Any]):
    """One candle; prices in rupees, `source` is ticks, broker, or mixed."""

    start_at = serializers.DateTimeField()
    open = serializers.DecimalField(max_digits=14, decimal_places=4)
    high = serializers.DecimalField(max_digits=14, decimal_places=4)
    low = serializers.DecimalField(max_digits=14, decimal_places=4)
    close = serializers.DecimalField(max_digits=14, decimal_places=4)
    volume = serializers.IntegerField()
    oi = serializers.IntegerField(required=False, allow_null=True)

    def get_fields(self) -> dict[str, serializers.Field[Any, Any, Any, Any]]:
        """Add the field whose name a serializer keeps for itself."""
        return {**super().get_fields(), "source": serializers.CharField()}


class StretchSerializer(serializers.Serializer[Any]):
    """A stretch of time."""

    start = serializers.DateTimeField()
    end = serializers.DateTimeField()


class CandleListSerializer(serializers.Serializer[Any]):
    """Candles of one instrument, by time."""

    instrument = serializers.CharField()
    interval = serializers.CharField()
    complete = serializers.BooleanField()
    missing = StretchSerializer(many=True)
    reason = serializers.CharField(allow_blank=True)
    results = CandleSerializer(many=True)


def candles_document(question: Question, answer: Answer, *, with_oi: bool) -> dict[str, object]:
    """Return candles as JSON; a question may answer with twenty thousand, so no field is asked how to show itself."""
    names = [*("start_at", "open", "high", "low", "close", "volume", "source"), *(["oi"] if with_oi else [])]
    return {
        "instrument": str(question.instrument),
        "interval": question.interval,
        "complete": not answer.missing,
        "missing": [{"start": part.start, "end": part.end} for part in answer.missing],
        "reason": answer.reason,
        "results": [{name: getattr(bar, name) for name in names} for bar in answer.bars],
    }


class QuoteListSerializer(serializers.Serializer[Any]):
    """Last values by key, and the keys that have none yet."""

    results = serializers.DictField(child=serializers.DictField())
    missing = serializers.ListField(child=serializers.CharField())


def quote_of(row: np.void, *, stale: bool, now: datetime) -> dict[str, object]:
    """Return a tick row as a quote: prices in rupees, times in epoch seconds, `age_seconds` since it was received.

    `stale` says that it is older than its class allows while its exchange trades.
    """
    quote: dict[str, object] = {
        "instrument_token": int(row["instrument_token"]),
        "last_price": float(row["last_price"]),
        "received_at": float(row["received_at"]),
        "exchange_at": int(row["exchange_at"]) or None,
        "age_seconds": round(max(now.timestamp() - float(row["received_at"]), 0.0), 3),
        "stale": stale,
    }
    if int(row["kind"]) == KIND_LTP:
        return quote
    quote["ohlc"] = {name: float(row[name]) for name in ("open", "high", "low", "close")}
    if row["tradable"]:
        quote |= {name: int(row[name]) for name in ("volume", "buy_quantity", "sell_quantity", "oi")}
        quote["average_price"] = float(row["average_price"])
    return quote
