"""Orders, what was asked of them, what happened to them, and what they may cost."""

import uuid
from typing import ClassVar

from django.db import models
from django.db.models import Q

from accounts.models import BrokerAccount
from accounts.statements import update
from kite.types import Exchange, OrderType, Product, TransactionType, Validity, Variety
from orders import readings  # noqa: F401 (models live there)
from orders.budget import BUCKETS, Limits, Spent
from orders.parents import OrderGroup
from orders.states import AT_BROKER, ENDED_AT_BROKER, CommandState, Outcome, State, outcome_of

LIMITS = Limits()


def _choices(
    kind: type[Exchange | OrderType | Product | TransactionType | Validity | Variety],
) -> list[tuple[str, str]]:
    return [(member.value, member.value) for member in kind]


def _no_buckets() -> list[int]:
    return [0] * BUCKETS


class Order(models.Model):
    """One intent to trade on one account, and the one broker order it may become."""

    class Origin(models.TextChoices):
        """Who made the order."""

        PLATFORM = "platform"
        EXTERNAL = "external"
        ORPHAN = "orphan"
        CHILD = "child"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    number = models.BigIntegerField(unique=True, editable=False)
    account = models.ForeignKey(BrokerAccount, on_delete=models.PROTECT, related_name="+")
    origin = models.CharField(max_length=8, choices=Origin, default=Origin.PLATFORM)
    client = models.CharField(max_length=80)
    endpoint = models.CharField(max_length=20, default="orders")
    idempotency_key = models.CharField(max_length=128, null=True)
    fingerprint = models.CharField(max_length=64, blank=True)
    strategy = models.CharField(max_length=40, blank=True)
    replaces = models.OneToOneField("self", null=True, blank=True, on_delete=models.PROTECT, related_name="+")
    group = models.ForeignKey(OrderGroup, null=True, blank=True, on_delete=models.PROTECT, related_name="+")
    leg = models.PositiveSmallIntegerField(null=True)

    variety = models.CharField(max_length=10, choices=_choices(Variety), default=Variety.REGULAR)
    exchange = models.CharField(max_length=10)
    tradingsymbol = models.CharField(max_length=80)
    instrument_token = models.BigIntegerField()
    transaction_type = models.CharField(max_length=4, choices=_choices(TransactionType))
    order_type = models.CharField(max_length=10)
    product = models.CharField(max_length=10)
    quantity = models.PositiveBigIntegerField()
    price = models.DecimalField(max_digits=14, decimal_places=4, null=True)
    trigger_price = models.DecimalField(max_digits=14, decimal_places=4, null=True)
    validity = models.CharField(max_length=5, default=Validity.DAY)
    validity_ttl = models.PositiveSmallIntegerField(null=True)
    disclosed_quantity = models.PositiveBigIntegerField(null=True)
    market_protection = models.DecimalField(max_digits=7, decimal_places=2, null=True)
    iceberg_legs = models.PositiveSmallIntegerField(null=True)
    iceberg_quantity = models.PositiveBigIntegerField(null=True)
    auction_number = models.CharField(max_length=20, blank=True)
    algo_id = models.CharField(max_length=40, blank=True)

    state = models.CharField(max_length=20, choices=[(state.value, state.value) for state in State])
    reason_code = models.CharField(max_length=40, blank=True)
    reason = models.CharField(max_length=500, blank=True)
    notional = models.DecimalField(max_digits=18, decimal_places=2, default=0)
    sequence = models.PositiveIntegerField(default=0)
    trading_day = models.DateField()
    created_at = models.DateTimeField()
    deadline_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)

    tag = models.CharField(max_length=20, null=True, unique=True)
    attempt = models.PositiveSmallIntegerField(default=0)
    not_before = models.DateTimeField(null=True)
    woken_at = models.DateTimeField(null=True)
    lease_until = models.DateTimeField(null=True)
    look_first = models.BooleanField(default=False)
    sent_at = models.DateTimeField(null=True)
    unknown_since = models.DateTimeField(null=True)
    looks = models.PositiveSmallIntegerField(default=0)
    next_look_at = models.DateTimeField(null=True)

    broker_order_id = models.CharField(max_length=40, null=True)
    exchange_order_id = models.CharField(max_length=40, blank=True)
    parent_order_id = models.CharField(max_length=40, blank=True)
    broker_tag = models.CharField(max_length=40, blank=True)
    status = models.CharField(max_length=40, blank=True)
    status_message = models.CharField(max_length=500, blank=True)
    filled_quantity = models.PositiveBigIntegerField(default=0)
    pending_quantity = models.PositiveBigIntegerField(default=0)
    cancelled_quantity = models.PositiveBigIntegerField(default=0)
    average_price = models.DecimalField(max_digits=14, decimal_places=4, default=0)
    acked_at = models.DateTimeField(null=True)
    broker_updated_at = models.DateTimeField(null=True)
    acknowledged_at = models.DateTimeField(null=True)
    acknowledged_by = models.CharField(max_length=150, blank=True)

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(
                fields=["client", "account", "endpoint", "idempotency_key"], name="order_once_per_key"
            ),
            models.UniqueConstraint(fields=["account", "broker_order_id"], name="order_once_per_broker_id"),
            models.CheckConstraint(condition=Q(state__in=[state.value for state in State]), name="order_state_known"),
            models.CheckConstraint(condition=Q(quantity__gt=0), name="order_quantity_positive"),
            models.CheckConstraint(condition=Q(price__isnull=True) | Q(price__gte=0), name="order_price_not_negative"),
            models.CheckConstraint(
                condition=Q(trigger_price__isnull=True) | Q(trigger_price__gte=0), name="order_trigger_not_negative"
            ),
            models.CheckConstraint(
                condition=~Q(origin="platform") | Q(idempotency_key__isnull=False, deadline_at__isnull=False),
                name="order_of_ours_has_key_and_deadline",
            ),
            models.CheckConstraint(
                condition=~Q(origin="platform") | ~Q(order_type__in=["LIMIT", "SL"]) | Q(price__isnull=False),
                name="order_limit_has_price",
            ),
            models.CheckConstraint(
                condition=~Q(origin="platform") | ~Q(order_type__in=["SL", "SL-M"]) | Q(trigger_price__isnull=False),
                name="order_stop_has_trigger",
            ),
            models.CheckConstraint(
                condition=~Q(state__in=[state.value for state in sorted(AT_BROKER | ENDED_AT_BROKER)])
                | Q(broker_order_id__isnull=False),
                name="order_at_broker_has_its_id",
            ),
            models.CheckConstraint(
                condition=~Q(state__in=["CLAIMED", "SENDING"]) | Q(tag__isnull=False, lease_until__isnull=False),
                name="order_claimed_has_tag_and_lease",
            ),
            models.CheckConstraint(
                condition=~Q(state="UNKNOWN") | Q(unknown_since__isnull=False, next_look_at__isnull=False),
                name="order_in_doubt_has_a_timer",
            ),
        ]
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["account", "-created_at", "-id"], name="order_account_created"),
            models.Index(fields=["-created_at", "-id"], name="order_created"),
            models.Index(fields=["account", "trading_day"], name="order_account_day"),
            models.Index(
                fields=["state"],
                condition=Q(state__in=["READY", "CLAIMED", "SENDING", "UNKNOWN"]),
                name="order_unsettled",
            ),
            models.Index(fields=["account", "created_at"], condition=Q(state="READY"), name="order_waiting"),
            models.Index(fields=["group", "leg"], condition=Q(group__isnull=False), name="order_group"),
            models.Index(
                fields=["account"], condition=Q(origin="orphan", acknowledged_at__isnull=True), name="order_orphan"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.transaction_type} {self.quantity} {self.exchange}:{self.tradingsymbol} {self.state}"

    @property
    def outcome(self) -> Outcome:
        """What the state says about the broker having the order."""
        return outcome_of(State(self.state))


