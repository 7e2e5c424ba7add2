"""Users, broker accounts and what guards them, as rows."""

import uuid
from datetime import datetime
from typing import ClassVar

from django.contrib.auth.models import AbstractUser
from django.contrib.postgres.fields import ArrayField
from django.core.validators import RegexValidator
from django.db import models
from django.db.models import F, Q

from accounts import addresses, guards  # noqa: F401 (Django finds an app's models through this module)
from accounts.fields import SealedField

PROXY = r"^https?://[A-Za-z0-9.:\[\]-]+$"


class User(AbstractUser):
    """A person or a program that signs in to the platform."""

    class Role(models.TextChoices):
        """What the user may do; which accounts it may be done to is said beside it."""

        NONE = "none"
        VIEWER = "viewer"
        TRADER = "trader"
        OPERATOR = "operator"
        SECURITY_OFFICER = "security_officer"
        ADMINISTRATOR = "administrator"

    role = models.CharField(max_length=20, choices=Role, default=Role.NONE)
    every_account = models.BooleanField(
        default=False, help_text="May see every broker account, those to come included."
    )
    accounts: "models.ManyToManyField[BrokerAccount, models.Model]" = models.ManyToManyField(
        "BrokerAccount", related_name="+", blank=True
    )

    class Meta(AbstractUser.Meta):
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.CheckConstraint(
                condition=Q(role__in=["none", "viewer", "trader", "operator", "security_officer", "administrator"]),
                name="user_role_known",
            ),
        ]


class AccountGroup(models.Model):
    """Accounts of one family: the unit inside which the rules let a registered address be shared."""

    name = models.CharField(max_length=80, unique=True)

    def __str__(self) -> str:
        return self.name


class BrokerAccount(models.Model):
    """One Zerodha client account."""

    class State(models.TextChoices):
        """What the platform may do with the account."""

        ACTIVE = "active"
        DEGRADED = "degraded"
        CORDONED = "cordoned"
        RETIRED = "retired"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    label = models.SlugField(max_length=50, unique=True)
    broker_user_id = models.CharField(max_length=20, unique=True)
    owner = models.CharField(max_length=80, blank=True, help_text="Whose money it is.")
    group = models.ForeignKey(AccountGroup, null=True, blank=True, on_delete=models.PROTECT, related_name="+")
    streams_data = models.BooleanField(default=True)
    places_orders = models.BooleanField(default=True)
    source_address = models.GenericIPAddressField(
        null=True, blank=True, help_text="The address of this machine that the account's calls leave from."
    )
    order_proxy = models.CharField(
        max_length=200,
        blank=True,
        validators=[RegexValidator(PROXY, "http://host:port, without a name and a password")],
        help_text="http://host:port of a proxy that the account's order calls leave through.",
    )
    egress_fault = models.CharField(max_length=200, blank=True, editable=False)
    state = models.CharField(max_length=10, choices=State, default=State.ACTIVE)
    state_reason = models.CharField(max_length=200, blank=True)
    state_changed_at = models.DateTimeField(null=True, blank=True)
    recovers_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.CheckConstraint(
                condition=Q(state__in=["active", "degraded", "cordoned", "retired"]), name="account_state_known"
            ),
            models.CheckConstraint(
                condition=Q(state="active") | ~Q(state_reason=""), name="account_state_has_a_reason"
            ),
            models.CheckConstraint(
                condition=Q(order_proxy="") | Q(order_proxy__regex=PROXY), name="account_proxy_without_password"
            ),
            models.CheckConstraint(
                condition=Q(state="degraded") ^ Q(recovers_at__isnull=True), name="account_recovers_only_when_degraded"
            ),
        ]

    def __str__(self) -> str:
        return self.label


class Credential(models.Model):
    """One version of an account's secrets; at most one version is current, and only that one keeps its secrets."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    account = models.ForeignKey(BrokerAccount, on_delete=models.PROTECT, related_name="+")
    version = models.PositiveIntegerField()
    api_key = models.CharField(max_length=40)
    api_secret = SealedField(null=True)
    access_token = SealedField(null=True)
    token_expires_at = models.DateTimeField(null=True, blank=True)
    logged_in_at = models.DateTimeField(null=True, blank=True)
    request_token_digest = models.CharField(max_length=64, blank=True)
    current = models.BooleanField(default=True)
    created_at = models.DateTimeField(auto_now_add=True)
    retired_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["account", "version"], name="credential_version_once"),
            models.UniqueConstraint(fields=["account"], condition=Q(current=True), name="credential_one_current"),
            models.CheckConstraint(
                condition=Q(access_token__isnull=True) ^ Q(token_expires_at__isnull=False),
                name="credential_token_expires",
            ),
            models.CheckConstraint(
                condition=Q(current=True, api_secret__isnull=False, retired_at__isnull=True)
                | Q(current=False, api_secret__isnull=True, access_token__isnull=True, retired_at__isnull=False),
                name="credential_retired_keeps_no_secret",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.account_id} v{self.version}"

    @property
    def api_key_ends(self) -> str:
        """The last four characters of the API key, enough to tell two keys apart."""
        return self.api_key[-4:]

    def is_live(self, *, now: datetime) -> bool:
        """Say whether the token can be used now; opens nothing."""
        return self.token_expires_at is not None and self.token_expires_at > now


class ApiKey(models.Model):
    """A program's key: only its public part and a keyed digest are stored."""

    name = models.CharField(max_length=80)
    prefix = models.CharField(max_length=8, unique=True)
    digest = models.BinaryField(max_length=32)
    user = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    scopes = ArrayField(models.CharField(max_length=40))
    every_account = models.BooleanField(default=False)
    accounts = models.ManyToManyField(BrokerAccount, related_name="+", blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField()
    revoked_at = models.DateTimeField(null=True, blank=True)
    last_used_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.CheckConstraint(condition=Q(expires_at__gt=F("created_at")), name="api_key_expires_later"),
        ]

    def __str__(self) -> str:
        return f"{self.name} ({self.prefix})"


