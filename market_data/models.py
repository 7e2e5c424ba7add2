"""Instruments, who wants which of them, candles and holes in the feed, as rows."""

from typing import ClassVar

from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import BrinIndex, GinIndex, OpClass
from django.contrib.postgres.search import SearchVector, SearchVectorField
from django.db import models
from django.db.models import F, Q, Value
from django.db.models.functions import Replace

from market_data import freezes, thresholds  # noqa: F401 (Django finds an app's models through this module)
from market_data.calendar import EXCHANGES

LISTED = Q(listed=True)
# What a person types beside a symbol: NIFTY 25000 CE, NIFTY 26AUG, or a word of a company's name.
REST_OF_SYMBOL = Replace("tradingsymbol", F("name"), Value(""))  # type: ignore[arg-type]
WORDS = SearchVector("name", "strike", "instrument_type", REST_OF_SYMBOL, config="simple")


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
    # Set where the token was another contract's before: what was recorded under it earlier is not this contract's.
    token_since = models.DateTimeField(null=True, blank=True)
    synced_at = models.DateTimeField()
    words = models.GeneratedField(expression=WORDS, output_field=SearchVectorField(), db_persist=True)

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["exchange", "tradingsymbol"], name="instrument_identity"),
            models.UniqueConstraint(fields=["instrument_token"], condition=LISTED, name="instrument_token_once_listed"),
        ]
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["name", "expiry", "strike"], condition=LISTED, name="instrument_chain"),
            models.Index(fields=["exchange", "tradingsymbol"], condition=LISTED, name="instrument_order"),
            models.Index(
                OpClass("tradingsymbol", "varchar_pattern_ops"), condition=LISTED, name="instrument_symbol_prefix"
            ),
            GinIndex(fields=["words"], condition=LISTED, name="instrument_words"),
        ]

    def __str__(self) -> str:
        return f"{self.exchange}:{self.tradingsymbol}"


class InstrumentChange(models.Model):
    """A term of a contract that the exchange changed: its lot, its tick or its token."""

    instrument = models.ForeignKey(Instrument, on_delete=models.PROTECT, related_name="+")
    field = models.CharField(max_length=20)
    was = models.CharField(max_length=40)
    became = models.CharField(max_length=40)
    changed_at = models.DateTimeField()

    class Meta:
        indexes: ClassVar[list[models.Index]] = [models.Index(fields=["-changed_at"], name="instrument_change_at")]

    def __str__(self) -> str:
        return f"{self.instrument_id} {self.field}: {self.was} to {self.became}"


class InstrumentSync(models.Model):
    """One load of the instruments dump: what it read and what it changed."""

    finished_at = models.DateTimeField()
    took_seconds = models.FloatField()
    read = models.PositiveIntegerField()
    new = models.PositiveIntegerField()
    changed = models.PositiveIntegerField()
    gone = models.PositiveIntegerField()
    expired = models.PositiveIntegerField()
    doubled = models.PositiveIntegerField()
    lots = models.PositiveIntegerField()
    ticks = models.PositiveIntegerField()

    class Meta:
        indexes: ClassVar[list[models.Index]] = [models.Index(fields=["-finished_at"], name="instrument_sync_at")]

    def __str__(self) -> str:
        return f"{self.finished_at:%Y-%m-%d %H:%M} {self.new} new, {self.changed} changed, {self.gone} gone"


class Subscription(models.Model):
    """One wish for one instrument's ticks; the feed streams the union of all wishes.

    A wish with `expires_at` belongs to something that renews it while it lives, such as a client's socket.
    """

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
    expires_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["instrument", "wanted_by"], name="subscription_one_wish"),
            models.CheckConstraint(condition=Q(mode__in=["ltp", "quote", "full"]), name="subscription_mode_known"),
        ]

    def __str__(self) -> str:
        return f"{self.instrument_id} {self.mode} for {self.wanted_by}"


class InstrumentList(models.Model):
    """Instruments somebody saved under a name; with a mode the list is itself a wish for all of them."""

    name = models.SlugField(max_length=50, unique=True)
    description = models.CharField(max_length=200, blank=True)
    stream = models.CharField(max_length=5, choices=Subscription.Mode, blank=True)
    saved_by = models.CharField(max_length=80)
    saved_at = models.DateTimeField()

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.CheckConstraint(condition=Q(stream__in=["", "ltp", "quote", "full"]), name="list_mode_known"),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def wanted_by(self) -> str:
        """Return the wisher the list's own wishes go under."""
        return f"list:{self.name}"


