"""What the accounts API takes and shows; no secret is among it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.conf import settings
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework import serializers

from accounts.authentication import ApiKeyAuthentication, PrincipalSessionAuthentication
from accounts.models import AccountGroup, AuditEntry, BrokerAccount, Credential, TradingHalt
from accounts.strict import StrictSerializer


@dataclass(frozen=True, slots=True)
class AccountStatus:
    """An account with its version in force, as seen at one moment."""

    account: BrokerAccount
    credential: Credential | None
    seen_at: datetime
    halts: Sequence[TradingHalt]

    @property
    def halt(self) -> TradingHalt | None:
        """The strictest halt in force over the account's orders."""
        over = [halt for halt in self.halts if halt.covers_account(self.account.label)]
        return max(over, key=lambda halt: halt.level == TradingHalt.Level.HALTED, default=None)

    @property
    def live(self) -> bool:
        """Whether a token can be used now."""
        return self.credential is not None and self.credential.is_live(now=self.seen_at)

    @property
    def seconds_left(self) -> int:
        """Seconds until the token dies, 0 without one."""
        if self.credential is None or self.credential.token_expires_at is None:
            return 0
        return max(0, int((self.credential.token_expires_at - self.seen_at).total_seconds()))


class LoginSerializer(serializers.Serializer[AccountStatus]):
    """Whether somebody has logged in today."""

    live = serializers.BooleanField()
    expires_at = serializers.DateTimeField(source="credential.token_expires_at", default=None, allow_null=True)
    logged_in_at = serializers.DateTimeField(source="credential.logged_in_at", default=None, allow_null=True)
    seconds_left = serializers.IntegerField()


class CredentialSerializer(serializers.Serializer[Credential]):
    """A version of key and secret, without them."""

    version = serializers.IntegerField()
    api_key_ends = serializers.CharField()
    created_at = serializers.DateTimeField()


class AccountHaltSerializer(serializers.Serializer[TradingHalt]):
    """Why the account's orders are stopped; cancels never are."""

    level = serializers.ChoiceField(choices=TradingHalt.Level.choices)
    scope = serializers.ChoiceField(choices=TradingHalt.Scope.choices)
    reason = serializers.CharField()
    engaged_by = serializers.CharField()
    engaged_at = serializers.DateTimeField()


class AccountSerializer(serializers.Serializer[Any]):
    """A broker account as a caller sees it."""

    label = serializers.CharField(source="account.label")  # type: ignore[assignment] # DRF takes it out of the class
    broker_user_id = serializers.CharField(source="account.broker_user_id")
    owner = serializers.CharField(source="account.owner")
    group = serializers.CharField(source="account.group.name", default=None, allow_null=True)
    streams_data = serializers.BooleanField(source="account.streams_data")
    places_orders = serializers.BooleanField(source="account.places_orders")
    source_address = serializers.IPAddressField(source="account.source_address", allow_null=True)
    order_proxy = serializers.CharField(source="account.order_proxy")
    egress_fault = serializers.CharField(source="account.egress_fault")
    state = serializers.ChoiceField(choices=BrokerAccount.State.choices, source="account.state")
    state_reason = serializers.CharField(source="account.state_reason")
    state_changed_at = serializers.DateTimeField(source="account.state_changed_at", allow_null=True)
    recovers_at = serializers.DateTimeField(source="account.recovers_at", allow_null=True)
    halt = AccountHaltSerializer(allow_null=True)
    login = LoginSerializer(source="*")
    credential = CredentialSerializer(allow_null=True)


class AccountListSerializer(serializers.Serializer[object]):
    """Every account the caller sees."""

    results = AccountSerializer(many=True)


class NewAccountSerializer(StrictSerializer, serializers.ModelSerializer[BrokerAccount]):
    """An account to bring in."""

    group = serializers.SlugRelatedField(
        slug_field="name", queryset=AccountGroup.objects.all(), required=False, allow_null=True
    )

    class Meta:
        model = BrokerAccount
        fields: tuple[str, ...] = (
            "label",
            "broker_user_id",
            "owner",
            "group",
            "streams_data",
            "places_orders",
            "source_address",
            "order_proxy",
        )


