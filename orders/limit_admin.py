"""The admin page of the risk limits: whoever runs the desk tightens them, two people loosen them."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, ClassVar

from django import forms
from django.db import transaction
from django.http import HttpRequest
from django.utils import timezone
from unfold.widgets import UnfoldBooleanSwitchWidget

from accounts import approvals
from accounts.admin.deeds import person
from accounts.admin.editing import EditableAdmin, ReasonedForm
from accounts.errors import PlatformError
from accounts.guards import Approval
from accounts.queries import Principal
from orders.models import RiskLimit

# Every bound a limit has, a new one included.
BOUNDS = tuple(
    field.name
    for field in RiskLimit._meta.concrete_fields  # noqa: SLF001 (documented by Django)
    if field.name.startswith("max_") or field.name == "collar_percent"
)
Bound = int | Decimal | None


def loosened(*, before: Mapping[str, Bound], after: Mapping[str, Bound]) -> dict[str, str | None]:
    """Return the bounds that allow more than they did, with their new value; an empty one allows everything."""
    return {
        name: None if after[name] is None else str(after[name])
        for name in BOUNDS
        if _allows_more(before[name], after[name])
    }


def _allows_more(before: Bound, after: Bound) -> bool:
    return before is not None and (after is None or after > before)


class RiskLimitForm(ReasonedForm):
    """Bounds of one scope."""

    person: ClassVar[Principal]
    ask = forms.BooleanField(
        required=False,
        label="Ask a second person",
        help_text="For bounds that allow more than before: save again once somebody has approved it.",
        widget=UnfoldBooleanSwitchWidget(),
    )

    class Meta:
        model = RiskLimit
        fields: ClassVar[list[str]] = ["account", "strategy", "exchange", "tradingsymbol", *BOUNDS]

    def wanted(self) -> dict[str, object]:
        """Return what a second person has to approve; empty where nothing is loosened."""
        if not self.instance.pk:
            # Of several rows the tightest bound holds: another row loosens nothing.
            return {}
        held = RiskLimit.objects.get(pk=self.instance.pk)
        before: dict[str, Bound] = {name: getattr(held, name) for name in BOUNDS}
        more = loosened(before=before, after={name: self.cleaned_data.get(name) for name in BOUNDS})
        return {"limit": self.instance.pk, "to": more} if more else {}

    def clean(self) -> dict[str, Any]:
        """Let a loosened bound through only when a second person approved exactly that."""
        cleaned: dict[str, Any] = super().clean() or {}
        if self.errors or not (detail := self.wanted()):
            return cleaned
        verb, subject, now = Approval.Verb.RAISE_LIMIT, subject_of(self.instance), timezone.now()
        if approvals.is_approved(verb=verb, subject=subject, detail=detail, now=now):
            return cleaned
        if not cleaned.get("ask"):
            raise forms.ValidationError("this allows more than before: a second person has to approve it")
        try:
            approvals.request_approval(
                verb=verb, subject=subject, detail=detail, by=self.person, reason=cleaned["reason"], now=now
            )
        except PlatformError as error:
            raise forms.ValidationError(str(error)) from error
        raise forms.ValidationError("a second person was asked: save this again once it is approved")


class RiskLimitAdmin(EditableAdmin):
    """Bounds in force; each change goes into the audit trail, and what loosens one needs two people."""

    view_scope = "orders:read"
    account_path = "account"
    form = RiskLimitForm
    list_display = ("__str__", *BOUNDS)
    list_filter = ("account", "strategy", "exchange")
    list_select_related = ("account",)
    search_fields = ("account__label", "strategy", "tradingsymbol")
    ordering = ("account__label", "strategy", "exchange", "tradingsymbol")
    fields = (("account", "strategy"), ("exchange", "tradingsymbol"), *BOUNDS)

    def get_form(self, request: HttpRequest, obj: RiskLimit | None = None, change: bool = False, **kwargs: Any) -> Any:  # noqa: FBT001, FBT002 (Django's signature)
        """Tell the form who is there."""
        form = super().get_form(request, obj, change, **kwargs)
        form.person = person(request)
        return form

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        """Ask for a second person only where there may be something to loosen."""
        sets = super().get_fieldsets(request, obj)
        if obj is None or not self.has_change_permission(request, obj):
            return sets
        return [*sets[:-1], ("Why", {"fields": ("reason", "ask")})]

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:  # noqa: FBT001 (Django's signature)
        """Use the approval up together with the change."""
        with transaction.atomic():
            if detail := form.wanted():
                approvals.consume(
                    verb=Approval.Verb.RAISE_LIMIT,
                    subject=subject_of(obj),
                    detail=detail,
                    actor=person(request).label,
                    now=timezone.now(),
                )
            super().save_model(request, obj, form, change)


def subject_of(limit: RiskLimit) -> str:
    """Return the name of a limit in approvals and the audit trail."""
    return f"risk_limit:{limit.pk}"
