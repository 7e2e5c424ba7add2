"""What the portfolio API takes, and its shapes for the schema."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from rest_framework import serializers

from accounts.strict import StrictSerializer
from kite.types import Exchange, Product
from orders.serializers import SYMBOL
from portfolio.exposure import Exposure, ProfitAndLoss
from portfolio.models import Instruction
from portfolio.readings import Part

LONGEST_AGE = 86_400
FREQUENCIES = ("weekly", "monthly", "quarterly")


class ScopeSerializer(serializers.Serializer[Any]):
    """Query of every reading: one account, a group, or every account of the caller."""

    account = serializers.SlugField(required=False)
    group = serializers.CharField(required=False, max_length=80)
    max_age = serializers.FloatField(min_value=0, max_value=LONGEST_AGE, default=5.0)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Refuse both at once."""
        if "account" in attrs and "group" in attrs:
            raise serializers.ValidationError({"group": "Name an account or a group, not both."})
        return attrs


class MarginScopeSerializer(ScopeSerializer):
    """Query of GET /api/v1/margins."""

    segment = serializers.ChoiceField(["equity", "commodity"], required=False)


class ConversionSerializer(StrictSerializer):
    """Body of POST /api/v1/positions/conversions; the side follows from the position."""

    account = serializers.SlugField(max_length=50)
    exchange = serializers.ChoiceField([item.value for item in Exchange])
    tradingsymbol = serializers.RegexField(SYMBOL, max_length=80)
    position_type = serializers.ChoiceField(["day", "overnight"], default="day")
    quantity = serializers.IntegerField(min_value=1, max_value=100_000_000)
    old_product = serializers.ChoiceField([item.value for item in Product])
    new_product = serializers.ChoiceField([item.value for item in Product])

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Refuse a conversion to the same product."""
        attrs = super().validate(attrs)
        if attrs["old_product"] == attrs["new_product"]:
            raise serializers.ValidationError({"new_product": "It is the product the position has."})
        return attrs


class FundOrderSerializer(StrictSerializer):
    """Body of POST /api/v1/funds/orders: an amount in rupees to buy, or units to sell."""

    account = serializers.SlugField(max_length=50)
    tradingsymbol = serializers.RegexField(r"^[A-Z0-9]+$", max_length=20)
    transaction_type = serializers.ChoiceField(["BUY", "SELL"])
    amount = serializers.FloatField(min_value=1, max_value=1e9, required=False)
    quantity = serializers.FloatField(min_value=0.001, max_value=1e9, required=False)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Ask for what the side needs."""
        attrs = super().validate(attrs)
        needed, other = ("amount", "quantity") if attrs["transaction_type"] == "BUY" else ("quantity", "amount")
        if needed not in attrs or other in attrs:
            raise serializers.ValidationError({needed: f"A {attrs['transaction_type']} order has {needed} alone."})
        return attrs


class SipSerializer(StrictSerializer):
    """Body of POST /api/v1/funds/sips; instalments -1 means until it is ended."""

    account = serializers.SlugField(max_length=50)
    tradingsymbol = serializers.RegexField(r"^[A-Z0-9]+$", max_length=20)
    amount = serializers.FloatField(min_value=1, max_value=1e9)
    instalments = serializers.IntegerField(min_value=-1, max_value=1200)
    frequency = serializers.ChoiceField(FREQUENCIES)
    initial_amount = serializers.FloatField(min_value=1, max_value=1e9, required=False)
    instalment_day = serializers.IntegerField(min_value=0, max_value=28, required=False)


class SipChangeSerializer(StrictSerializer):
    """Body of PATCH /api/v1/funds/sips/{id}: absolute new values."""

    account = serializers.SlugField(max_length=50)
    amount = serializers.FloatField(min_value=1, max_value=1e9, required=False)
    status = serializers.ChoiceField(["active", "paused"], required=False)
    instalments = serializers.IntegerField(min_value=-1, max_value=1200, required=False)
    frequency = serializers.ChoiceField(FREQUENCIES, required=False)
    instalment_day = serializers.IntegerField(min_value=0, max_value=28, required=False)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Refuse a body that changes nothing."""
        attrs = super().validate(attrs)
        if set(attrs) == {"account"}:
            raise serializers.ValidationError("Name at least one value to change.")
        return attrs


class AccountSerializer(StrictSerializer):
    """Body or query that names the account alone."""

    account = serializers.SlugField(max_length=50)


class InstructionFilterSerializer(serializers.Serializer[Any]):
    """Query of GET /api/v1/instructions."""

    account = serializers.SlugField(required=False)
    state = serializers.ChoiceField(Instruction.State.values, required=False)
    cursor = serializers.CharField(required=False, max_length=200)
    limit = serializers.IntegerField(min_value=1, max_value=500, default=100)


class PartSerializer(serializers.Serializer[Any]):
    """Age of one account's answer, and what kept a newer one from being had."""

    account = serializers.CharField()
    read_at = serializers.DateTimeField(allow_null=True)
    age_seconds = serializers.FloatField(allow_null=True)
    code = serializers.CharField()
    detail = serializers.CharField()