class OrderEvent(models.Model):
    """One thing that happened to an order. Rows are only ever added."""

    id = models.BigAutoField(primary_key=True)
    order = models.ForeignKey(Order, on_delete=models.PROTECT, related_name="+")
    sequence = models.PositiveIntegerField()
    at = models.DateTimeField()
    kind = models.CharField(max_length=40)
    source = models.CharField(max_length=20)
    before = models.CharField(max_length=20, blank=True)
    after = models.CharField(max_length=20)
    detail = models.JSONField(default=dict)

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["order", "sequence"], name="order_event_sequence"),
        ]

    def __str__(self) -> str:
        return f"{self.sequence} {self.kind}"


class OrderCommand(models.Model):
    """A modification or a cancellation of an order, carried to the broker like an order."""

    class Kind(models.TextChoices):
        """What is asked."""

        MODIFY = "modify"
        CANCEL = "cancel"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    order = models.ForeignKey(Order, on_delete=models.PROTECT, related_name="+")
    kind = models.CharField(max_length=6, choices=Kind)
    client = models.CharField(max_length=80)
    idempotency_key = models.CharField(max_length=128, null=True)
    fingerprint = models.CharField(max_length=64, blank=True)
    changes = models.JSONField(default=dict)
    state = models.CharField(max_length=10, choices=[(state.value, state.value) for state in CommandState])
    reason_code = models.CharField(max_length=40, blank=True)
    reason = models.CharField(max_length=500, blank=True)
    attempt = models.PositiveSmallIntegerField(default=0)
    created_at = models.DateTimeField()
    deadline_at = models.DateTimeField()
    not_before = models.DateTimeField(null=True)
    woken_at = models.DateTimeField(null=True)
    lease_until = models.DateTimeField(null=True)
    sent_at = models.DateTimeField(null=True)
    next_look_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["client", "order", "kind", "idempotency_key"], name="command_once_per_key"),
            models.UniqueConstraint(
                fields=["order"],
                condition=Q(kind="cancel", state__in=["READY", "CLAIMED", "SENDING", "UNKNOWN"]),
                name="command_one_open_cancel",
            ),
            models.CheckConstraint(
                condition=Q(state__in=[state.value for state in CommandState]), name="command_state_known"
            ),
        ]
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["order", "created_at"], name="command_order"),
            models.Index(
                fields=["state"],
                condition=Q(state__in=["READY", "CLAIMED", "SENDING", "UNKNOWN"]),
                name="command_unsettled",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.order_id} {self.state}"


