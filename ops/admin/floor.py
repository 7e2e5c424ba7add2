"""The verbs of the Desk on the admin's pages: what they touch is shown first, and they are done by the same code."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, cast

from django import forms
from django.contrib import admin, messages
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.utils import timezone
from unfold.decorators import action
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldBooleanSwitchWidget

from accounts.admin.brokerage import BrokerAccountAdmin
from accounts.admin.deeds import Deed, ReasonForm, ScopedAdmin, confirm_first, person
from accounts.admin.trail import TradingHaltAdmin
from accounts.audit import record
from accounts.errors import ApprovalNeeded, PlatformError
from accounts.gate import sign_in_of
from accounts.health import subject_of
from accounts.models import BrokerAccount, TradingHalt
from accounts.probing import probe
from accounts.sessions import Sessions
from accounts.sign_ins import is_fresh
from ops import verbs
from ops.state import Json

SECOND_PERSON = "Ask a second person to approve it"

for model in (BrokerAccount, TradingHalt):
    admin.site.unregister(model)


class VerbPages(ScopedAdmin):
    """A page on which verbs of the Desk can be done."""

    def by_verb(self, request: HttpRequest, *, name: str, target: str, back: str) -> HttpResponse:
        """Show what the verb would touch and ask for a reason; then do it."""
        now, principal = timezone.now(), person(request)
        if verbs.is_stepped_up(name=name) and not is_fresh(sign_in_of(request), now=now):
            return confirm_first(request)
        try:
            preview = cast("dict[str, Any]", verbs.preview(name=name, target=target, principal=principal, now=now))
        except PlatformError as error:
            messages.error(request, str(error))
            return redirect(back)
        form = form_of(preview)(request.POST or None)
        if request.method == "POST" and form.is_valid() and self._did(request, form, name=name, target=target):
            return redirect(back)
        return self._page(request, preview, form, back)

    def _did(self, request: HttpRequest, form: forms.Form, *, name: str, target: str) -> bool:
        given = {key: str(value) for key, value in form.cleaned_data.items() if key != "ask"}
        if form.cleaned_data.get("ask"):
            given["ask"] = "1"
        try:
            done = verbs.perform(
                name=name, form={**given, "target": target}, principal=person(request), now=timezone.now()
            )
        except ApprovalNeeded as error:
            form.fields["ask"] = ask_field()
            form.add_error(None, str(error))
            return False
        except PlatformError as error:
            form.add_error(None, str(error))
            return False
        messages.success(request, done)
        return True

    def _page(self, request: HttpRequest, preview: Mapping[str, Json], form: forms.Form, back: str) -> HttpResponse:
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": preview["title"],
            "explanation": preview["text"],
            "touches": preview["touches"],
            "confirm": preview["confirm"],
            "form": form,
            "variant": "primary" if preview["mild"] else "danger",
            "back": back,
        }
        return TemplateResponse(request, "accounts/deed.html", context)


def validate_login(*, account: BrokerAccount, sessions: Sessions, actor: str, reason: str, now: datetime) -> None:
    """Ask the broker whose login it is, and write down that somebody asked."""
    with transaction.atomic():
        record(
            actor=actor, action="accounts.account.validated", subject=subject_of(account), reason=reason[:200], now=now
        )
    probe(account_id=account.pk, sessions=sessions, now=now)


def form_of(preview: Mapping[str, Any]) -> type[forms.Form]:
    """Return the form of a verb: its choices, then the reason."""
    fields: dict[str, Any] = {
        choice["name"]: forms.ChoiceField(
            label=choice["label"],
            choices=[(option["value"], option["text"]) for option in choice["options"]],
            widget=UnfoldAdminSelectWidget(),
        )
        for choice in preview["choices"]
    }
    # A form that asks a second person carries the answer back.
    fields["ask"] = ask_field(hidden=True)
    return type("VerbForm", (ReasonForm,), {**fields, "field_order": [*fields, "reason"]})


def ask_field(*, hidden: bool = False) -> forms.BooleanField:
    """Return the box that asks for an approval instead of doing it."""
    widget = forms.HiddenInput() if hidden else UnfoldBooleanSwitchWidget()
    return forms.BooleanField(required=False, label=SECOND_PERSON, widget=widget)


@admin.register(BrokerAccount)
class AccountOnTheFloorAdmin(BrokerAccountAdmin, VerbPages):
    """Broker accounts with everything that can be done to one."""

    actions_detail = (
        "log_in",
        "rotate",
        {
            "title": "More",
            "items": [
                "validate",
                "fail_over",
                "restore",
                "halt",
                "reconcile",
                "flatten",
                "cordon",
                "uncordon",
                "log_out",
                "revoke",
            ],
        },
    )

    @action(description="Validate login", icon="verified_user", url_path="validate", permissions=["operate"])
    def validate(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Ask the broker whose login it is."""
        deed = Deed(
            title="Validate the login of",
            explanation="The broker is asked who the token belongs to. A dead token is forgotten, and the account "
            "waits for a login.",
            done="The login of {} works.",
            act=lambda row, **values: validate_login(account=row, sessions=request.kite, **values),  # type: ignore[attr-defined] # by the middleware
        )
        return self.perform(request, object_id, deed)

    @action(description="Fail over", icon="alt_route", url_path="fail-over", permissions=["operate"])
    def fail_over(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Move its data to other accounts."""
        return self._on(request, object_id, "fail_over")

    @action(description="Restore", icon="restart_alt", url_path="restore", permissions=["operate"])
    def restore(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Let it stream again."""
        return self._on(request, object_id, "restore")

    @action(description="Halt or reduce", icon="front_hand", url_path="halt", permissions=["operate"])
    def halt(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Stop its orders."""
        return self._on(request, object_id, "halt")

    @action(description="Read the books", icon="menu_book", url_path="reconcile", permissions=["operate"])
    def reconcile(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Compare its orders and trades with the broker's."""
        return self._on(request, object_id, "reconcile")

    @action(description="Flatten", icon="compress", url_path="flatten", permissions=["operate"])
    def flatten(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Close its positions."""
        return self._on(request, object_id, "flatten")

    def _on(self, request: HttpRequest, object_id: str, name: str) -> HttpResponse:
        account = self.get_object(request, object_id)
        if account is None:
            raise Http404
        return self.by_verb(request, name=name, target=account.label, back=self._page_of(account))


@admin.register(TradingHalt)
class HaltOnTheFloorAdmin(TradingHaltAdmin, VerbPages):
    """Halts, with the way in and the way out."""

    actions_list = ("halt_everything",)
    actions_detail = ("release",)

    @action(description="Halt all trading", icon="front_hand", url_path="engage", permissions=["operate"])
    def halt_everything(self, request: HttpRequest) -> HttpResponse:
        """Stop every order."""
        return self.by_verb(request, name="halt", target="", back=self._list())

    @action(description="Release", icon="play_arrow", url_path="release", permissions=["operate"])
    def release(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Let orders leave again."""
        return self.by_verb(request, name="resume", target=object_id, back=self._list())
