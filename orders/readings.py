"""What is known of the broker's own view of an account: when its books were read, and where positions do not tie."""

from typing import ClassVar

from django.db import models
from django.db.models import F, Q

from accounts.models import BrokerAccount


class BookReading(models.Model):
    """When an account's books and positions were read last, how often reading failed since; one row an account."""

    account = models.OneToOneField(BrokerAccount, primary_key=True, on_delete=models.PROTECT, related_name="+")
    read_at = models.DateTimeField(null=True)
    failures = models.PositiveIntegerField(default=0)
    next_at = models.DateTimeField(null=True)
    error = models.CharField(max_length=300, blank=True)
    carried_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"read {self.read_at}, {self.failures} failures since"


class PositionGap(models.Model):
    """A symbol in which the day's trades that we hold and the broker's day position differ, until they agree again."""

    account = models.ForeignKey(BrokerAccount, on_delete=models.PROTECT, related_name="+")
    exchange = models.CharField(max_length=10)
    tradingsymbol = models.CharField(max_length=80)
    product = models.CharField(max_length=10)
    trading_day = models.DateField()
    ours = models.BigIntegerField()
    theirs = models.BigIntegerField()
    explanation = models.CharField(max_length=300)
    explained = models.BooleanField(default=False)
    seen_at = models.DateTimeField()
    closed_at = models.DateTimeField(null=True)

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(
                fields=["account", "exchange", "tradingsymbol", "product"],
                condition=Q(closed_at__isnull=True),
                name="position_gap_one_open",
            ),
            models.CheckConstraint(
                condition=~Q(ours=F("theirs")) | Q(closed_at__isnull=False), name="position_gap_is_a_gap"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.exchange}:{self.tradingsymbol} {self.product}: ours {self.ours}, theirs {self.theirs}"


class CarriedPosition(models.Model):
    """A symbol that the account carried overnight into the day of its reading's `carried_at`; the price is a close."""

    account = models.ForeignKey(BrokerAccount, on_delete=models.PROTECT, related_name="+")
    exchange = models.CharField(max_length=10)
    tradingsymbol = models.CharField(max_length=80)
    quantity = models.BigIntegerField()
    price = models.DecimalField(max_digits=18, decimal_places=4)

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(
                fields=["account", "exchange", "tradingsymbol"], name="carried_position_one_a_symbol"
            ),
            models.CheckConstraint(condition=~Q(quantity=0), name="carried_position_is_held"),
        ]

    def __str__(self) -> str:
        return f"{self.exchange}:{self.tradingsymbol} {self.quantity:+}"
