"""What a person types to prove who they are."""

from typing import ClassVar

from django import forms
from unfold.widgets import UnfoldAdminPasswordWidget, UnfoldAdminTextInputWidget

LONGEST_CODE = 40


class CodeForm(forms.Form):
    """A code of the app, or one of the codes kept for when it is lost."""

    code = forms.CharField(
        max_length=LONGEST_CODE,
        label="Code",
        widget=UnfoldAdminTextInputWidget(
            attrs={"autocomplete": "one-time-code", "autofocus": "", "spellcheck": "false"}
        ),
    )


class ConfirmForm(forms.Form):
    """A code or the password."""

    code = forms.CharField(
        max_length=LONGEST_CODE,
        required=False,
        label="Code of the app",
        widget=UnfoldAdminTextInputWidget(
            attrs={"autocomplete": "one-time-code", "autofocus": "", "spellcheck": "false"}
        ),
    )
    password = forms.CharField(
        max_length=128,
        required=False,
        label="or your password",
        widget=UnfoldAdminPasswordWidget(attrs={"autocomplete": "current-password"}),
    )
    error_messages: ClassVar[dict[str, str]] = {"neither": "enter a code or your password"}

    def clean(self) -> dict[str, object]:
        """Want one of the two."""
        cleaned: dict[str, object] = super().clean() or {}
        if not cleaned.get("code") and not cleaned.get("password"):
            raise forms.ValidationError(self.error_messages["neither"])
        return cleaned
