"""Instruments, who wants which of them, candles and holes in the feed, as rows."""

from typing import ClassVar

from django.db import models
from django.db.models import F, Q


class Instrument(models.Model):
    """A listed contract; its identity is (exchange, tradingsymbol), because tokens are reused after expiry."""

    exchange = models.CharField(max_length=10)
    tradingsymbol = models.CharField(max_length=80)
    instrument_token = models.BigIntegerField()
    exchange_token = models.BigIntegerField()
    name = models.CharField(max_length=120, blank=True)
    instrument_type = models.CharField(max_length=4)
    segment = models.CharField(max_length=12)
    expiry = models.DateField(null=True, blank=True)
    strike = models.DecimalField(max_digits=14, decimal_places=4, default=0)
    tick_size = models.DecimalField(max_digits=10, decimal_places=4)
    lot_size = models.PositiveIntegerField()
    freeze_quantity = models.PositiveIntegerField(null=True, blank=True)
    listed = models.BooleanField(default=True)
    synced_at = models.DateTimeField()

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["exchange", "tradingsymbol"], name="instrument_identity"),
            models.UniqueConstraint(
                fields=["instrument_token"], condition=Q(listed=True), name="instrument_token_once_listed"
            ),
        ]
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["name", "expiry", "strike"], condition=Q(listed=True), name="instrument_chain"),
        ]

    def __str__(self) -> str:
        return f"{self.exchange}:{self.tradingsymbol}"


class Subscription(models.Model):
    """One wish for one instrument's ticks; the feed streams the union of all wishes."""

    class Mode(models.TextChoices):
        """Width of the ticks wanted."""

        LTP = "ltp"
        QUOTE = "quote"
        FULL = "full"

    instrument = models.ForeignKey(Instrument, on_delete=models.PROTECT, related_name="+")
    mode = models.CharField(max_length=5, choices=Mode, default=Mode.QUOTE)
    wanted_by = models.CharField(max_length=80)
    reason = models.CharField(max_length=200, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["instrument", "wanted_by"], name="subscription_one_wish"),
        ]

    def __str__(self) -> str:
        return f"{self.instrument_id} {self.mode} for {self.wanted_by}"


class Candle(models.Model):
    """One minute of one instrument; prices in rupees."""

    class Source(models.TextChoices):
        """Where the candle came from."""

        TICKS = "ticks"
        BROKER = "broker"

    instrument_token = models.BigIntegerField()
    start_at = models.DateTimeField()
    open = models.DecimalField(max_digits=14, decimal_places=4)
    high = models.DecimalField(max_digits=14, decimal_places=4)
    low = models.DecimalField(max_digits=14, decimal_places=4)
    close = models.DecimalField(max_digits=14, decimal_places=4)
    volume = models.BigIntegerField()
    oi = models.BigIntegerField(null=True, blank=True)
    source = models.CharField(max_length=6, choices=Source, default=Source.TICKS)

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["instrument_token", "start_at"], name="candle_one_per_minute"),
            models.CheckConstraint(condition=Q(low__lte=F("high")), name="candle_low_below_high"),
        ]

    def __str__(self) -> str:
        return f"{self.instrument_token} {self.start_at:%Y-%m-%d %H:%M}"


class FeedGap(models.Model):
    """A hole in the stream of some instruments."""

    account_label = models.CharField(max_length=50)
    cause = models.CharField(max_length=80)
    started_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True, blank=True)
    instrument_tokens = models.JSONField(default=list)

    class Meta:
        indexes: ClassVar[list[models.Index]] = [models.Index(fields=["-started_at"], name="feed_gap_started")]

    def __str__(self) -> str:
        return f"{self.account_label} {self.cause}"
