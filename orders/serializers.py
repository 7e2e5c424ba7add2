"""What the orders API takes, and its shapes for the schema."""

from typing import Any

from rest_framework import serializers

from kite.types import Exchange, OrderType, Product, TransactionType, Validity, Variety
from orders.intake import Wanted
from orders.states import CommandState, Outcome, State

SYMBOL = r"^[A-Z0-9&\-_. ]+$"
WORD = r"^[A-Za-z0-9_.:\-]*$"
PRICE: dict[str, Any] = {"max_digits": 14, "decimal_places": 4, "min_value": 0, "required": False, "allow_null": True}


def _values(kind: Any) -> list[str]:
    return [str(member.value) for member in kind]


class StrictSerializer(serializers.Serializer[Any]):
    """Refuses fields it does not know: a misspelt price must not become a market order."""

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Refuse unknown fields."""
        unknown = sorted(set(self.initial_data) - set(self.fields))
        if unknown:
            raise serializers.ValidationError(dict.fromkeys(unknown, "There is no such field."))
        return attrs


class OrderRequestSerializer(StrictSerializer):
    """Body of POST /api/v1/orders."""

    account = serializers.SlugField(max_length=50)
    exchange = serializers.ChoiceField(_values(Exchange))
    tradingsymbol = serializers.RegexField(SYMBOL, max_length=80)
    transaction_type = serializers.ChoiceField(_values(TransactionType))
    order_type = serializers.ChoiceField(_values(OrderType))
    product = serializers.ChoiceField(_values(Product))
    quantity = serializers.IntegerField(min_value=1, max_value=100_000_000)
    variety = serializers.ChoiceField([name for name in _values(Variety) if name != "iceberg"], default="regular")
    price = serializers.DecimalField(**PRICE)
    trigger_price = serializers.DecimalField(**PRICE)
    validity = serializers.ChoiceField(_values(Validity), default="DAY")
    validity_ttl = serializers.IntegerField(min_value=1, max_value=375, required=False, allow_null=True)
    disclosed_quantity = serializers.IntegerField(min_value=1, required=False, allow_null=True)
    market_protection = serializers.DecimalField(
        max_digits=5, decimal_places=2, min_value=-1, max_value=100, required=False, allow_null=True
    )
    auction_number = serializers.RegexField(WORD, max_length=20, required=False, allow_blank=True)
    algo_id = serializers.RegexField(WORD, max_length=40, required=False, allow_blank=True)
    strategy = serializers.RegexField(WORD, max_length=40, required=False, allow_blank=True)
    deadline_seconds = serializers.IntegerField(min_value=1, max_value=86_400, default=60)
    allow_duplicate = serializers.BooleanField(default=False)
    replaces = serializers.UUIDField(required=False, allow_null=True)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Check what one field says about another."""
        attrs = super().validate(attrs)
        _check_prices(attrs)
        _check_validity(attrs)
        _check_variety(attrs)
        return attrs

    @property
    def wanted(self) -> Wanted:
        """The checked body as a value."""
        return Wanted(**self.validated_data)


def _check_prices(attrs: dict[str, Any]) -> None:
    kind = attrs["order_type"]
    if kind in {"LIMIT", "SL"} and not attrs.get("price"):
        raise serializers.ValidationError({"price": f"A {kind} order needs a price above 0."})
    if kind in {"MARKET", "SL-M"} and attrs.get("price"):
        raise serializers.ValidationError({"price": f"A {kind} order has no price."})
    if kind in {"SL", "SL-M"} and not attrs.get("trigger_price"):
        raise serializers.ValidationError({"trigger_price": f"A {kind} order needs a trigger price above 0."})
    if kind in {"MARKET", "LIMIT"} and attrs.get("trigger_price") and attrs["variety"] != "co":
        raise serializers.ValidationError({"trigger_price": f"A {kind} order has no trigger price."})


def _check_validity(attrs: dict[str, Any]) -> None:
    if (attrs["validity"] == "TTL") != bool(attrs.get("validity_ttl")):
        raise serializers.ValidationError({"validity_ttl": "Minutes belong to validity TTL, and TTL needs them."})


def _check_variety(attrs: dict[str, Any]) -> None:
    if attrs["variety"] == "co" and not attrs.get("trigger_price"):
        raise serializers.ValidationError({"trigger_price": "A cover order needs the trigger price of its stop."})
    if attrs["variety"] == "co" and attrs["product"] != "MIS":
        raise serializers.ValidationError({"product": "A cover order is MIS."})
    if (attrs["variety"] == "auction") != bool(attrs.get("auction_number")):
        raise serializers.ValidationError({"auction_number": "Belongs to variety auction, and auction needs it."})


