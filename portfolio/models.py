"""What was last read of an account, and what was asked of its portfolio."""

import uuid
from typing import ClassVar

from django.core.serializers.json import DjangoJSONEncoder
from django.db import models
from django.db.models import Q

from accounts.models import BrokerAccount


class Reading(models.Model):
    """The broker's last answer about one account and one kind, kept for the moment the broker is silent."""

    class Kind(models.TextChoices):
        """What was read."""

        POSITIONS = "positions"
        HOLDINGS = "holdings"
        MARGINS = "margins"
        PROFILE = "profile"
        FUND_ORDERS = "fund_orders"
        FUND_SIPS = "fund_sips"
        FUND_HOLDINGS = "fund_holdings"
        FUNDS = "funds"

    account = models.ForeignKey(BrokerAccount, on_delete=models.PROTECT, related_name="+")
    kind = models.CharField(max_length=20, choices=Kind)
    answer = models.JSONField(encoder=DjangoJSONEncoder)
    read_at = models.DateTimeField()

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["account", "kind"], name="reading_once_per_account_and_kind"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} of {self.account}"


class Instruction(models.Model):
    """A change of a portfolio that was asked of the broker; written before it leaves, sent once."""

    class Kind(models.TextChoices):
        """What was asked."""

        CONVERSION = "conversion"
        FUND_ORDER = "fund_order"
        FUND_ORDER_CANCEL = "fund_order_cancel"
        SIP = "sip"
        SIP_CHANGE = "sip_change"
        SIP_CANCEL = "sip_cancel"

    class State(models.TextChoices):
        """What became of it."""

        SENDING = "sending"
        DONE = "done"
        REFUSED = "refused"
        UNKNOWN = "unknown"
        NOT_DONE = "not_done"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    account = models.ForeignKey(BrokerAccount, on_delete=models.PROTECT, related_name="+")
    client = models.CharField(max_length=150)
    idempotency_key = models.CharField(max_length=128)
    fingerprint = models.CharField(max_length=64)
    kind = models.CharField(max_length=20, choices=Kind)
    body = models.JSONField(encoder=DjangoJSONEncoder)
    before = models.JSONField(default=dict, blank=True)
    state = models.CharField(max_length=10, choices=State, default=State.SENDING)
    broker_id = models.CharField(max_length=60, blank=True)
    code = models.CharField(max_length=60, blank=True)
    reason = models.CharField(max_length=500, blank=True)
    created_at = models.DateTimeField()
    settled_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(
                fields=["client", "account", "kind", "idempotency_key"], name="instruction_once_per_key"
            ),
            models.CheckConstraint(
                condition=Q(state__in=["sending", "done", "refused", "unknown", "not_done"]),
                name="instruction_state_known",
            ),
            models.CheckConstraint(
                condition=Q(settled_at__isnull=True) ^ Q(state__in=["done", "refused", "not_done"]),
                name="instruction_settled_when_final",
            ),
        ]
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["-created_at", "-id"], name="instruction_by_time"),
            models.Index(
                fields=["created_at"], condition=Q(state__in=["sending", "unknown"]), name="instruction_in_doubt"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.id}"

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
