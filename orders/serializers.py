"""What the orders API takes, and its shapes for the schema."""

from functools import cache
from typing import Any

from drf_spectacular.utils import OpenApiExample, extend_schema_serializer
from rest_framework import serializers
from rest_framework.utils.serializer_helpers import BindingDict

from accounts.strict import StrictSerializer
from kite.limits import ICEBERG_LEGS
from kite.types import Exchange, OrderType, Product, TransactionType, Validity, Variety
from orders.drafts import Wanted
from orders.states import CommandState, Outcome, State

SYMBOL = r"^[A-Z0-9&\-_. ]+$"
AUTOMATIC = -1
WORD = r"^[A-Za-z0-9_.:\-]*$"
PRICE: dict[str, Any] = {"max_digits": 14, "decimal_places": 4, "min_value": 0, "required": False, "allow_null": True}

PLAIN: dict[str, Any] = {
    "account": "main",
    "exchange": "NSE",
    "tradingsymbol": "INFY",
    "transaction_type": "BUY",
    "order_type": "LIMIT",
    "product": "CNC",
    "quantity": 10,
    "price": 1500.0,
}
ORDER_EXAMPLES: dict[str, dict[str, Any]] = {
    "limit": {},
    "market": {"order_type": "MARKET", "price": None, "market_protection": -1},
    "after market": {"variety": "amo"},
    "cover": {"variety": "co", "product": "MIS", "trigger_price": 1470.0},
    "iceberg": {"variety": "iceberg", "quantity": 1000, "iceberg_legs": 5, "iceberg_quantity": 200},
    "auction": {"variety": "auction", "transaction_type": "SELL", "auction_number": "1234"},
    "minutes": {"validity": "TTL", "validity_ttl": 5},
    "sliced": {
        "exchange": "NFO",
        "tradingsymbol": "NIFTY26NOVFUT",
        "product": "NRML",
        "quantity": 3600,
        "autoslice": True,
    },
}


def _values(kind: Any) -> list[str]:
    return [str(member.value) for member in kind]


@extend_schema_serializer(
    examples=[OpenApiExample(name, {**PLAIN, **values}, request_only=True) for name, values in ORDER_EXAMPLES.items()]
)
class OrderRequestSerializer(StrictSerializer):
    """Body of POST /api/v1/orders."""

    account = serializers.SlugField(max_length=50)
    exchange = serializers.ChoiceField(_values(Exchange))
    tradingsymbol = serializers.RegexField(SYMBOL, max_length=80)
    transaction_type = serializers.ChoiceField(_values(TransactionType))
    order_type = serializers.ChoiceField(_values(OrderType))
    product = serializers.ChoiceField(_values(Product))
    quantity = serializers.IntegerField(min_value=1, max_value=100_000_000)
    variety = serializers.ChoiceField(_values(Variety), default="regular")
    price = serializers.DecimalField(**PRICE)
    trigger_price = serializers.DecimalField(**PRICE)
    validity = serializers.ChoiceField(_values(Validity), default="DAY")
    validity_ttl = serializers.IntegerField(min_value=1, max_value=375, required=False, allow_null=True)
    disclosed_quantity = serializers.IntegerField(min_value=1, required=False, allow_null=True)
    market_protection = serializers.DecimalField(
        max_digits=5, decimal_places=2, min_value=-1, max_value=100, required=False, allow_null=True
    )
    iceberg_legs = serializers.IntegerField(
        min_value=ICEBERG_LEGS.start, max_value=ICEBERG_LEGS.stop - 1, required=False, allow_null=True
    )
    iceberg_quantity = serializers.IntegerField(min_value=1, required=False, allow_null=True)
    auction_number = serializers.RegexField(WORD, max_length=20, required=False, allow_blank=True)
    algo_id = serializers.RegexField(WORD, max_length=40, required=False, allow_blank=True)
    strategy = serializers.RegexField(WORD, max_length=40, required=False, allow_blank=True)
    deadline_seconds = serializers.IntegerField(min_value=1, max_value=86_400, default=60)
    allow_duplicate = serializers.BooleanField(default=False)
    autoslice = serializers.BooleanField(
        default=False, help_text="Cut a quantity above the freeze quantity into at most ten orders of one group."
    )
    replaces = serializers.UUIDField(required=False, allow_null=True)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Check what one field says about another."""
        attrs = super().validate(attrs)
        check_order(attrs)
        return attrs

    @property
    def fields(self) -> BindingDict:
        """The fields, made once: copying them for each order took a tenth of its time. They hold no request's state."""
        return shared_fields(type(self))

    @property
    def wanted(self) -> Wanted:
        """The checked body as a value."""
        return Wanted(**self.validated_data)


@cache
def shared_fields(kind: type[OrderRequestSerializer]) -> BindingDict:
    """Return the fields of a serializer's class, bound to one instance that carries no request."""
    bound = BindingDict(kind())
    for name, field in kind().get_fields().items():
        bound[name] = field
    return bound


