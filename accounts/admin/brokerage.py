"""Admin pages of broker accounts, their groups and their credentials."""

from collections.abc import Sequence
from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import Model, QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from unfold.decorators import action, display
from unfold.enums import ActionVariant
from unfold.widgets import UnfoldAdminPasswordWidget, UnfoldAdminTextInputWidget

from accounts import credentials, health, key_rotation
from accounts.admin.deeds import ByTwoForm, Deed, ReasonForm, ScopedAdmin, may, person
from accounts.admin.editing import ConfirmedAdmin
from accounts.audit import record
from accounts.models import AccountGroup, BrokerAccount, Credential
from accounts.queries import current_credential, visible_accounts

LOGGED_IN = "logged in"
NO_LOGIN = "needs a login"
STATE_COLOURS = {"active": "success", "degraded": "warning", "cordoned": "danger", "retired": "info"}


class RotationForm(ReasonForm):
    """A new API key and secret."""

    api_key = forms.CharField(
        label="API key", min_length=4, max_length=40, widget=UnfoldAdminTextInputWidget({"autocomplete": "off"})
    )
    api_secret = forms.CharField(
        label="API secret",
        min_length=4,
        max_length=200,
        help_text="Sealed before it is stored, and shown to nobody afterwards.",
        widget=UnfoldAdminPasswordWidget(attrs={"autocomplete": "new-password"}),
    )
    field_order = ("api_key", "api_secret", "reason")