class HaltEpoch(models.Model):
    """One row; every halt and release moves it, every claim locks it for share."""

    id = models.PositiveSmallIntegerField(primary_key=True, default=1)
    epoch = models.PositiveBigIntegerField(default=0)

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.CheckConstraint(condition=Q(id=1), name="halt_epoch_single_row"),
        ]

    def __str__(self) -> str:
        return str(self.epoch)


class TradingHalt(models.Model):
    """A stop of trading in a scope, from engaged to released."""

    class Scope(models.TextChoices):
        """What the halt covers."""

        PLATFORM = "platform"
        ACCOUNT = "account"
        STRATEGY = "strategy"
        SYMBOL = "symbol"

    class Level(models.TextChoices):
        """What is still allowed; cancels always are."""

        REDUCING = "reducing"
        HALTED = "halted"

    scope = models.CharField(max_length=10, choices=Scope)
    target = models.CharField(max_length=80, blank=True)
    level = models.CharField(max_length=10, choices=Level, default=Level.HALTED)
    reason = models.CharField(max_length=200)
    engaged_by = models.CharField(max_length=150)
    engaged_at = models.DateTimeField()
    released_by = models.CharField(max_length=150, blank=True)
    released_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.CheckConstraint(condition=Q(scope="platform") ^ ~Q(target=""), name="halt_names_its_target"),
            models.UniqueConstraint(
                fields=["scope", "target"], condition=Q(released_at__isnull=True), name="halt_one_open_per_target"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.level} {self.scope} {self.target}".strip()

    def covers_account(self, label: str) -> bool:
        """Say whether all orders of an account are under the halt."""
        return self.scope == self.Scope.PLATFORM or (self.scope == self.Scope.ACCOUNT and self.target == label)


class AuditEntry(models.Model):
    """One deed: who did what to which thing, and why. Rows are only ever added."""

    id = models.BigAutoField(primary_key=True)
    at = models.DateTimeField()
    actor = models.CharField(max_length=150)
    action = models.CharField(max_length=80)
    subject = models.CharField(max_length=120)
    reason = models.CharField(max_length=200, blank=True)
    detail = models.JSONField(default=dict)

    class Meta:
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["-at"], name="audit_at"),
            models.Index(fields=["subject", "-at"], name="audit_subject"),
        ]
        verbose_name_plural = "audit entries"

    def __str__(self) -> str:
        return f"{self.action} {self.subject}"


class AuditLink(models.Model):
    """The chain over the entries in the order they were committed; the database itself writes it."""

    position = models.PositiveBigIntegerField(primary_key=True)
    entry = models.OneToOneField(AuditEntry, on_delete=models.PROTECT, related_name="+")
    previous = models.BinaryField(max_length=32)
    digest = models.BinaryField(max_length=32)

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.CheckConstraint(condition=Q(position__gt=0), name="audit_link_counts_from_one"),
        ]

    def __str__(self) -> str:
        return f"{self.position}"


class RevokedToken(models.Model):
    """A token of the external issuer that was ended before its time; kept until it would have ended by itself."""

    digest = models.CharField(max_length=64, primary_key=True)
    expires_at = models.DateTimeField(db_index=True)

    def __str__(self) -> str:
        return f"token:{self.digest[:16]}"


class KeptAnswer(models.Model):
    """What a write was answered, for whoever sends it again; without a status it is still at work."""

    id = models.UUIDField(primary_key=True)
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="+")
    key = models.CharField(max_length=128)
    fingerprint = models.CharField(max_length=64)
    asked_at = models.DateTimeField(db_index=True)
    status = models.PositiveSmallIntegerField(null=True)
    headers = models.JSONField(default=dict)
    body = models.TextField(blank=True)

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["user", "key"], name="answer_once_per_key"),
        ]

    def __str__(self) -> str:
        return f"{self.status} {self.key}"
