"""Pages for reading, and deeds: changes of one row, each asked for by a form that wants a reason."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from django import forms
from django.contrib import messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.core.exceptions import PermissionDenied
from django.db.models import Model, Q, QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from unfold.admin import ModelAdmin
from unfold.widgets import UnfoldAdminTextInputWidget, UnfoldBooleanSwitchWidget

from accounts.approvals import MAY_APPROVE
from accounts.errors import PlatformError
from accounts.gate import sign_in_of
from accounts.models import User
from accounts.queries import Principal, principal_of
from accounts.sign_ins import is_fresh
from kite.errors import KiteError

ASKED = "A second person was asked: it waits among the approvals."


class ReasonForm(forms.Form):
    """Every deed has a reason."""

    reason = forms.CharField(max_length=200, widget=UnfoldAdminTextInputWidget())


class ByTwoForm(ReasonForm):
    """A deed that needs a second person."""

    ask = forms.BooleanField(
        required=False,
        label="Ask a second person",
        help_text="Tick it the first time. Once somebody has approved it, do it again without.",
        widget=UnfoldBooleanSwitchWidget(),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Deed:
    """A change of one row, asked for on a page of its own; `ask` asks a second person to approve it."""

    title: str
    explanation: str
    done: str
    act: Callable[..., object]
    form: type[forms.Form] = ReasonForm
    variant: str = "primary"
    stepped_up: bool = False
    ask: Callable[..., object] | None = None
    # A deed that removes its row leads back to the list.
    after: str = "row"


class ScopedAdmin(ModelAdmin):
    """A page for reading, open to staff whose role holds the scope."""

    view_scope = "accounts:read"
    # Where a row says whose it is; rows of nobody's account are everybody's.
    account_path = ""

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Return the rows about accounts that the caller may see."""
        rows: QuerySet[Any] = super().get_queryset(request)
        account_ids = person(request).account_ids if self.account_path else None
        if account_ids is None:
            return rows
        mine = Q(**{f"{self.account_path}__in": account_ids}) | Q(**{f"{self.account_path}__isnull": True})
        return rows.filter(mine)

    def has_module_permission(self, request: HttpRequest) -> bool:
        """Show the section to who may read it."""
        return self.has_view_permission(request)

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Say whether the caller may read the page."""
        return may(request, self.view_scope)

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Rows are made by the platform."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Rows are changed by deeds."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Rows stay."""
        return False

    def has_rotate_permission(self, request: HttpRequest, obj: object = None) -> bool:
        """Say whether the caller may change secrets."""
        return may(request, "accounts:write")

    def has_approve_permission(self, request: HttpRequest, obj: object = None) -> bool:
        """Say whether the caller may approve what others ask for."""
        return may(request, MAY_APPROVE)

    def has_operate_permission(self, request: HttpRequest, obj: object = None) -> bool:
        """Say whether the caller may run the desk."""
        return may(request, "ops:write")

    def perform(self, request: HttpRequest, object_id: str, deed: Deed) -> HttpResponse:
        """Ask for the deed's form, then do it; a dangerous one first asks once more who is there."""
        if deed.stepped_up and not is_fresh(sign_in_of(request), now=timezone.now()):
            return confirm_first(request)
        row = self.get_object(request, object_id)
        if row is None:
            raise Http404
        return self._ask(request, row, deed, back=self._page_of(row))

    def perform_for_all(self, request: HttpRequest, deed: Deed) -> HttpResponse:
        """Do a deed that is about no row of the list; its verbs are given None."""
        if deed.stepped_up and not is_fresh(sign_in_of(request), now=timezone.now()):
            return confirm_first(request)
        return self._ask(request, None, deed, back=self._list())

    def perform_for_many(
        self, request: HttpRequest, rows: QuerySet[Any], deed: Deed, *, name: str, touches: str
    ) -> HttpResponse | None:
        """Ask for the deed's form, then do it to each row that was chosen; rows that refuse are named.

        `name` is the action's in the list, `touches` what the rows are; the deed's `done` takes their number.
        """
        form = deed.form(request.POST if "reason" in request.POST else None)
        if not form.is_valid():
            hidden = [("action", name), *((ACTION_CHECKBOX_NAME, str(row.pk)) for row in rows)]
            shown = {"title": deed.title, "touches": [{"count": len(rows), "what": touches}], "hidden": hidden}
            return self._form_page(request, form, deed, back=self._list(), **shown)
        done = 0
        for row in rows:
            try:
                deed.act(row, actor=person(request).label, now=timezone.now(), **form.cleaned_data)
            except (PlatformError, KiteError) as error:
                messages.warning(request, f"{row}: {error}")
                continue
            done += 1
        messages.success(request, deed.done.format(done))
        return None

    def _ask(self, request: HttpRequest, row: Model | None, deed: Deed, *, back: str) -> HttpResponse:
        form = deed.form(request.POST or None)
        if request.method == "POST" and form.is_valid() and self._done(request, row, form, deed):
            return redirect(back if deed.after == "row" else self._list())
        title = deed.title if row is None else f"{deed.title} {row}"
        return self._form_page(request, form, deed, back=back, title=title)

    def _form_page(
        self, request: HttpRequest, form: forms.Form, deed: Deed, *, back: str, **shown: Any
    ) -> HttpResponse:
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "explanation": deed.explanation,
            "form": form,
            "variant": deed.variant,
            "back": back,
            **shown,
        }
        return TemplateResponse(request, "accounts/deed.html", context)

    def _done(self, request: HttpRequest, row: Model | None, form: forms.Form, deed: Deed) -> bool:
        values, now = dict(form.cleaned_data), timezone.now()
        asking = values.pop("ask", False) and deed.ask is not None
        try:
            if asking and deed.ask is not None:
                deed.ask(row, by=person(request), now=now, **values)
            else:
                deed.act(row, actor=person(request).label, now=now, **values)
        except (PlatformError, KiteError) as error:
            form.add_error(None, str(error))
            return False
        messages.success(request, ASKED if asking else deed.done.format(row))
        return True

    def _list(self) -> str:
        return reverse(f"admin:{self.opts.app_label}_{self.opts.model_name}_changelist")

    def _page_of(self, row: Model) -> str:
        return reverse(f"admin:{self.opts.app_label}_{self.opts.model_name}_change", args=[row.pk])


def confirm_first(request: HttpRequest) -> HttpResponse:
    """Send the person to prove who they are, and back."""
    return redirect(f"{reverse('confirm')}?{urlencode({'next': request.get_full_path()})}")


def person(request: HttpRequest) -> Principal:
    """Return the principal of the person at the panel."""
    if not isinstance(request.user, User):
        raise PermissionDenied
    return principal_of(request.user)


def may(request: HttpRequest, scope: str) -> bool:
    """Say whether the person at the panel holds the scope."""
    return isinstance(request.user, User) and request.user.is_active and principal_of(request.user).may(scope)