@admin.register(BrokerAccount)
class BrokerAccountAdmin(ConfirmedAdmin):
    """Accounts at the broker, their state and their login."""

    date_hierarchy = "created_at"
    list_display = ("label", "broker_user_id", "group", "shown_state", "shown_login", "streams_data", "places_orders")
    list_filter = ("state", "streams_data", "places_orders", "group")
    list_select_related = ("group",)
    search_fields = ("label", "broker_user_id")
    ordering = ("label",)
    fields = (
        ("label", "broker_user_id"),
        ("group", "source_address"),
        ("streams_data", "places_orders"),
        ("shown_state", "state_reason", "recovers_at"),
        ("told_login", "shown_version"),
    )
    readonly_fields = ("shown_state", "state_reason", "recovers_at", "told_login", "shown_version")
    actions_detail = ("log_in", "rotate", {"title": "More", "items": ["cordon", "uncordon", "log_out", "revoke"]})
    actions_row = ("log_in", "rotate")

    def get_queryset(self, request: HttpRequest) -> QuerySet[BrokerAccount]:
        """Return the accounts the caller may see."""
        return visible_accounts(person(request))

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Say whether the caller may bring in an account."""
        return may(request, "accounts:write")

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Say whether the caller may change what an account is used for."""
        return may(request, "accounts:write")

    def get_readonly_fields(self, request: HttpRequest, obj: Model | None = None) -> Sequence[str]:
        """Whose account it is never changes."""
        return self.readonly_fields if obj is None else (*self.readonly_fields, "label", "broker_user_id")

    def save_model(self, request: HttpRequest, obj: BrokerAccount, form: forms.ModelForm[Any], change: bool) -> None:  # noqa: FBT001
        """Keep the change and who made it together."""
        super().save_model(request, obj, form, change)
        record(
            actor=person(request).label,
            action="accounts.account.changed" if change else "accounts.account.added",
            subject=health.subject_of(obj),
            detail={name: str(form.cleaned_data[name]) for name in form.changed_data},
            now=timezone.now(),
        )

    @display(description="state", ordering="state", label=STATE_COLOURS)
    def shown_state(self, account: BrokerAccount) -> str:
        """The state as a coloured label."""
        return account.state

    @display(description="login", label={LOGGED_IN: "success", NO_LOGIN: "danger"})
    def shown_login(self, account: BrokerAccount) -> tuple[str, str] | str:
        """Whether a token is live, and until when."""
        told = _login_of(account)
        return told if told == NO_LOGIN else (LOGGED_IN, told)

    @display(description="login")
    def told_login(self, account: BrokerAccount) -> str:
        """Whether a token is live, in words."""
        return _login_of(account)

    @display(description="credential")
    def shown_version(self, account: BrokerAccount) -> str:
        """The version in force, without its secrets."""
        held = current_credential(account_id=account.pk)
        return "none yet" if held is None else f"version {held.version}, key …{held.api_key_ends}"

    @action(
        description="Log in", icon="login", url_path="log-in", permissions=["operate"], variant=ActionVariant.PRIMARY
    )
    def log_in(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Go to the broker's login page."""
        account = self.get_object(request, object_id)
        if account is None:
            raise Http404
        return redirect("kite-login", label=account.label)

    @action(description="Rotate credential", icon="key", url_path="rotate", permissions=["rotate"])
    def rotate(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Give the account a new key and secret."""
        deed = Deed(
            title="Rotate the credential of",
            explanation="The feed, the workers and this panel take the new version up by themselves. With the same API "
            "key a live session goes on; with another one, log in afterwards.",
            done="{} has a new credential.",
            act=lambda row, **values: credentials.rotate(account_id=row.pk, **values),
            stepped_up=True,
            form=RotationForm,
        )
        return self.perform(request, object_id, deed)

    @action(description="Cordon", icon="block", url_path="cordon", permissions=["operate"])
    def cordon(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Drain the account."""
        deed = Deed(
            title="Cordon",
            explanation="Its instruments move to other accounts and it takes no new orders; open orders stay open and "
            "can be cancelled.",
            done="{} is cordoned.",
            act=lambda row, **values: health.cordon(account_id=row.pk, **values),
            variant="danger",
        )
        return self.perform(request, object_id, deed)

    @action(description="Uncordon", icon="check_circle", url_path="uncordon", permissions=["operate"])
    def uncordon(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Bring the account back."""
        deed = Deed(
            title="Uncordon",
            explanation="The account streams data and takes orders again.",
            done="{} is back.",
            act=lambda row, **values: health.uncordon(account_id=row.pk, **values),
        )
        return self.perform(request, object_id, deed)

    @action(description="Log out", icon="logout", url_path="log-out", permissions=["operate"])
    def log_out(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """End the session."""
        deed = Deed(
            title="Log out",
            explanation="The session ends here and at the broker. Key and secret stay; somebody must log in again.",
            done="{} is logged out.",
            act=lambda row, **values: credentials.log_out(account_id=row.pk, **values),
            variant="danger",
        )
        return self.perform(request, object_id, deed)

    @action(description="Revoke credential", icon="key_off", url_path="revoke", permissions=["rotate"])
    def revoke(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Forget the secrets."""
        deed = Deed(
            title="Revoke the credential of",
            explanation="Token, key and secret are forgotten here and the session ends at the broker. The account does "
            "nothing until new ones are rotated in.",
            done="The credential of {} is revoked.",
            act=lambda row, **values: credentials.revoke(account_id=row.pk, **values),
            stepped_up=True,
            variant="danger",
        )
        return self.perform(request, object_id, deed)


@admin.register(Credential)
class CredentialAdmin(ScopedAdmin):
    """Versions of keys and secrets, without them."""

    account_path = "account"
    actions_list = ("rotate_key",)
    date_hierarchy = "created_at"
    list_display = ("account", "version", "current", "shown_key", "logged_in_at", "token_expires_at", "retired_at")
    list_filter = ("current", "account")
    list_select_related = ("account",)
    search_fields = ("account__label",)
    ordering = ("account__label", "-version")
    fields = (
        "account",
        "version",
        "current",
        "shown_key",
        "logged_in_at",
        "token_expires_at",
        "created_at",
        "retired_at",
    )
    readonly_fields = ("shown_key",)

    @action(
        description="Rotate encryption key", icon="enhanced_encryption", url_path="rotate-key", permissions=["rotate"]
    )
    def rotate_key(self, request: HttpRequest) -> HttpResponse:
        """Seal everything with a new key."""
        deed = Deed(
            title="Rotate the encryption key",
            explanation="A new key seals from now on, and a worker moves every sealed value to it meanwhile. "
            "The old key stays in the ring until it is dropped at a shell: older backups need it. It takes two people.",
            done="The new key seals; the values are being moved.",
            act=lambda _row, **values: key_rotation.order(**values),
            ask=lambda _row, **values: key_rotation.ask(**values),
            form=ByTwoForm,
            variant="danger",
            stepped_up=True,
        )
        return self.perform_for_all(request, deed)

    @display(description="API key")
    def shown_key(self, credential: Credential) -> str:
        """The end of the key."""
        return f"…{credential.api_key_ends}"


@admin.register(AccountGroup)
class AccountGroupAdmin(ConfirmedAdmin):
    """Families of accounts."""

    list_filter = ("name",)
    list_display = ("name",)
    search_fields = ("name",)
    ordering = ("name",)

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Say whether the caller may add a family."""
        return may(request, "accounts:write")

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Say whether the caller may rename a family."""
        return may(request, "accounts:write")


def _login_of(account: BrokerAccount) -> str:
    held = current_credential(account_id=account.pk)
    if held is None or held.token_expires_at is None or not held.is_live(now=timezone.now()):
        return NO_LOGIN
    return f"logged in until {timezone.localtime(held.token_expires_at):%d %b %H:%M}"