class RowsSerializer(serializers.Serializer[Any]):
    """Rows in the broker's words, each with its account."""

    results = serializers.ListField(child=serializers.DictField())
    accounts = PartSerializer(many=True)


class PositionListSerializer(serializers.Serializer[Any]):
    """Both views of the same trading."""

    net = serializers.ListField(child=serializers.DictField())
    day = serializers.ListField(child=serializers.DictField())
    accounts = PartSerializer(many=True)


class ExposureSerializer(serializers.Serializer[Any]):
    """Everything held of one underlying."""

    underlying = serializers.CharField()
    long_value = serializers.FloatField()
    short_value = serializers.FloatField()
    net_value = serializers.FloatField()
    gross_value = serializers.FloatField()
    pnl = serializers.FloatField()
    delta_units = serializers.FloatField()
    lines = serializers.IntegerField()
    unpriced = serializers.ListField(child=serializers.CharField())


class ExposureListSerializer(serializers.Serializer[Any]):
    """Exposure by underlying, and the ages of what it was computed from."""

    results = ExposureSerializer(many=True)
    accounts = PartSerializer(many=True)


class ProfitSerializer(serializers.Serializer[Any]):
    """One account's profit in rupees."""

    account = serializers.CharField()
    today = serializers.FloatField()
    realised = serializers.FloatField()
    unrealised = serializers.FloatField()
    m2m = serializers.FloatField()
    holdings_day_change = serializers.FloatField()
    holdings_pnl = serializers.FloatField()


class ProfitListSerializer(serializers.Serializer[Any]):
    """Profit by account, and the sum."""

    results = ProfitSerializer(many=True)
    total = ProfitSerializer()
    accounts = PartSerializer(many=True)


class InstructionSerializer(serializers.Serializer[Any]):
    """A change that was asked of the broker, and what became of it."""

    id = serializers.UUIDField()
    account = serializers.CharField()
    kind = serializers.ChoiceField(Instruction.Kind.values)
    state = serializers.ChoiceField(Instruction.State.values)
    outcome = serializers.ChoiceField(["not_sent", "rejected", "unknown", "accepted"])
    code = serializers.CharField()
    reason = serializers.CharField()
    body = serializers.DictField()
    broker_id = serializers.CharField()
    created_at = serializers.DateTimeField()
    settled_at = serializers.DateTimeField(allow_null=True)


class InstructionListSerializer(serializers.Serializer[Any]):
    """A page of instructions, newest first."""

    results = InstructionSerializer(many=True)
    next = serializers.CharField(allow_null=True)


def part_documents(parts: Iterable[Part], *, now: datetime) -> list[dict[str, Any]]:
    """Return the ages of the parts."""
    return [
        {
            "account": part.account.label,
            "read_at": None if part.read_at is None else part.read_at.isoformat(),
            "age_seconds": part.age_seconds(now=now),
            "code": part.code,
            "detail": part.detail,
        }
        for part in parts
    ]


def labelled(parts: Sequence[Part], *, side: str | None = None) -> list[dict[str, Any]]:
    """Return every account's rows with its label; `side` picks one list of an answer of several."""
    return [
        {"account": part.account.label, **row}
        for part in parts
        if part.answer is not None
        for row in (part.answer if side is None else part.answer[side])
    ]


def exposure_document(exposure: Exposure) -> dict[str, Any]:
    """Return one underlying's exposure."""
    return {
        "underlying": exposure.underlying,
        "long_value": exposure.long_value,
        "short_value": exposure.short_value,
        "net_value": exposure.net_value,
        "gross_value": exposure.gross_value,
        "pnl": exposure.pnl,
        "delta_units": exposure.delta_units,
        "lines": exposure.lines,
        "unpriced": exposure.unpriced,
    }


def profit_document(*, account: str, found: ProfitAndLoss) -> dict[str, Any]:
    """Return one account's profit."""
    return {
        "account": account,
        "today": found.today,
        "realised": found.realised,
        "unrealised": found.unrealised,
        "m2m": found.m2m,
        "holdings_day_change": found.holdings_day_change,
        "holdings_pnl": found.holdings_pnl,
    }


def instruction_document(instruction: Instruction) -> dict[str, Any]:
    """Return an instruction as clients see it."""
    return {
        "id": str(instruction.pk),
        "account": instruction.account.label,
        "kind": instruction.kind,
        "state": instruction.state,
        "outcome": instruction.outcome,
        "code": instruction.code,
        "reason": instruction.reason,
        "body": instruction.body,
        "broker_id": instruction.broker_id,
        "created_at": instruction.created_at.isoformat(),
        "settled_at": None if instruction.settled_at is None else instruction.settled_at.isoformat(),
    }