class InstrumentListEntry(models.Model):
    """One instrument of a list."""

    instrument_list = models.ForeignKey(InstrumentList, on_delete=models.CASCADE, related_name="entries")
    instrument = models.ForeignKey(Instrument, on_delete=models.PROTECT, related_name="+")

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["instrument_list", "instrument"], name="list_entry_once"),
        ]

    def __str__(self) -> str:
        return f"{self.instrument_id} of list {self.instrument_list_id}"


class ChainWindow(models.Model):
    """A standing wish for the strikes around an underlying's price, in its nearest expiries.

    `center` is the strike the window stands on. It moves when the price is further away than half a step and
    `hysteresis` of a step, so that a price between two strikes does not move it to and fro.
    """

    underlying = models.CharField(max_length=120)
    wanted_by = models.CharField(max_length=80)
    reason = models.CharField(max_length=200, blank=True)
    mode = models.CharField(max_length=5, choices=Subscription.Mode, default=Subscription.Mode.FULL)
    strikes = models.PositiveSmallIntegerField(default=10, help_text="Strikes on each side of the centre.")
    expiries = models.PositiveSmallIntegerField(default=1, help_text="How many of the nearest expiries.")
    hysteresis = models.DecimalField(max_digits=3, decimal_places=2, default="0.25", help_text="Share of a step.")
    center = models.DecimalField(max_digits=14, decimal_places=4, null=True, blank=True)
    moved_at = models.DateTimeField(null=True, blank=True)
    fault = models.CharField(max_length=200, blank=True)

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["underlying", "wanted_by"], name="window_one_each"),
            models.CheckConstraint(condition=Q(mode__in=["ltp", "quote", "full"]), name="window_mode_known"),
            models.CheckConstraint(
                condition=Q(strikes__lte=100, expiries__gte=1, expiries__lte=12), name="window_is_bounded"
            ),
            models.CheckConstraint(condition=Q(hysteresis__gte=0, hysteresis__lte=5), name="window_hysteresis_bounded"),
        ]

    def __str__(self) -> str:
        return f"{self.underlying} ± {self.strikes} for {self.wanted_by}"

    @property
    def wisher(self) -> str:
        """Return the wisher the window's wishes go under."""
        return f"window:{self.pk}"


class Candle(models.Model):
    """One minute of one instrument; prices in rupees, `day_volume` is the day's total at the minute's end."""

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
    day_volume = models.BigIntegerField(default=0)
    oi = models.BigIntegerField(null=True, blank=True)
    source = models.CharField(max_length=6, choices=Source, default=Source.TICKS)

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["instrument_token", "start_at"], name="candle_one_per_minute"),
            models.CheckConstraint(condition=Q(low__lte=F("high")), name="candle_low_below_high"),
        ]
        indexes: ClassVar[list[models.Index]] = [
            BrinIndex(fields=["start_at"], name="candle_start", autosummarize=True),
            # What waits for its correction: a day's minutes, however many years the table holds.
            models.Index(fields=["start_at"], condition=Q(source="ticks"), name="candle_uncorrected"),
        ]

    def __str__(self) -> str:
        return f"{self.instrument_token} {self.start_at:%Y-%m-%d %H:%M}"


class CandleSpan(models.Model):
    """A stretch of one instrument's minutes that was loaded from the broker; spans of an instrument do not overlap."""

    instrument_token = models.BigIntegerField()
    start_at = models.DateTimeField()
    end_at = models.DateTimeField()

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["instrument_token", "start_at"], name="candle_span_once"),
            models.CheckConstraint(condition=Q(start_at__lt=F("end_at")), name="candle_span_has_length"),
        ]

    def __str__(self) -> str:
        return f"{self.instrument_token} {self.start_at:%Y-%m-%d %H:%M} to {self.end_at:%Y-%m-%d %H:%M}"