class Trade(models.Model):
    """One execution of an order, as the exchange numbered it. Rows are only ever added."""

    id = models.BigAutoField(primary_key=True)
    account = models.ForeignKey(BrokerAccount, on_delete=models.PROTECT, related_name="+")
    order = models.ForeignKey(Order, on_delete=models.PROTECT, related_name="+")
    trade_id = models.CharField(max_length=40)
    broker_order_id = models.CharField(max_length=40)
    exchange_order_id = models.CharField(max_length=40, blank=True)
    exchange = models.CharField(max_length=10)
    tradingsymbol = models.CharField(max_length=80)
    instrument_token = models.BigIntegerField()
    transaction_type = models.CharField(max_length=4, choices=_choices(TransactionType))
    product = models.CharField(max_length=10)
    quantity = models.PositiveBigIntegerField()
    average_price = models.DecimalField(max_digits=14, decimal_places=4)
    filled_at = models.DateTimeField(null=True)
    heard_at = models.DateTimeField()
    trading_day = models.DateField()

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(
                fields=["account", "broker_order_id", "trade_id", "trading_day"], name="trade_once"
            ),
            models.CheckConstraint(condition=Q(quantity__gt=0), name="trade_quantity_positive"),
        ]
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["account", "-id"], name="trade_account"),
            models.Index(fields=["order"], name="trade_order"),
        ]

    def __str__(self) -> str:
        return f"{self.trade_id} {self.quantity} {self.exchange}:{self.tradingsymbol} @ {self.average_price}"


