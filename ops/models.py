"""Alerts as rows: what went wrong, who has it in hand, and where it was said."""

import uuid
from typing import ClassVar

from django.db import models
from django.db.models import Q

from accounts.fields import SealedField
from ops import stops  # noqa: F401 (a model lives there)


class Alert(models.Model):
    """Something that went wrong, from the moment it was seen to the moment it was over; one open row a key."""

    class Severity(models.TextChoices):
        """Whether somebody must act now or today."""

        CRITICAL = "critical"
        WARNING = "warning"

    key = models.CharField(max_length=200)
    code = models.CharField(max_length=60)
    subject = models.CharField(max_length=120)
    severity = models.CharField(max_length=10, choices=Severity)
    text = models.CharField(max_length=300)
    mend = models.CharField(max_length=500, blank=True)
    opened_at = models.DateTimeField()
    seen_at = models.DateTimeField()
    sightings = models.PositiveIntegerField(default=1)
    owner = models.CharField(max_length=150, blank=True)
    acknowledged_by = models.CharField(max_length=150, blank=True)
    acknowledged_at = models.DateTimeField(null=True, blank=True)
    escalated_at = models.DateTimeField(null=True, blank=True)
    resolved_by = models.CharField(max_length=150, blank=True)
    resolved_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.CheckConstraint(condition=Q(severity__in=["critical", "warning"]), name="alert_severity_known"),
            models.UniqueConstraint(
                fields=["key"], condition=Q(resolved_at__isnull=True), name="alert_one_open_per_key"
            ),
            models.CheckConstraint(
                condition=Q(acknowledged_at__isnull=True) ^ ~Q(acknowledged_by=""),
                name="alert_acknowledged_by_somebody",
            ),
            models.CheckConstraint(
                condition=Q(acknowledged_at__isnull=True) | ~Q(owner=""), name="alert_acknowledged_has_an_owner"
            ),
            models.CheckConstraint(
                condition=Q(resolved_at__isnull=True) ^ ~Q(resolved_by=""), name="alert_resolved_by_somebody"
            ),
        ]
        indexes: ClassVar[list[models.Index]] = [models.Index(fields=["-opened_at"], name="alert_opened")]

    def __str__(self) -> str:
        return self.text


class AlertChannel(models.Model):
    """A place where alerts are said."""

    class Kind(models.TextChoices):
        """How it is reached."""

        WEBHOOK = "webhook"
        EMAIL = "email"
        TELEGRAM = "telegram"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    name = models.CharField(max_length=80, unique=True)
    kind = models.CharField(max_length=10, choices=Kind)
    target = models.CharField(
        max_length=500, help_text="The https address of a webhook, e-mail addresses by comma, or a Telegram chat id."
    )
    secret = SealedField(null=True)
    severity = models.CharField(
        max_length=10,
        choices=Alert.Severity,
        default=Alert.Severity.WARNING,
        help_text="The least severe that is said here.",
    )
    only_escalations = models.BooleanField(
        default=False, help_text="Say only what nobody acknowledged in time, and its end."
    )
    quiet_from = models.TimeField(
        null=True, blank=True, help_text="From this time in India warnings wait; critical alerts never do."
    )
    quiet_until = models.TimeField(null=True, blank=True)
    enabled = models.BooleanField(default=True)

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.CheckConstraint(
                condition=Q(kind__in=["webhook", "email", "telegram"]), name="alert_channel_kind_known"
            ),
            models.CheckConstraint(
                condition=Q(quiet_from__isnull=True, quiet_until__isnull=True)
                | Q(quiet_from__isnull=False, quiet_until__isnull=False),
                name="alert_channel_quiet_from_until",
            ),
        ]

    def __str__(self) -> str:
        return self.name


class AlertDelivery(models.Model):
    """One alert said at one channel: when it is due, how often it was tried, what came back."""

    class Occasion(models.TextChoices):
        """What is said of the alert."""

        OPENED = "opened"
        ESCALATED = "escalated"
        RESOLVED = "resolved"

    alert = models.ForeignKey(Alert, on_delete=models.PROTECT, related_name="+")
    channel = models.ForeignKey(AlertChannel, on_delete=models.PROTECT, related_name="+")
    occasion = models.CharField(max_length=10, choices=Occasion)
    due_at = models.DateTimeField(null=True, blank=True)
    attempts = models.PositiveSmallIntegerField(default=0)
    sent_at = models.DateTimeField(null=True, blank=True)
    dropped_at = models.DateTimeField(null=True, blank=True)
    error = models.CharField(max_length=300, blank=True)

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["alert", "channel", "occasion"], name="alert_said_once_per_occasion"),
            models.CheckConstraint(
                condition=Q(due_at__isnull=True) ^ Q(sent_at__isnull=True, dropped_at__isnull=True),
                name="alert_delivery_due_until_it_is_over",
            ),
        ]
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["due_at"], condition=Q(due_at__isnull=False), name="alert_delivery_due"),
        ]
        verbose_name_plural = "alert deliveries"

    def __str__(self) -> str:
        return f"{self.occasion} at {self.channel_id}"
