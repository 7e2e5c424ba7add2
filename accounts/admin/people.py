"""Admin pages of people, programs and their keys."""

from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin as BaseGroupAdmin
from django.contrib.auth.admin import UserAdmin as BaseUserAdmin
from django.contrib.auth.models import Group
from django.db.models import Model
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from unfold.admin import ModelAdmin
from unfold.decorators import action, display
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm

from accounts.admin.deeds import Deed, ScopedAdmin, person
from accounts.audit import record
from accounts.authentication import revoke_api_key
from accounts.models import ApiKey, User


@admin.register(ApiKey)
class ApiKeyAdmin(ScopedAdmin):
    """Keys of programs; the secret part is not stored."""

    list_display = ("name", "prefix", "user", "shown_scopes", "expires_at", "revoked_at", "last_used_at")
    list_filter = ("user", "expires_at", "revoked_at")
    list_select_related = ("user",)
    search_fields = ("name", "prefix", "user__username")
    ordering = ("-created_at",)
    fields = (
        "name",
        "prefix",
        "user",
        "shown_scopes",
        ("every_account", "accounts"),
        ("created_at", "expires_at", "revoked_at", "last_used_at"),
    )
    readonly_fields = ("shown_scopes",)
    actions_detail = ("revoke",)

    @display(description="scopes")
    def shown_scopes(self, key: ApiKey) -> str:
        """The scopes in one line."""
        return ", ".join(key.scopes)

    @action(description="Revoke", icon="key_off", url_path="revoke", permissions=["rotate"])
    def revoke(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """End the key."""
        deed = Deed(
            title="Revoke the API key",
            explanation="The next request with it is refused.",
            done="{} is revoked.",
            act=lambda row, **values: revoke_api_key(prefix=row.prefix, **values),
            variant="danger",
        )
        return self.perform(request, object_id, deed)


@admin.register(User)
class UserAdmin(BaseUserAdmin[User], ModelAdmin):
    """People and programs, their role and their accounts."""

    form = UserChangeForm
    add_form = UserCreationForm
    change_password_form = AdminPasswordChangeForm
    list_display = ("username", "role", "every_account", "is_staff", "is_superuser", "is_active", "last_login")
    list_filter = ("role", "is_staff", "is_superuser", "is_active")
    filter_horizontal = ("accounts",)
    fieldsets = (
        (None, {"fields": ("username", "password")}),
        ("Person", {"fields": (("first_name", "last_name"), "email")}),
        ("Rights", {"fields": ("role", "every_account", "accounts", ("is_active", "is_staff", "is_superuser"))}),
        ("Dates", {"fields": (("last_login", "date_joined"),)}),
    )
    readonly_fields = ("last_login", "date_joined")

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """People who did something stay on record: make them inactive instead."""
        return False

    def save_model(self, request: HttpRequest, obj: User, form: forms.ModelForm[Any], change: bool) -> None:  # noqa: FBT001
        """Keep the change of rights and who made it together."""
        super().save_model(request, obj, form, change)
        shown = set(form.changed_data) - {"password", "password1", "password2"}
        record(
            actor=person(request).label,
            action="accounts.user.changed" if change else "accounts.user.added",
            subject=f"user:{obj.username}",
            detail={name: str(form.cleaned_data[name]) for name in sorted(shown)},
            now=timezone.now(),
        )


admin.site.unregister(Group)


@admin.register(Group)
class GroupAdmin(BaseGroupAdmin, ModelAdmin):
    """Django's groups, for permissions outside of the roles."""
