"""What orders come from: groups of orders that belong together, and triggers that wait at the broker."""

import uuid
from typing import ClassVar

from django.core.serializers.json import DjangoJSONEncoder
from django.db import models
from django.db.models import Q

from accounts.models import BrokerAccount


class OrderGroup(models.Model):
    """Orders that were asked for in one request. The broker knows nothing of it: some may trade and others not."""

    class Kind(models.TextChoices):
        """Why there are several orders."""

        SLICES = "slices"
        BASKET = "basket"
        PARTS = "parts"

    class State(models.TextChoices):
        """What became of all of them together."""

        WORKING = "working"
        UNWINDING = "unwinding"
        COMPLETE = "complete"
        PARTIAL = "partial"
        FAILED = "failed"
        UNWOUND = "unwound"

    class OnFailure(models.TextChoices):
        """What to do with the legs that traded when another did not."""

        KEEP = "keep"
        UNWIND = "unwind"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    account = models.ForeignKey(BrokerAccount, on_delete=models.PROTECT, related_name="+")
    kind = models.CharField(max_length=8, choices=Kind)
    client = models.CharField(max_length=80)
    idempotency_key = models.CharField(max_length=128)
    fingerprint = models.CharField(max_length=64)
    strategy = models.CharField(max_length=40, blank=True)
    plan = models.JSONField(encoder=DjangoJSONEncoder)
    skipped = models.JSONField(default=dict, blank=True)
    on_failure = models.CharField(max_length=6, choices=OnFailure, default=OnFailure.KEEP)
    state = models.CharField(max_length=10, choices=State, default=State.WORKING)
    created_at = models.DateTimeField()
    deadline_at = models.DateTimeField()
    cancelled_at = models.DateTimeField(null=True)
    cancelled_by = models.CharField(max_length=80, blank=True)
    finished_at = models.DateTimeField(null=True)

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["client", "account", "kind", "idempotency_key"], name="group_once_per_key"),
            models.CheckConstraint(
                condition=Q(state__in=["working", "unwinding", "complete", "partial", "failed", "unwound"]),
                name="group_state_known",
            ),
            models.CheckConstraint(
                condition=Q(finished_at__isnull=True) ^ ~Q(state__in=["working", "unwinding"]),
                name="group_finished_when_final",
            ),
        ]
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["-created_at", "-id"], name="group_created"),
            models.Index(fields=["created_at"], condition=Q(finished_at__isnull=True), name="group_unfinished"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.id} {self.state}"


class Trigger(models.Model):
    """A good-till-triggered order as the broker last showed it, ours or placed elsewhere."""

    class Origin(models.TextChoices):
        """Who made it."""

        PLATFORM = "platform"
        EXTERNAL = "external"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    account = models.ForeignKey(BrokerAccount, on_delete=models.PROTECT, related_name="+")
    origin = models.CharField(max_length=8, choices=Origin)
    broker_trigger_id = models.BigIntegerField(null=True)
    type = models.CharField(max_length=8)
    exchange = models.CharField(max_length=10)
    tradingsymbol = models.CharField(max_length=80)
    trigger_values = models.JSONField()
    last_price = models.DecimalField(max_digits=14, decimal_places=4)
    legs = models.JSONField()
    status = models.CharField(max_length=20)
    results = models.JSONField(default=list)
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField(null=True)
    seen_at = models.DateTimeField(null=True)

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["account", "broker_trigger_id"], name="trigger_once_per_broker_id"),
        ]
        indexes: ClassVar[list[models.Index]] = [models.Index(fields=["-created_at", "-id"], name="trigger_created")]

    def __str__(self) -> str:
        return f"{self.type} {self.exchange}:{self.tradingsymbol} {self.status}"


class TriggerWrite(models.Model):
    """One change of a trigger that was asked of the broker; written before it leaves, sent once."""

    class Kind(models.TextChoices):
        """What was asked."""

        PLACE = "place"
        MODIFY = "modify"
        CANCEL = "cancel"

    class State(models.TextChoices):
        """What became of it."""

        SENDING = "sending"
        UNKNOWN = "unknown"
        DONE = "done"
        REFUSED = "refused"
        NOT_DONE = "not_done"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    account = models.ForeignKey(BrokerAccount, on_delete=models.PROTECT, related_name="+")
    trigger = models.ForeignKey(Trigger, on_delete=models.PROTECT, related_name="+")
    kind = models.CharField(max_length=6, choices=Kind)
    client = models.CharField(max_length=80)
    idempotency_key = models.CharField(max_length=128)
    fingerprint = models.CharField(max_length=64)
    exchange = models.CharField(max_length=10)
    tradingsymbol = models.CharField(max_length=80)
    body = models.JSONField()
    known_before = models.JSONField(default=list)
    state = models.CharField(max_length=10, choices=State, default=State.SENDING)
    code = models.CharField(max_length=60, blank=True)
    reason = models.CharField(max_length=500, blank=True)
    created_at = models.DateTimeField()
    settled_at = models.DateTimeField(null=True)

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(
                fields=["client", "account", "kind", "idempotency_key"], name="trigger_write_once_per_key"
            ),
            # A trigger bears no tag. Two writes under way for one symbol could not be told apart afterwards.
            models.UniqueConstraint(
                fields=["account", "exchange", "tradingsymbol"],
                condition=Q(state__in=["sending", "unknown"]),
                name="trigger_one_open_write_per_symbol",
            ),
            models.CheckConstraint(
                condition=Q(state__in=["sending", "unknown", "done", "refused", "not_done"]),
                name="trigger_write_state_known",
            ),
            models.CheckConstraint(
                condition=Q(settled_at__isnull=True) ^ Q(state__in=["done", "refused", "not_done"]),
                name="trigger_write_settled_when_final",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.id} {self.state}"

    @property
    def outcome(self) -> str:
        """What became of it, in the words of the API."""
        return {
            self.State.SENDING: "unknown",
            self.State.UNKNOWN: "unknown",
            self.State.DONE: "accepted",
            self.State.REFUSED: "rejected",
            self.State.NOT_DONE: "not_sent",
        }[self.State(self.state)]