class AccountChangeSerializer(NewAccountSerializer):
    """What an account is used for."""

    class Meta(NewAccountSerializer.Meta):
        fields = ("owner", "group", "streams_data", "places_orders", "source_address", "order_proxy")


class StateSerializer(StrictSerializer):
    """The state wanted, and why."""

    state = serializers.ChoiceField(choices=["active", "cordoned", "retired"])
    reason = serializers.CharField(max_length=200)


class ReasonSerializer(StrictSerializer):
    """Why."""

    reason = serializers.CharField(max_length=200)


class AddressesSerializer(ReasonSerializer):
    """The addresses registered at the broker: all of them, two at most; none lets orders leave from anywhere."""

    addresses = serializers.ListField(child=serializers.IPAddressField(), max_length=8)


class RegisteredAddressesSerializer(serializers.Serializer[object]):
    """What is registered, and what was seen last."""

    addresses = serializers.ListField(child=serializers.CharField())
    egress_fault = serializers.CharField()
    seen = serializers.CharField(allow_null=True)
    verdict = serializers.CharField(allow_null=True)
    why = serializers.CharField(allow_null=True)
    seen_at = serializers.DateTimeField(allow_null=True)


class AccountEventSerializer(serializers.Serializer[AuditEntry]):
    """One deed of an account's history."""

    at = serializers.DateTimeField()
    actor = serializers.CharField()
    action = serializers.CharField()
    reason = serializers.CharField()
    detail = serializers.JSONField()


class HistorySerializer(serializers.Serializer[object]):
    """The newest deeds about an account, newest first."""

    results = AccountEventSerializer(many=True)


class StatsSerializer(serializers.Serializer[object]):
    """How many accounts there are, by what they may do."""

    total = serializers.IntegerField()
    logged_in = serializers.IntegerField()
    streams_data = serializers.IntegerField()
    places_orders = serializers.IntegerField()
    orders_refused_by_egress = serializers.IntegerField()
    halted = serializers.IntegerField()
    states = serializers.DictField(child=serializers.IntegerField())
    groups = serializers.DictField(child=serializers.IntegerField())


class ProbeSerializer(serializers.Serializer[object]):
    """What the broker says of the login."""

    user_id = serializers.CharField()
    user_name = serializers.CharField()


class RotationSerializer(StrictSerializer):
    """New key and secret, and why."""

    api_key = serializers.CharField(min_length=4, max_length=40)
    api_secret = serializers.CharField(min_length=4, max_length=200, write_only=True)
    reason = serializers.CharField(max_length=200)


class PrincipalSerializer(serializers.Serializer[object]):
    """Who is asking and what they may do; `accounts` null means every account."""

    label = serializers.CharField()  # type: ignore[assignment] # DRF takes it out of the class
    user_id = serializers.IntegerField()
    key_id = serializers.IntegerField(allow_null=True)
    scopes = serializers.ListField(child=serializers.CharField())
    accounts = serializers.ListField(child=serializers.CharField(), allow_null=True)


class ApiKeyScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call] # registers by being defined
    """Describes the keys in the API schema."""

    target_class = ApiKeyAuthentication
    name = "apiKey"

    def get_security_definition(self, _auto_schema: Any) -> dict[str, str]:
        """Return the OpenAPI security scheme."""
        return {"type": "http", "scheme": "bearer", "bearerFormat": "tkr_live_<8>_<43>"}


class SessionScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call] # registers by being defined
    """Describes the session cookie in the API schema."""

    target_class = PrincipalSessionAuthentication
    name = "cookie"

    def get_security_definition(self, _auto_schema: Any) -> dict[str, str]:
        """Return the OpenAPI security scheme."""
        return {"type": "apiKey", "in": "cookie", "name": settings.SESSION_COOKIE_NAME}
