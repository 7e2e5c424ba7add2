"""Who is told of what, what there is to tell, and how each telling went."""

import uuid
from typing import ClassVar

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q

from accounts.fields import SealedField
from accounts.models import BrokerAccount, User


class Endpoint(models.Model):
    """A URL of another system, and the events it asked for."""

    class State(models.TextChoices):
        """Whether it is told anything."""

        ENABLED = "enabled"
        DISABLED = "disabled"
        REMOVED = "removed"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    owner = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    url = models.URLField(max_length=2000)
    description = models.CharField(max_length=200, blank=True)
    kinds = ArrayField(models.CharField(max_length=60))
    every_account = models.BooleanField(default=False)
    accounts = models.ManyToManyField(BrokerAccount, related_name="+", blank=True)
    secret = SealedField(null=True)
    former_secret = SealedField(null=True)
    former_until = models.DateTimeField(null=True)
    state = models.CharField(max_length=10, choices=State, default=State.ENABLED)
    state_reason = models.CharField(max_length=200, blank=True)
    rests_until = models.DateTimeField(null=True)
    failures = models.PositiveIntegerField(default=0)
    created_at = models.DateTimeField()

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.CheckConstraint(
                condition=Q(state__in=["enabled", "disabled", "removed"]), name="endpoint_state_known"
            ),
            models.CheckConstraint(
                condition=Q(state="removed", secret__isnull=True, former_secret__isnull=True)
                | ~Q(state="removed") & Q(secret__isnull=False),
                name="endpoint_removed_keeps_no_secret",
            ),
            models.CheckConstraint(
                condition=Q(former_secret__isnull=True) ^ Q(former_until__isnull=False),
                name="endpoint_former_secret_ends",
            ),
        ]

    def __str__(self) -> str:
        return self.url


class Message(models.Model):
    """One event as it is told; the same to everybody who asked for it."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    account = models.ForeignKey(BrokerAccount, null=True, on_delete=models.PROTECT, related_name="+")
    kind = models.CharField(max_length=60)
    body = models.TextField()
    created_at = models.DateTimeField()

    class Meta:
        indexes: ClassVar[list[models.Index]] = [models.Index(fields=["-created_at"], name="webhook_message_time")]

    def __str__(self) -> str:
        return f"{self.kind} {self.wire_id}"

    @property
    def wire_id(self) -> str:
        """The id receivers drop repetitions by."""
        return f"msg_{self.pk.hex}"


class Delivery(models.Model):
    """One message on its way to one endpoint."""

    class State(models.TextChoices):
        """How far it is."""

        WAITING = "waiting"
        SENDING = "sending"
        DELIVERED = "delivered"
        DEAD = "dead"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    endpoint = models.ForeignKey(Endpoint, on_delete=models.PROTECT, related_name="+")
    message = models.ForeignKey(Message, on_delete=models.PROTECT, related_name="+")
    state = models.CharField(max_length=10, choices=State, default=State.WAITING)
    attempts = models.PositiveSmallIntegerField(default=0)
    next_at = models.DateTimeField(null=True)
    lease_until = models.DateTimeField(null=True)
    reason = models.CharField(max_length=300, blank=True)
    created_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True)

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["endpoint", "message"], name="delivery_once_per_endpoint"),
            models.CheckConstraint(
                condition=Q(state__in=["waiting", "sending", "delivered", "dead"]), name="delivery_state_known"
            ),
            models.CheckConstraint(
                condition=Q(finished_at__isnull=True) ^ Q(state__in=["delivered", "dead"]),
                name="delivery_finished_when_final",
            ),
            models.CheckConstraint(
                condition=~Q(state="sending") | Q(lease_until__isnull=False), name="delivery_sending_has_a_lease"
            ),
        ]
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["next_at"], condition=Q(state="waiting"), name="delivery_due"),
            models.Index(fields=["endpoint", "-created_at"], name="delivery_endpoint"),
            models.Index(fields=["-created_at"], condition=Q(state="dead"), name="delivery_dead"),
        ]
        verbose_name_plural = "deliveries"

    def __str__(self) -> str:
        return f"{self.pk} {self.state}"


class Attempt(models.Model):
    """One try to deliver, and what came back. Rows are only ever added."""

    id = models.BigAutoField(primary_key=True)
    delivery = models.ForeignKey(Delivery, on_delete=models.PROTECT, related_name="+")
    number = models.PositiveSmallIntegerField()
    at = models.DateTimeField()
    address = models.CharField(max_length=60, blank=True)
    status = models.PositiveSmallIntegerField(null=True)
    milliseconds = models.PositiveIntegerField()
    answer = models.CharField(max_length=500, blank=True)
    error = models.CharField(max_length=300, blank=True)

    class Meta:
        indexes: ClassVar[list[models.Index]] = [models.Index(fields=["delivery", "id"], name="attempt_delivery")]

    def __str__(self) -> str:
        return f"{self.number} {self.status or self.error}"
