"""Admin pages of alerts: the inbox, where they are said, and how that went."""

from typing import Any, ClassVar

from django import forms
from django.contrib import admin
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse
from unfold.decorators import action, display
from unfold.widgets import UnfoldAdminPasswordWidget, UnfoldAdminSelectWidget

from accounts.admin.deeds import Deed, ReasonForm, ScopedAdmin, person
from accounts.admin.editing import EditableAdmin, ReasonedForm
from accounts.models import BrokerAccount, User
from accounts.queries import visible_accounts
from ops import alerts, channels
from ops.models import Alert, AlertChannel, AlertDelivery
from webhooks.addresses import networks, resolve
from webhooks.errors import AddressRefused

SEVERITIES = {"critical": "danger", "warning": "warning"}
STATES = {"open": "danger", "in hand": "warning", "over": "success"}


class OwnerForm(ReasonForm):
    """Who gets it."""

    owner = forms.ModelChoiceField(
        queryset=User.objects.filter(is_active=True, is_staff=True).order_by("username"),
        widget=UnfoldAdminSelectWidget(),
    )
    field_order = ("owner", "reason")


@admin.register(Alert)
class AlertAdmin(ScopedAdmin):
    """The exceptions inbox: what is wrong, who has it in hand, and what is over."""

    view_scope = "ops:read"
    list_display = ("opened_at", "shown_severity", "text", "shown_state", "owner", "seen_at", "resolved_at")
    list_filter = ("severity", "code", "owner", "opened_at", "resolved_at")
    search_fields = ("text", "subject", "owner", "code")
    ordering = ("-opened_at", "-id")
    date_hierarchy = "opened_at"
    fields = (
        "text",
        "mend",
        ("severity", "code", "subject"),
        ("opened_at", "seen_at", "sightings"),
        ("owner", "acknowledged_by", "acknowledged_at"),
        ("escalated_at", "resolved_by", "resolved_at"),
    )
    actions_detail = ("acknowledge", "hand_over", "resolve")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Alert]:
        """Leave out what is about accounts of somebody else."""
        rows: QuerySet[Alert] = super().get_queryset(request)
        principal = person(request)
        if principal.account_ids is None:
            return rows
        foreign = BrokerAccount.objects.exclude(pk__in=visible_accounts(principal).values("pk"))
        return rows.exclude(subject__in=foreign.values("label"))

    @display(description="severity", label=SEVERITIES)
    def shown_severity(self, alert: Alert) -> str:
        """How bad it is, in colour."""
        return alert.severity

    @display(description="state", label=STATES)
    def shown_state(self, alert: Alert) -> str:
        """How far it is, in colour."""
        if alert.resolved_at is not None:
            return "over"
        return "open" if alert.acknowledged_at is None else "in hand"

    @action(description="Take in hand", icon="front_hand", url_path="acknowledge", permissions=["operate"])
    def acknowledge(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Own it."""
        deed = Deed(
            title="Take in hand",
            explanation="It is yours from now on and is not escalated. It closes by itself when its cause is gone.",
            done="You have it in hand: {}",
            act=lambda row, **values: alerts.acknowledge(alert_id=row.pk, **values),
        )
        return self.perform(request, object_id, deed)

    @action(description="Hand over", icon="switch_account", url_path="hand-over", permissions=["operate"])
    def hand_over(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Give it to somebody."""
        deed = Deed(
            title="Hand over",
            explanation="Somebody else owns it from now on.",
            done="Handed over: {}",
            act=lambda row, *, owner, **values: alerts.hand_over(alert_id=row.pk, owner=owner.get_username(), **values),
            form=OwnerForm,
        )
        return self.perform(request, object_id, deed)

    @action(description="Close", icon="done", url_path="resolve", permissions=["operate"])
    def resolve(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Say that it is over."""
        deed = Deed(
            title="Close",
            explanation="Where the cause still stands, the next look opens a new alert.",
            done="Closed: {}",
            act=lambda row, **values: alerts.resolve(alert_id=row.pk, **values),
        )
        return self.perform(request, object_id, deed)


class AlertChannelForm(ReasonedForm):
    """A channel; its secret can be set and never read."""

    new_secret = forms.CharField(
        required=False,
        max_length=200,
        label="Secret",
        help_text="A webhook's signing secret (whsec_…) or the token of a Telegram bot. Empty: it stays as it is.",
        widget=UnfoldAdminPasswordWidget(attrs={"autocomplete": "new-password"}),
    )

    class Meta:
        model = AlertChannel
        fields: ClassVar[list[str]] = [
            "name",
            "kind",
            "target",
            "severity",
            "only_escalations",
            "quiet_from",
            "quiet_until",
            "enabled",
        ]

    def clean(self) -> dict[str, Any]:
        """Refuse a webhook that would be refused later."""
        cleaned: dict[str, Any] = super().clean() or {}
        if cleaned.get("kind") == AlertChannel.Kind.WEBHOOK:
            try:
                resolve(url=str(cleaned.get("target")), allowed=networks(channels.allowed_networks()))
            except AddressRefused as error:
                self.add_error("target", str(error))
        return cleaned


@admin.register(AlertChannel)
class AlertChannelAdmin(EditableAdmin):
    """Where alerts are said."""

    view_scope = "ops:read"
    form = AlertChannelForm
    list_display = ("name", "kind", "severity", "only_escalations", "quiet_from", "quiet_until", "enabled")
    list_filter = ("kind", "severity", "enabled")
    search_fields = ("name", "target")
    ordering = ("name",)
    fields = (
        ("name", "kind"),
        "target",
        "new_secret",
        ("severity", "only_escalations"),
        ("quiet_from", "quiet_until"),
        "enabled",
    )
    actions_detail = ("try_it",)

    def get_fields(self, request: HttpRequest, obj: Model | None = None) -> Any:
        """Who only reads has no secret to give."""
        fields = super().get_fields(request, obj)
        return fields if self.has_change_permission(request, obj) else [name for name in fields if name != "new_secret"]

    def save_model(self, request: HttpRequest, obj: Any, form: forms.ModelForm[Any], change: bool) -> None:  # noqa: FBT001 (Django's signature)
        """Seal a new secret with the row."""
        if form.cleaned_data["new_secret"]:
            obj.secret = form.cleaned_data["new_secret"]
        super().save_model(request, obj, form, change)

    @action(description="Say something here", icon="campaign", url_path="try", permissions=["operate"])
    def try_it(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Say a trial alert."""
        deed = Deed(
            title="Say a trial at",
            explanation="A message that says it is a trial goes out now, and what came back is shown.",
            done="{} took it.",
            act=lambda row, **values: channels.say_trial(channel=row, **values),
        )
        return self.perform(request, object_id, deed)


@admin.register(AlertDelivery)
class AlertDeliveryAdmin(ScopedAdmin):
    """What was said where, and what came back."""

    view_scope = "ops:read"
    list_display = ("alert", "channel", "occasion", "attempts", "due_at", "sent_at", "error")
    list_filter = ("occasion", "channel", "sent_at")
    list_select_related = ("alert", "channel")
    search_fields = ("alert__text", "channel__name", "error")
    ordering = ("-id",)
    date_hierarchy = "sent_at"