class OrderChangeSerializer(StrictSerializer):
    """Body of PATCH /api/v1/orders/{id}: absolute new values."""

    order_type = serializers.ChoiceField(_values(OrderType), required=False)
    quantity = serializers.IntegerField(min_value=1, max_value=100_000_000, required=False)
    price = serializers.DecimalField(max_digits=14, decimal_places=4, min_value=0, required=False)
    trigger_price = serializers.DecimalField(max_digits=14, decimal_places=4, min_value=0, required=False)
    disclosed_quantity = serializers.IntegerField(min_value=1, required=False)
    validity = serializers.ChoiceField(["DAY", "IOC"], required=False)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Refuse a body that changes nothing."""
        attrs = super().validate(attrs)
        if not attrs:
            raise serializers.ValidationError("Name at least one value to change.")
        return attrs


class OrderFilterSerializer(serializers.Serializer[Any]):
    """Query of GET /api/v1/orders and GET /api/v1/trades."""

    account = serializers.SlugField(required=False)
    state = serializers.ChoiceField(_values(State), required=False)
    day = serializers.DateField(required=False)
    cursor = serializers.CharField(required=False, max_length=200)
    limit = serializers.IntegerField(min_value=1, max_value=500, default=100)


class OrderSerializer(serializers.Serializer[Any]):
    """An order as `orders.stream.order_document` writes it; the socket sends the same document."""

    id = serializers.UUIDField()
    sequence = serializers.IntegerField()
    account = serializers.CharField()
    origin = serializers.CharField()
    strategy = serializers.CharField()
    state = serializers.ChoiceField(_values(State))
    outcome = serializers.ChoiceField(_values(Outcome))
    reason_code = serializers.CharField()
    reason = serializers.CharField()
    variety = serializers.CharField()
    exchange = serializers.CharField()
    tradingsymbol = serializers.CharField()
    instrument_token = serializers.IntegerField()
    transaction_type = serializers.CharField()
    order_type = serializers.CharField()
    product = serializers.CharField()
    quantity = serializers.IntegerField()
    price = serializers.FloatField(allow_null=True)
    trigger_price = serializers.FloatField(allow_null=True)
    validity = serializers.CharField()
    disclosed_quantity = serializers.IntegerField(allow_null=True)
    market_protection = serializers.FloatField(allow_null=True)
    tag = serializers.CharField()
    order_id = serializers.CharField(allow_null=True)
    exchange_order_id = serializers.CharField(allow_null=True)
    status = serializers.CharField()
    status_message = serializers.CharField()
    filled_quantity = serializers.IntegerField()
    pending_quantity = serializers.IntegerField()
    cancelled_quantity = serializers.IntegerField()
    average_price = serializers.FloatField()
    attempt = serializers.IntegerField()
    replaces = serializers.UUIDField(allow_null=True)
    trading_day = serializers.DateField()
    created_at = serializers.DateTimeField()
    sent_at = serializers.DateTimeField(allow_null=True)
    acked_at = serializers.DateTimeField(allow_null=True)
    finished_at = serializers.DateTimeField(allow_null=True)


class OrderListSerializer(serializers.Serializer[Any]):
    """A page of orders, newest first."""

    results = OrderSerializer(many=True)
    next = serializers.CharField(allow_null=True)


class EventSerializer(serializers.Serializer[Any]):
    """One thing that happened to an order."""

    sequence = serializers.IntegerField()
    kind = serializers.CharField()
    at = serializers.DateTimeField()
    source = serializers.CharField()  # type: ignore[assignment] # hides an argument of Field that is not used here
    before = serializers.CharField()
    after = serializers.CharField()
    detail = serializers.JSONField()


class EventListSerializer(serializers.Serializer[Any]):
    """An order's history, oldest first."""

    results = EventSerializer(many=True)


class TradeSerializer(serializers.Serializer[Any]):
    """One execution."""

    id = serializers.IntegerField()
    account = serializers.CharField()
    order = serializers.UUIDField()
    trade_id = serializers.CharField()
    order_id = serializers.CharField()
    exchange_order_id = serializers.CharField()
    exchange = serializers.CharField()
    tradingsymbol = serializers.CharField()
    instrument_token = serializers.IntegerField()
    transaction_type = serializers.CharField()
    product = serializers.CharField()
    quantity = serializers.IntegerField()
    average_price = serializers.FloatField()
    filled_at = serializers.DateTimeField(allow_null=True)
    trading_day = serializers.DateField()


class TradeListSerializer(serializers.Serializer[Any]):
    """A page of trades, newest first."""

    results = TradeSerializer(many=True)
    next = serializers.CharField(allow_null=True)


class CommandSerializer(serializers.Serializer[Any]):
    """A modification or a cancellation."""

    id = serializers.UUIDField()
    kind = serializers.CharField()
    state = serializers.ChoiceField(_values(CommandState))
    reason_code = serializers.CharField()
    reason = serializers.CharField()
    changes = serializers.JSONField()


class AskedSerializer(serializers.Serializer[Any]):
    """Answer to PATCH and DELETE: the command, null where the order was withdrawn before it left."""

    command = CommandSerializer(allow_null=True)
    order = OrderSerializer()
