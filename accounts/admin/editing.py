"""Settings that people edit: with a reason, after a fresh proof of who is there, each change in the audit trail."""

from typing import Any

from django import forms
from django.contrib.admin.utils import flatten_fieldsets
from django.db import transaction
from django.db.models import Model
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from unfold.widgets import UnfoldAdminTextInputWidget

from accounts.admin.deeds import ScopedAdmin, confirm_first, may, person
from accounts.audit import record
from accounts.fields import SealedField
from accounts.gate import sign_in_of
from accounts.sign_ins import is_fresh

SEALED = "(sealed)"


class ReasonedForm(forms.ModelForm[Any]):
    """A form that asks why."""

    reason = forms.CharField(
        max_length=200, help_text="Kept in the audit trail.", widget=UnfoldAdminTextInputWidget(attrs={})
    )


class ConfirmedAdmin(ScopedAdmin):
    """A page that asks once more who is there before it changes something."""

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """Ask once more who is there before something is changed."""
        if request.method == "POST" and not is_fresh(sign_in_of(request), now=timezone.now()):
            return confirm_first(request)
        shown: HttpResponse = super().changeform_view(request, object_id, form_url, extra_context)
        return shown

    def delete_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Ask once more who is there before something goes."""
        if request.method == "POST" and not is_fresh(sign_in_of(request), now=timezone.now()):
            return confirm_first(request)
        shown: HttpResponse = super().delete_view(request, object_id, extra_context)
        return shown


class EditableAdmin(ConfirmedAdmin):
    """A page that people with the scope may edit; everybody else with the right to look reads it."""

    form = ReasonedForm
    edit_scope = "ops:write"
    deletable = False

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Say whether the caller may add a row."""
        return may(request, self.edit_scope)

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Say whether the caller may change a row."""
        return may(request, self.edit_scope)

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Say whether the caller may delete a row."""
        return self.deletable and may(request, self.edit_scope)

    def get_fields(self, request: HttpRequest, obj: Model | None = None) -> Any:
        """Leave the reason to the fieldsets: who only reads has none to give."""
        return [name for name in super().get_fields(request, obj) if name != "reason"]

    def get_fieldsets(self, request: HttpRequest, obj: Model | None = None) -> Any:
        """Put the reason last."""
        sets = super().get_fieldsets(request, obj)
        allowed = self.has_add_permission(request) if obj is None else self.has_change_permission(request, obj)
        if not allowed or "reason" in flatten_fieldsets(sets):
            return sets
        return [*sets, ("Why", {"fields": ("reason",)})]

    def get_actions(self, request: HttpRequest) -> Any:
        """Leave out deleting many at once, which asks for nothing."""
        actions = super().get_actions(request)
        actions.pop("delete_selected", None)
        return actions

    def save_model(self, request: HttpRequest, obj: Model, form: forms.ModelForm[Any], change: bool) -> None:  # noqa: FBT001 (Django's signature)
        """Store the row together with who changed what, and why."""
        with transaction.atomic():
            super().save_model(request, obj, form, change)
            detail = {name: _shown(obj, form, name) for name in form.changed_data if name != "reason"}
            self._record(request, obj, "changed" if change else "added", form.cleaned_data["reason"], detail)

    def delete_model(self, request: HttpRequest, obj: Model) -> None:
        """Delete the row together with who did it."""
        with transaction.atomic():
            self._record(request, obj, "deleted", "", {})
            super().delete_model(request, obj)

    def _record(self, request: HttpRequest, row: Model, what: str, reason: str, detail: dict[str, str]) -> None:
        record(
            actor=person(request).label,
            action=f"{self.opts.app_label}.{self.opts.model_name}.{what}",
            subject=f"{self.opts.model_name}:{row}"[:120],
            reason=reason,
            detail=detail,
            now=timezone.now(),
        )


def _shown(row: Model, form: forms.ModelForm[Any], name: str) -> str:
    """Return the new value in words; of what is sealed, that it was changed."""
    sealed = {field.name for field in row._meta.concrete_fields if isinstance(field, SealedField)}  # noqa: SLF001
    return SEALED if name in sealed or name.startswith("new_") else str(form.cleaned_data[name])
