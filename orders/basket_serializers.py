"""What the baskets API takes and shows."""

from typing import Any

from drf_spectacular.utils import OpenApiExample, extend_schema_serializer
from rest_framework import serializers

from accounts.strict import StrictSerializer
from orders.baskets import WantedBasket, WantedLeg, circle_in, dependencies
from orders.drafts import Wanted
from orders.parents import OrderGroup
from orders.serializers import WORD, OrderRequestSerializer, OrderSerializer
from orders.states import Outcome

MOST_LEGS = 20
SPREAD: dict[str, Any] = {
    "account": "main",
    "strategy": "bull-call",
    "hedge_first": True,
    "on_failure": "unwind",
    "legs": [
        {
            "exchange": "NFO",
            "tradingsymbol": "NIFTY26NOV25200CE",
            "transaction_type": "SELL",
            "order_type": "LIMIT",
            "product": "NRML",
            "quantity": 75,
            "price": 110.0,
        },
        {
            "exchange": "NFO",
            "tradingsymbol": "NIFTY26NOV25500CE",
            "transaction_type": "BUY",
            "order_type": "LIMIT",
            "product": "NRML",
            "quantity": 75,
            "price": 42.0,
        },
    ],
}


class LegRequestSerializer(OrderRequestSerializer):
    """One leg of a basket: an order without its account, and the legs it waits for."""

    account = None  # type: ignore[assignment] # the basket names it
    replaces = None  # type: ignore[assignment]
    strategy = None  # type: ignore[assignment]
    after = serializers.ListField(
        child=serializers.IntegerField(min_value=0, max_value=MOST_LEGS - 1),
        default=list,
        help_text="Numbers of the legs that must be complete before this one leaves, counted from 0.",
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Refuse what is unknown, by the leg's own fields."""
        if isinstance(self.parent, serializers.ListSerializer):
            # Nested serializers have no initial_data of their own; the basket checks names.
            self.initial_data = {}
        return super().validate(attrs)


@extend_schema_serializer(examples=[OpenApiExample("a spread, hedge first", SPREAD, request_only=True)])
class BasketRequestSerializer(StrictSerializer):
    """Body of POST /api/v1/baskets. A basket is not atomic: each leg has its own outcome."""

    account = serializers.SlugField(max_length=50)
    legs = LegRequestSerializer(many=True, min_length=1, max_length=MOST_LEGS)  # type: ignore[call-arg]
    hedge_first = serializers.BooleanField(default=True, help_text="Sells wait until every buy is complete.")
    on_failure = serializers.ChoiceField(OrderGroup.OnFailure.values, default=OrderGroup.OnFailure.KEEP.value)
    strategy = serializers.RegexField(WORD, max_length=40, required=False, allow_blank=True)
    deadline_seconds = serializers.IntegerField(
        min_value=1, max_value=86_400, default=300, help_text="Legs that have not left by then are skipped."
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Check that legs wait for legs that exist, and not in a circle."""
        attrs = super().validate(attrs)
        known = set(LegRequestSerializer().fields)
        for number, sent in enumerate(self.initial_data["legs"]):
            unknown = sorted(set(sent) - known)
            if unknown:
                raise serializers.ValidationError({f"legs.{number}.{unknown[0]}": "There is no such field."})
        legs = _legs(attrs)
        for number, leg in enumerate(legs):
            if any(other >= len(legs) or other == number for other in leg.after):
                raise serializers.ValidationError({f"legs.{number}.after": "Names a leg that there is not, or itself."})
        if circle_in(dependencies(legs, hedge_first=attrs["hedge_first"])):
            raise serializers.ValidationError({"legs": "Legs wait for each other in a circle."})
        return attrs

    @property
    def wanted(self) -> WantedBasket:
        """The checked body as a value."""
        values = dict(self.validated_data)
        values["legs"] = tuple(_legs(values))
        return WantedBasket(**values)


def _legs(attrs: dict[str, Any]) -> list[WantedLeg]:
    """Return the legs as values; each takes over what the basket says for all."""
    shared = {"account": attrs["account"], "strategy": attrs.get("strategy", "")}
    return [
        WantedLeg(
            Wanted(**shared, **{name: value for name, value in leg.items() if name != "after"}), tuple(leg["after"])
        )
        for leg in attrs["legs"]
    ]


class BasketLegSerializer(serializers.Serializer[Any]):
    """One leg and what became of it."""

    leg = serializers.IntegerField()
    after = serializers.ListField(child=serializers.IntegerField())
    exchange = serializers.CharField()
    tradingsymbol = serializers.CharField()
    transaction_type = serializers.CharField()
    quantity = serializers.IntegerField()
    filled_quantity = serializers.IntegerField()
    state = serializers.ChoiceField(["waiting", "working", "complete", "partial", "failed", "skipped"])
    outcome = serializers.ChoiceField([outcome.value for outcome in Outcome])
    reason = serializers.CharField()
    orders = OrderSerializer(many=True)


class BasketSerializer(serializers.Serializer[Any]):
    """A group of orders: a basket, the slices of one order, or the parts of an iceberg."""

    id = serializers.UUIDField()
    kind = serializers.ChoiceField(OrderGroup.Kind.values)
    account = serializers.CharField()
    strategy = serializers.CharField()
    state = serializers.ChoiceField(OrderGroup.State.values)
    on_failure = serializers.ChoiceField(OrderGroup.OnFailure.values)
    quantity = serializers.IntegerField()
    filled_quantity = serializers.IntegerField()
    legs = BasketLegSerializer(many=True)
    unwinding = OrderSerializer(many=True)
    created_at = serializers.DateTimeField()
    deadline_at = serializers.DateTimeField()
    cancelled_at = serializers.DateTimeField(allow_null=True)
    finished_at = serializers.DateTimeField(allow_null=True)


class BasketListSerializer(serializers.Serializer[Any]):
    """A page of groups, newest first."""

    results = BasketSerializer(many=True)
    next = serializers.CharField(allow_null=True)


class BasketFilterSerializer(serializers.Serializer[Any]):
    """Query of GET /api/v1/baskets."""

    account = serializers.SlugField(required=False)
    kind = serializers.ChoiceField(OrderGroup.Kind.values, required=False)
    state = serializers.ChoiceField(OrderGroup.State.values, required=False)
    cursor = serializers.CharField(required=False, max_length=200)
    limit = serializers.IntegerField(min_value=1, max_value=100, default=50)
