"""Which chains are live, and the dated rates they are valued with, as rows."""

from typing import ClassVar

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q

from greeks.conventions import EXPIRY_TIMES, Profile


class ChainSetting(models.Model):
    """One underlying whose chains are computed live."""

    underlying = models.CharField(max_length=40, unique=True, help_text="As the instruments dump spells it: NIFTY")
    exchange = models.CharField(max_length=10, choices=[(name, name) for name in EXPIRY_TIMES], default="NFO")
    index_exchange = models.CharField(max_length=10, default="NSE")
    index_symbol = models.CharField(max_length=80, help_text="What prices the underlying: NIFTY 50")
    enabled = models.BooleanField(default=True)
    expiries = models.PositiveSmallIntegerField(default=2, validators=[MinValueValidator(1), MaxValueValidator(24)])
    strikes_each_side = models.PositiveSmallIntegerField(
        default=40, help_text="Strikes streamed above and below the spot; 0 means all"
    )
    profile = models.CharField(
        max_length=12, choices=[(profile.value, profile.value) for profile in Profile], default=Profile.FWD_CAL.value
    )
    history_strikes = models.PositiveSmallIntegerField(
        default=10,
        help_text="Strikes kept every minute above and below the forward even without open interest or volume",
    )
    changed_at = models.DateTimeField(auto_now=True)

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.CheckConstraint(condition=Q(expiries__gte=1), name="chain_has_expiries"),
            models.CheckConstraint(
                condition=Q(exchange__in=sorted(EXPIRY_TIMES)), name="chain_exchange_has_expiry_time"
            ),
            models.CheckConstraint(
                condition=Q(profile__in=[profile.value for profile in Profile]), name="chain_profile_known"
            ),
        ]

    def __str__(self) -> str:
        return self.underlying


class RateSetting(models.Model):
    """The continuous annual interest rate in force from a day on, for discounting and rho."""

    effective_date = models.DateField(unique=True)
    rate = models.DecimalField(max_digits=7, decimal_places=6, help_text="A fraction: 0.065 is 6.5 %")
    source = models.CharField(max_length=120, help_text="Where it was read: RBI 91-day treasury bill")
    changed_at = models.DateTimeField(auto_now=True)

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.CheckConstraint(condition=Q(rate__gt=-0.05, rate__lt=0.5), name="rate_is_a_fraction"),
        ]

    def __str__(self) -> str:
        return f"{self.rate} from {self.effective_date}"


class DividendSetting(models.Model):
    """The continuous dividend yield of an underlying from a day on; used when the forward must be made from spot."""

    underlying = models.CharField(max_length=40)
    effective_date = models.DateField()
    annual_yield = models.DecimalField(max_digits=7, decimal_places=6, help_text="A fraction: 0.012 is 1.2 %")
    changed_at = models.DateTimeField(auto_now=True)

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["underlying", "effective_date"], name="dividend_once_a_day"),
            models.CheckConstraint(
                condition=Q(annual_yield__gte=0, annual_yield__lt=0.5), name="dividend_is_a_fraction"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.underlying} {self.annual_yield} from {self.effective_date}"


class ChainMinute(models.Model):
    """What one chain said as a whole in one minute; null where its rows did not carry the number."""

    underlying = models.CharField(max_length=40)
    expiry = models.DateField()
    minute_at = models.DateTimeField()
    profile = models.CharField(max_length=12)
    sequence = models.BigIntegerField()
    years = models.FloatField()
    spot = models.FloatField(null=True)
    forward = models.FloatField(null=True)
    forward_source = models.CharField(max_length=12)
    atm_iv = models.FloatField(null=True)
    risk_reversal = models.FloatField(null=True)
    butterfly = models.FloatField(null=True)
    straddle = models.FloatField(null=True)
    expected_move = models.FloatField(null=True)
    put_call_oi = models.FloatField(null=True)
    put_call_volume = models.FloatField(null=True)
    max_pain = models.FloatField(null=True)
    gamma_exposure = models.FloatField(null=True)
    zero_gamma = models.FloatField(null=True)
    priced = models.PositiveIntegerField()
    unpriced = models.PositiveIntegerField()

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["underlying", "expiry", "minute_at"], name="chain_minute_once"),
        ]
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["underlying", "minute_at"], name="chain_minute_by_time"),
        ]

    def __str__(self) -> str:
        return f"{self.underlying} {self.expiry} {self.minute_at:%Y-%m-%d %H:%M}"


class UnderlyingMinute(models.Model):
    """What all live chains of an underlying said together in one minute, kept for years; null where none carried it.

    Volatility and skew are those of 30 days, between the expiries; the ratios and the exposure are of all expiries,
    max pain of the soonest.
    """

    underlying = models.CharField(max_length=40)
    minute_at = models.DateTimeField()
    expiries = models.PositiveSmallIntegerField()
    spot = models.FloatField(null=True)
    iv = models.FloatField(null=True)
    risk_reversal = models.FloatField(null=True)
    butterfly = models.FloatField(null=True)
    put_call_oi = models.FloatField(null=True)
    put_call_volume = models.FloatField(null=True)
    max_pain = models.FloatField(null=True)
    gamma_exposure = models.FloatField(null=True)
    priced = models.PositiveIntegerField()
    unpriced = models.PositiveIntegerField()

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["underlying", "minute_at"], name="underlying_minute_once"),
        ]

    def __str__(self) -> str:
        return f"{self.underlying} {self.minute_at:%Y-%m-%d %H:%M}"


class OptionMinute(models.Model):
    """What one option was worth in one minute; the table is partitioned by day and written by COPY.

    `flags`, `profile` and the sources are the codes of `kernel.Flag`, `Profile`, `PriceSource`, `ForwardSource` and
    `option_rows.SOURCES`; null where there was no value, and the flags say why.
    """

    pk = models.CompositePrimaryKey("instrument_token", "minute_at")
    minute_at = models.DateTimeField()
    instrument_token = models.BigIntegerField()
    underlying = models.CharField(max_length=24)
    expiry = models.DateField()
    strike = models.FloatField()
    sign = models.SmallIntegerField()
    profile = models.SmallIntegerField()
    source = models.SmallIntegerField()
    flags = models.IntegerField()
    price_source = models.SmallIntegerField()
    forward_source = models.SmallIntegerField()
    oi = models.BigIntegerField()
    volume = models.BigIntegerField()
    price = models.FloatField(null=True)
    price_age = models.FloatField(null=True)
    spot = models.FloatField(null=True)
    forward = models.FloatField(null=True)
    iv = models.FloatField(null=True)
    delta = models.FloatField(null=True)
    gamma = models.FloatField(null=True)
    theta = models.FloatField(null=True)
    vega = models.FloatField(null=True)
    rho = models.FloatField(null=True)
    vanna = models.FloatField(null=True)
    charm = models.FloatField(null=True)
    vomma = models.FloatField(null=True)

    class Meta:
        managed = False

    def __str__(self) -> str:
        return f"{self.instrument_token} {self.minute_at:%Y-%m-%d %H:%M}"