class FeedGap(models.Model):
    """A hole in the stream of some instruments, none named for all; the broker's minutes fill it afterwards."""

    shard = models.PositiveSmallIntegerField(default=0)
    account_label = models.CharField(max_length=50)
    cause = models.CharField(max_length=80)
    started_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True, blank=True)
    instrument_tokens = models.JSONField(default=list)
    unfilled_tokens = models.JSONField(null=True, blank=True)
    filled_at = models.DateTimeField(null=True, blank=True)
    filled_minutes = models.PositiveIntegerField(default=0)

    class Meta:
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["-started_at"], name="feed_gap_started"),
            models.Index(fields=["-started_at"], condition=Q(filled_at__isnull=True), name="feed_gap_unfilled"),
        ]

    def __str__(self) -> str:
        return f"{self.account_label} {self.cause}"


class MarketDay(models.Model):
    """A day that is not as the week has it on some exchanges: shut, or open from `opens` to `closes`.

    Several sessions are several rows; no closing time stands for the usual one. Only confirmed rows count.
    """

    class Source(models.TextChoices):
        """Where the row came from; what an operator wrote wins over what was loaded."""

        LIBRARY = "library"
        CIRCULAR = "circular"
        OPERATOR = "operator"

    day = models.DateField()
    name = models.CharField(max_length=120)
    exchanges = ArrayField(models.CharField(max_length=10))
    opens = models.TimeField(null=True, blank=True)
    closes = models.TimeField(null=True, blank=True)
    confirmed = models.BooleanField(default=True)
    source = models.CharField(max_length=8, choices=Source, default=Source.OPERATOR)

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.CheckConstraint(
                condition=Q(exchanges__contained_by=list(EXCHANGES), exchanges__len__gt=0),
                name="market_day_exchanges_known",
            ),
            models.CheckConstraint(
                condition=Q(closes__isnull=True) | Q(opens__lt=F("closes")), name="market_day_opens_before_it_closes"
            ),
        ]
        indexes: ClassVar[list[models.Index]] = [models.Index(fields=["day"], name="market_day")]

    def __str__(self) -> str:
        return f"{self.day} {self.name}"


class FeedShard(models.Model):
    """One part of the feed; every new owner moves the epoch on, so that an old owner's batches are known."""

    shard = models.PositiveSmallIntegerField(primary_key=True)
    epoch = models.PositiveIntegerField(default=0)
    owner = models.CharField(max_length=120, blank=True)
    owned_since = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return f"shard {self.shard} epoch {self.epoch}"


class RecorderCursor(models.Model):
    """How far the raw stream of a shard is stored, as ticks and as candles; moved in the transaction that stores."""

    shard = models.PositiveSmallIntegerField(primary_key=True)
    position = models.CharField(max_length=40, default="0-0")
    epoch = models.PositiveIntegerField(default=0)
    sequence = models.PositiveBigIntegerField(default=0)
    candles_position = models.CharField(max_length=40, default="0-0")

    def __str__(self) -> str:
        return f"shard {self.shard} at {self.position}"


class Tick(models.Model):
    """One packet as it came; the table is partitioned by day and written by COPY.

    Absent fields are 0 and `kind` says what is present; `depth` holds the ten levels as they lie in `kite.wire.TICK`.
    """

    pk = models.CompositePrimaryKey("shard", "epoch", "sequence", "position")
    received_at = models.DateTimeField()
    exchange_at = models.DateTimeField(null=True)
    last_trade_at = models.DateTimeField(null=True)
    instrument_token = models.BigIntegerField()
    kind = models.SmallIntegerField()
    shard = models.SmallIntegerField()
    epoch = models.IntegerField()
    sequence = models.BigIntegerField()
    position = models.IntegerField()
    last_price = models.FloatField()
    average_price = models.FloatField()
    open = models.FloatField()
    high = models.FloatField()
    low = models.FloatField()
    close = models.FloatField()
    last_quantity = models.BigIntegerField()
    volume = models.BigIntegerField()
    buy_quantity = models.BigIntegerField()
    sell_quantity = models.BigIntegerField()
    oi = models.BigIntegerField()
    oi_high = models.BigIntegerField()
    oi_low = models.BigIntegerField()
    depth = models.BinaryField(null=True)

    class Meta:
        managed = False

    def __str__(self) -> str:
        return f"{self.instrument_token} {self.received_at:%H:%M:%S.%f}"