class OrderBudget(models.Model):
    """What an account has used of its order calls; its row lock also serialises the account's risk."""

    account = models.OneToOneField(BrokerAccount, primary_key=True, on_delete=models.PROTECT, related_name="+")
    per_second = models.PositiveSmallIntegerField(default=LIMITS.per_second)
    burst = models.PositiveSmallIntegerField(default=LIMITS.burst)
    per_minute = models.PositiveSmallIntegerField(default=LIMITS.per_minute)
    per_day = models.PositiveIntegerField(default=LIMITS.per_day)
    next_at = models.FloatField(default=0)
    bucket = models.BigIntegerField(default=0)
    buckets = models.JSONField(default=_no_buckets)
    day = models.DateField(null=True)
    day_count = models.PositiveIntegerField(default=0)

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.CheckConstraint(
                condition=Q(per_second__range=(1, 10), burst__range=(1, 10)), name="budget_below_the_brokers_second"
            ),
            models.CheckConstraint(
                condition=Q(per_minute__range=(1, 400), per_day__range=(1, 5000)), name="budget_below_the_brokers_day"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.account_id} {self.day_count} today"

    @property
    def limits(self) -> Limits:
        """The account's limits as a value."""
        return Limits(per_second=self.per_second, burst=self.burst, per_minute=self.per_minute, per_day=self.per_day)

    @property
    def spent(self) -> Spent:
        """The account's books as a value."""
        empty = Spent()
        return Spent(
            next_at=self.next_at,
            bucket=self.bucket,
            buckets=tuple(self.buckets),
            day=self.day or empty.day,
            day_count=self.day_count,
        )

    def keep(self, spent: Spent) -> None:
        """Write the books back; the caller holds the row lock."""
        values: dict[str, object] = {
            "next_at": spent.next_at,
            "bucket": spent.bucket,
            "buckets": list(spent.buckets),
            "day": spent.day,
            "day_count": spent.day_count,
        }
        update(self, values)


class RiskLimit(models.Model):
    """Bounds for a scope; an empty column bounds nothing, and of several rows the tightest bound holds."""

    account = models.ForeignKey(BrokerAccount, null=True, blank=True, on_delete=models.PROTECT, related_name="+")
    strategy = models.CharField(max_length=40, blank=True)
    exchange = models.CharField(max_length=10, blank=True)
    tradingsymbol = models.CharField(max_length=80, blank=True)
    max_quantity = models.PositiveBigIntegerField(null=True, blank=True)
    max_order_notional = models.DecimalField(max_digits=18, decimal_places=2, null=True, blank=True)
    max_day_notional = models.DecimalField(max_digits=18, decimal_places=2, null=True, blank=True)
    max_open_orders = models.PositiveIntegerField(null=True, blank=True)
    max_position = models.PositiveBigIntegerField(null=True, blank=True)
    max_exposure = models.DecimalField(max_digits=18, decimal_places=2, null=True, blank=True)
    max_day_loss = models.DecimalField(max_digits=18, decimal_places=2, null=True, blank=True)
    max_margin_percent = models.DecimalField(max_digits=6, decimal_places=2, null=True, blank=True)
    collar_percent = models.DecimalField(max_digits=6, decimal_places=2, null=True, blank=True)

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(
                fields=["account", "strategy", "exchange", "tradingsymbol"],
                nulls_distinct=False,
                name="risk_limit_one_per_scope",
            ),
            models.CheckConstraint(
                condition=Q(exchange="", tradingsymbol="") | ~Q(exchange="") & ~Q(tradingsymbol=""),
                name="risk_limit_names_whole_symbol",
            ),
        ]

    def __str__(self) -> str:
        scope = [str(self.account_id or "every account"), self.strategy, f"{self.exchange}:{self.tradingsymbol}"]
        return " ".join(part for part in scope if part and part != ":")
