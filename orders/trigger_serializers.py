"""What the GTT API takes and shows."""

from typing import Any

from drf_spectacular.utils import OpenApiExample, extend_schema_serializer
from rest_framework import serializers

from accounts.strict import StrictSerializer
from kite.types import Exchange, TransactionType
from orders.serializers import SYMBOL, WORD
from orders.states import Outcome
from orders.trigger_book import WantedLeg, WantedTrigger

PRODUCTS = ("CNC", "NRML", "MTF")
SINGLE: dict[str, Any] = {
    "account": "main",
    "exchange": "NSE",
    "tradingsymbol": "INFY",
    "trigger_values": [1400.0],
    "legs": [{"transaction_type": "BUY", "quantity": 10, "product": "CNC", "price": 1401.0}],
}
TWO_LEG: dict[str, Any] = {
    **SINGLE,
    "trigger_values": [1400.0, 1600.0],
    "legs": [
        {"transaction_type": "SELL", "quantity": 10, "product": "CNC", "price": 1399.0},
        {"transaction_type": "SELL", "quantity": 10, "product": "CNC", "price": 1600.0},
    ],
}


def _money() -> serializers.DecimalField:
    return serializers.DecimalField(max_digits=14, decimal_places=4, min_value=0)


class TriggerLegRequestSerializer(serializers.Serializer[Any]):
    """One order of a trigger; LIMIT alone."""

    transaction_type = serializers.ChoiceField([side.value for side in TransactionType])
    quantity = serializers.IntegerField(min_value=1, max_value=100_000_000)
    product = serializers.ChoiceField(PRODUCTS)
    price = _money()


@extend_schema_serializer(
    examples=[
        OpenApiExample("one trigger", SINGLE, request_only=True),
        OpenApiExample("stop and target", TWO_LEG, request_only=True),
    ]
)
class TriggerRequestSerializer(StrictSerializer):
    """Body of POST /api/v1/gtts: one value and leg, or two of each."""

    account = serializers.SlugField(max_length=50)
    exchange = serializers.ChoiceField([exchange.value for exchange in Exchange])
    tradingsymbol = serializers.RegexField(SYMBOL, max_length=80)
    trigger_values = serializers.ListField(child=_money(), min_length=1, max_length=2)
    legs = TriggerLegRequestSerializer(many=True, min_length=1, max_length=2)  # type: ignore[call-arg]
    strategy = serializers.RegexField(WORD, max_length=40, required=False, allow_blank=True)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Check that values and legs belong together."""
        attrs = super().validate(attrs)
        values, legs = attrs["trigger_values"], attrs["legs"]
        if len(values) != len(legs):
            raise serializers.ValidationError({"legs": "Each trigger value has one leg."})
        if values != sorted(set(values)):
            raise serializers.ValidationError({"trigger_values": "The lower value comes first."})
        if not all(value > 0 for value in values):
            raise serializers.ValidationError({"trigger_values": "A trigger value is above 0."})
        for number, leg in enumerate(legs):
            if not leg["price"]:
                raise serializers.ValidationError({f"legs.{number}.price": "A leg needs a price above 0."})
        return attrs

    @property
    def wanted(self) -> WantedTrigger:
        """The checked body as a value."""
        values = {name: value for name, value in self.validated_data.items() if name != "account"}
        values["trigger_values"] = tuple(values["trigger_values"])
        values["legs"] = tuple(WantedLeg(**leg) for leg in values["legs"])
        return WantedTrigger(**values)


class TriggerChangeSerializer(TriggerRequestSerializer):
    """Body of PUT /api/v1/gtts/{id}: the whole trigger anew; its account, type and symbol stay."""

    account = None  # type: ignore[assignment]


class TriggerLegSerializer(serializers.Serializer[Any]):
    """One order of a trigger."""

    transaction_type = serializers.CharField()
    quantity = serializers.IntegerField()
    product = serializers.CharField()
    price = serializers.FloatField()


class TriggerSerializer(serializers.Serializer[Any]):
    """A trigger. Triggered is not filled: `results` holds what became of each leg's order."""

    id = serializers.UUIDField()
    account = serializers.CharField()
    origin = serializers.CharField()
    trigger_id = serializers.IntegerField(allow_null=True)
    type = serializers.CharField()
    exchange = serializers.CharField()
    tradingsymbol = serializers.CharField()
    trigger_values = serializers.ListField(child=serializers.FloatField())
    last_price = serializers.FloatField()
    legs = TriggerLegSerializer(many=True)
    status = serializers.CharField()
    results = serializers.JSONField()
    created_at = serializers.DateTimeField()
    expires_at = serializers.DateTimeField(allow_null=True)
    seen_at = serializers.DateTimeField(allow_null=True)


class WrittenSerializer(TriggerSerializer):
    """A trigger after a write, and what became of the write."""

    outcome = serializers.ChoiceField([outcome.value for outcome in Outcome])


class TriggerListSerializer(serializers.Serializer[Any]):
    """A page of triggers, newest first."""

    results = TriggerSerializer(many=True)
    next = serializers.CharField(allow_null=True)


class TriggerFilterSerializer(serializers.Serializer[Any]):
    """Query of GET /api/v1/gtts; `fresh` reads the named account's list at the broker first."""

    account = serializers.SlugField(required=False)
    status = serializers.CharField(required=False, max_length=20)
    fresh = serializers.BooleanField(default=False)
    cursor = serializers.CharField(required=False, max_length=200)
    limit = serializers.IntegerField(min_value=1, max_value=500, default=100)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """A fresh list is one account's."""
        if attrs["fresh"] and "account" not in attrs:
            raise serializers.ValidationError({"account": "Name the account whose list is to be read."})
        return attrs
