"""Rows that guard what people do; `accounts.models` loads them."""

import uuid
from datetime import datetime, timedelta
from typing import ClassVar

from django.db import models
from django.db.models import F, Q

from accounts.fields import SealedField

APPROVAL_LASTS = timedelta(minutes=30)


class Approval(models.Model):
    """A dangerous deed that one person asks for and another approves; it is done once, as it was asked for."""

    class Verb(models.TextChoices):
        """The deeds that need two people."""

        RELEASE_HALT = "release_halt"
        RESOLVE_UNKNOWN = "resolve_unknown"
        FLATTEN = "flatten"
        ROTATE_KEY = "rotate_key"
        RAISE_LIMIT = "raise_limit"
        DISABLE_RULE = "disable_rule"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    verb = models.CharField(max_length=20, choices=Verb)
    subject = models.CharField(max_length=120)
    detail = models.JSONField(default=dict, blank=True)
    fingerprint = models.CharField(max_length=64)
    reason = models.CharField(max_length=200)
    requested_by = models.ForeignKey("accounts.User", on_delete=models.PROTECT, related_name="+")
    requested_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    approved_by = models.ForeignKey("accounts.User", on_delete=models.PROTECT, related_name="+", null=True, blank=True)
    approved_at = models.DateTimeField(null=True, blank=True)
    used_by = models.CharField(max_length=150, blank=True)
    used_at = models.DateTimeField(null=True, blank=True)
    closed_by = models.CharField(max_length=150, blank=True)
    closed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.CheckConstraint(
                condition=Q(approved_by__isnull=True) | ~Q(approved_by=F("requested_by")),
                name="approval_needs_two_people",
            ),
            models.CheckConstraint(
                condition=Q(approved_by__isnull=True, approved_at__isnull=True)
                | Q(approved_by__isnull=False, approved_at__isnull=False),
                name="approval_is_dated",
            ),
            models.CheckConstraint(
                condition=Q(used_at__isnull=True) | Q(approved_at__isnull=False, closed_at__isnull=True),
                name="approval_used_only_when_approved",
            ),
            models.CheckConstraint(
                condition=Q(expires_at__gt=F("requested_at"), expires_at__lte=F("requested_at") + APPROVAL_LASTS),
                name="approval_is_short",
            ),
            models.CheckConstraint(
                condition=(Q(approved_at__isnull=True) | Q(approved_at__lt=F("expires_at")))
                & (Q(used_at__isnull=True) | Q(used_at__lt=F("expires_at"))),
                name="approval_in_time",
            ),
            models.CheckConstraint(
                condition=Q(
                    verb__in=[
                        "release_halt",
                        "resolve_unknown",
                        "flatten",
                        "rotate_key",
                        "raise_limit",
                        "disable_rule",
                    ]
                ),
                name="approval_verb_known",
            ),
            models.UniqueConstraint(
                fields=["verb", "subject"],
                condition=Q(used_at__isnull=True, closed_at__isnull=True),
                name="approval_one_open_per_subject",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.get_verb_display()} {self.subject}"

    def state(self, *, now: datetime) -> str:
        """Say in one word how far it is."""
        if self.used_at is not None:
            return "done"
        if self.closed_at is not None:
            return "declined"
        if self.expires_at <= now:
            return "expired"
        return "approved" if self.approved_at is not None else "waiting"


class SecondFactor(models.Model):
    """A person's authenticator app; its secret is sealed, and each of its codes counts once."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    user = models.OneToOneField("accounts.User", on_delete=models.PROTECT, related_name="+")
    secret = SealedField()
    created_at = models.DateTimeField()
    confirmed_at = models.DateTimeField(null=True, blank=True)
    last_step = models.BigIntegerField(default=0)
    failures = models.PositiveSmallIntegerField(default=0)
    locked_until = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return f"{self.user_id}"


class RecoveryCode(models.Model):
    """A code for one sign-in without the app; only a keyed digest is stored."""

    user = models.ForeignKey("accounts.User", on_delete=models.PROTECT, related_name="+")
    digest = models.CharField(max_length=64, unique=True)
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField(null=True, blank=True)
    used_at = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return f"{self.user_id} {self.created_at:%Y-%m-%d}"


class SignIn(models.Model):
    """A person at a browser, from the second factor until it ends; a session without one counts as nobody."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    user = models.ForeignKey("accounts.User", on_delete=models.PROTECT, related_name="+")
    began_at = models.DateTimeField()
    seen_at = models.DateTimeField()
    stepped_up_at = models.DateTimeField()
    address = models.GenericIPAddressField(null=True, blank=True)
    browser = models.CharField(max_length=200, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)
    ended_for = models.CharField(max_length=80, blank=True)

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.CheckConstraint(
                condition=Q(ended_at__isnull=True) ^ ~Q(ended_for=""), name="sign_in_ends_for_a_reason"
            ),
        ]
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["user", "-began_at"], condition=Q(ended_at__isnull=True), name="sign_in_open"),
        ]

    def __str__(self) -> str:
        return f"{self.user_id} since {self.began_at:%Y-%m-%d %H:%M}"
