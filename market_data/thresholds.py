"""What counts as old and what counts as pressure, as rows that people edit; `market_data.models` loads them."""

from typing import ClassVar

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q

from market_data.freshness import LIMITS, Allowed, QuoteClass
from market_data.pressure import PRESSURE, Bounds, Level, Pressure


class StalenessLimit(models.Model):
    """The age at which a class of quotes is stale, and whether clients hear of it."""

    quote_class = models.CharField(
        max_length=10, unique=True, choices=[(one.value, one.value.capitalize()) for one in QuoteClass]
    )
    seconds = models.FloatField(validators=[MinValueValidator(0.5), MaxValueValidator(3600)])
    told = models.BooleanField(help_text="Clients that stream such a quote are told; its rows carry the bit anyway.")

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.CheckConstraint(condition=Q(seconds__gte=0.5, seconds__lte=3600), name="staleness_is_bounded"),
        ]

    def __str__(self) -> str:
        return f"{self.quote_class} after {self.seconds:g} s"


_ABSENT = ("share__isnull", "milliseconds__isnull", "pending__isnull", "skipped__isnull")


class PressureLimit(models.Model):
    """The bounds within which a level holds, and what it does; the last level has no bounds."""

    level = models.CharField(
        max_length=10, unique=True, choices=[(one.name.lower(), one.name.capitalize()) for one in Level]
    )
    share = models.FloatField(
        null=True,
        blank=True,
        validators=[MinValueValidator(0), MaxValueValidator(1)],
        help_text="Least share of the packets that the bus took, 0 to 1.",
    )
    milliseconds = models.FloatField(
        null=True, blank=True, validators=[MinValueValidator(0)], help_text="Slow end (p99) of a publication."
    )
    pending = models.PositiveIntegerField(null=True, blank=True, help_text="Most batches that wait.")
    skipped = models.FloatField(
        null=True,
        blank=True,
        validators=[MinValueValidator(0), MaxValueValidator(1)],
        help_text="Most sends of a web process that a client could not take, 0 to 1.",
    )
    whole_every = models.PositiveSmallIntegerField(
        validators=[MinValueValidator(1), MaxValueValidator(100)],
        help_text="Every so manieth flush carries everything, the others indices and strikes at the money.",
    )

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.CheckConstraint(
                condition=Q(level="overload", **dict.fromkeys(_ABSENT, True))
                | (~Q(level="overload") & Q(**dict.fromkeys(_ABSENT, False))),
                name="pressure_has_its_bounds",
                violation_error_message="overload has no bounds, every other level has all four",
            ),
            models.CheckConstraint(
                condition=Q(share__gte=0, share__lte=1, skipped__gte=0, skipped__lte=1, milliseconds__gte=0),
                name="pressure_bounds_are_possible",
            ),
            models.CheckConstraint(condition=Q(whole_every__gte=1, whole_every__lte=100), name="pressure_never_ends"),
        ]

    def __str__(self) -> str:
        return self.level


def ages_allowed() -> dict[QuoteClass, Allowed]:
    """Return the age each class allows."""
    rows = StalenessLimit.objects.values_list("quote_class", "seconds", "told")
    return {**LIMITS, **{QuoteClass(name): Allowed(seconds=seconds, told=told) for name, seconds, told in rows}}


def pressure_limits() -> Pressure:
    """Return what each level bounds and does."""
    rows = {Level[row.level.upper()]: row for row in PressureLimit.objects.all()}
    bounds, skipped = dict(PRESSURE.bounds), dict(PRESSURE.skipped)
    for level, row in rows.items():
        if row.share is not None and row.milliseconds is not None and row.pending is not None:
            bounds[level] = Bounds(row.share, row.milliseconds, row.pending)
        if row.skipped is not None:
            skipped[level] = row.skipped
    return Pressure(
        bounds=bounds,
        skipped=skipped,
        whole_every={**PRESSURE.whole_every, **{level: row.whole_every for level, row in rows.items()}},
    )