def check_order(attrs: dict[str, Any]) -> None:
    """Raise ValidationError where one field of an order contradicts another; names the field."""
    for check in (_check_prices, _check_validity, _check_variety, _check_iceberg, _check_parts):
        check(attrs)


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
    variety = attrs["variety"]
    if variety == "co":
        _refuse_unless(
            bool(attrs.get("trigger_price")), "trigger_price", "A cover order needs its stop's trigger price."
        )
        _refuse_unless(attrs["product"] == "MIS", "product", "A cover order is MIS.")
        _refuse_unless(attrs["order_type"] in {"MARKET", "LIMIT"}, "order_type", "A cover order is MARKET or LIMIT.")
    if (variety == "auction") != bool(attrs.get("auction_number")):
        raise serializers.ValidationError({"auction_number": "Belongs to variety auction, and auction needs it."})
    if variety == "auction":
        _refuse_unless(attrs["transaction_type"] == "SELL", "transaction_type", "An auction takes SELL orders.")
        _refuse_unless(attrs["order_type"] == "LIMIT", "order_type", "An auction takes LIMIT orders.")


def _check_iceberg(attrs: dict[str, Any]) -> None:
    legs, part, quantity = attrs.get("iceberg_legs"), attrs.get("iceberg_quantity"), attrs["quantity"]
    if attrs["variety"] != "iceberg":
        _refuse_unless(not legs, "iceberg_legs", "Belongs to variety iceberg.")
        _refuse_unless(not part, "iceberg_quantity", "Belongs to variety iceberg.")
        return
    _refuse_unless(bool(legs), "iceberg_legs", "An iceberg needs its number of legs, 2 to 50.")
    _refuse_unless(bool(part), "iceberg_quantity", "An iceberg needs the quantity of a leg.")
    _refuse_unless(attrs["order_type"] == "LIMIT", "order_type", "An iceberg is a LIMIT order.")
    fits = part is not None and legs is not None and part * (legs - 1) < quantity <= part * legs
    _refuse_unless(fits, "iceberg_quantity", f"{legs} legs of {part} are not {quantity}.")


def _check_parts(attrs: dict[str, Any]) -> None:
    disclosed = attrs.get("disclosed_quantity")
    if disclosed:
        _refuse_unless(attrs["exchange"] in {"NSE", "BSE"}, "disclosed_quantity", "Only shares are disclosed in part.")
        _refuse_unless(attrs["variety"] != "iceberg", "disclosed_quantity", "An iceberg discloses its leg.")
    protection = attrs.get("market_protection")
    if protection is not None:
        shaped = protection == AUTOMATIC or protection > 0
        _refuse_unless(shaped, "market_protection", "-1 is the broker's own band, else a percentage above 0.")
        priced = attrs["order_type"] in {"LIMIT", "SL"}
        _refuse_unless(not priced, "market_protection", "A price of your own needs no protection.")
    if attrs["variety"] in {"co", "iceberg", "auction"}:
        _refuse_unless(not attrs["autoslice"], "autoslice", f"Variety {attrs['variety']} is not sliced.")


def _refuse_unless(fine: bool, field: str, text: str) -> None:  # noqa: FBT001 (reads like the rule)
    if not fine:
        raise serializers.ValidationError({field: text})


class OrderChangeSerializer(StrictSerializer):
    """Body of PATCH /api/v1/orders/{id}: absolute new values."""

    order_type = serializers.ChoiceField(_values(OrderType), required=False)
    quantity = serializers.IntegerField(min_value=1, max_value=100_000_000, required=False)
    price = serializers.DecimalField(max_digits=14, decimal_places=4, min_value=0, required=False)
    trigger_price = serializers.DecimalField(max_digits=14, decimal_places=4, min_value=0, required=False)
    disclosed_quantity = serializers.IntegerField(min_value=1, required=False)
    validity = serializers.ChoiceField(["DAY", "IOC"], required=False)
    market_protection = serializers.DecimalField(
        max_digits=5, decimal_places=2, min_value=-1, max_value=100, required=False
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Refuse a body that changes nothing."""
        attrs = super().validate(attrs)
        if not attrs:
            raise serializers.ValidationError("Name at least one value to change.")
        return attrs


class TradeFilterSerializer(serializers.Serializer[Any]):
    """Query of GET /api/v1/trades."""

    account = serializers.SlugField(required=False)
    day = serializers.DateField(required=False)
    cursor = serializers.CharField(required=False, max_length=200)
    limit = serializers.IntegerField(min_value=1, max_value=500, default=100)


class OrderFilterSerializer(TradeFilterSerializer):
    """Query of GET /api/v1/orders."""

    state = serializers.ChoiceField(_values(State), required=False)


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
    validity_ttl = serializers.IntegerField(allow_null=True)
    disclosed_quantity = serializers.IntegerField(allow_null=True)
    iceberg_legs = serializers.IntegerField(allow_null=True)
    iceberg_quantity = serializers.IntegerField(allow_null=True)
    auction_number = serializers.CharField(allow_null=True)
    algo_id = serializers.CharField(allow_null=True)
    market_protection = serializers.FloatField(allow_null=True)
    tag = serializers.CharField()
    order_id = serializers.CharField(allow_null=True)
    parent_order_id = serializers.CharField(allow_null=True)
    exchange_order_id = serializers.CharField(allow_null=True)
    status = serializers.CharField()
    status_message = serializers.CharField()
    filled_quantity = serializers.IntegerField()
    pending_quantity = serializers.IntegerField()
    cancelled_quantity = serializers.IntegerField()
    average_price = serializers.FloatField()
    attempt = serializers.IntegerField()
    replaces = serializers.UUIDField(allow_null=True)
    group = serializers.UUIDField(allow_null=True)
    leg = serializers.IntegerField(allow_null=True)
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
