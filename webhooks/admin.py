"""Admin pages of the webhooks: who is told, and the log of how it went."""

from datetime import datetime
from typing import Any, ClassVar

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from unfold.admin import ModelAdmin, TabularInline
from unfold.decorators import action, display

from accounts.admin.deeds import Deed, ScopedAdmin
from accounts.audit import record, required
from accounts.models import User
from accounts.queries import Principal, principal_of
from webhooks import delivery, tasks
from webhooks.models import Attempt, Delivery, Endpoint
from webhooks.queries import visible_deliveries, visible_endpoints

COLOURS = {"delivered": "success", "waiting": "info", "sending": "info", "dead": "danger"}


def _principal(request: HttpRequest) -> Principal:
    if not isinstance(request.user, User):
        raise PermissionDenied
    return principal_of(request.user)


def _may(request: HttpRequest, scope: str) -> bool:
    return isinstance(request.user, User) and _principal(request).may(scope)


class ReadOnly:
    """Nobody adds, changes or deletes these rows by hand."""

    def has_view_permission(self, request: HttpRequest, *_: Any, **__: Any) -> bool:
        """Show the rows to who may read orders."""
        return _may(request, "orders:read")

    def has_module_permission(self, request: HttpRequest) -> bool:
        """Show the section to who may read orders."""
        return self.has_view_permission(request)

    def has_add_permission(self, *_: Any, **__: Any) -> bool:
        """Refuse."""
        return False

    def has_change_permission(self, *_: Any, **__: Any) -> bool:
        """Refuse."""
        return False

    def has_delete_permission(self, *_: Any, **__: Any) -> bool:
        """Refuse."""
        return False


@admin.register(Endpoint)
class EndpointAdmin(ReadOnly, ModelAdmin):
    """Endpoints; they are kept through the API, which takes a secret and never shows it."""

    search_fields = ("url", "description", "owner__username")
    date_hierarchy = "created_at"
    list_display = ("url", "owner", "kinds", "state", "failures", "rests_until", "created_at")
    list_filter = ("state",)
    list_select_related = ("owner",)
    ordering = ("created_at",)
    fields = ("url", "description", "owner", "kinds", "every_account", "accounts", "state", "state_reason", "failures")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Endpoint]:
        """Return the endpoints the caller may see."""
        rows: QuerySet[Endpoint] = super().get_queryset(request)
        return rows.filter(pk__in=visible_endpoints(_principal(request)))


class AttemptInline(ReadOnly, TabularInline):
    """Every try."""

    model = Attempt
    fields = ("number", "at", "address", "status", "milliseconds", "answer", "error")
    readonly_fields = fields
    ordering = ("id",)
    extra = 0


@admin.register(Delivery)
class DeliveryAdmin(ReadOnly, ScopedAdmin):
    """The log of deliveries, newest first."""

    date_hierarchy = "created_at"
    list_display = ("created_at", "endpoint", "kind", "account", "shown_state", "attempts", "next_at", "reason")
    list_filter = ("state", "endpoint")
    search_fields = ("id", "message__id", "message__kind")
    list_select_related = ("endpoint", "message", "message__account")
    ordering = ("-created_at",)
    show_full_result_count = False
    inlines = (AttemptInline,)
    actions: ClassVar[list[str]] = ["replay"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Delivery]:
        """Return the deliveries the caller may see."""
        rows: QuerySet[Delivery] = super().get_queryset(request)
        return rows.filter(pk__in=visible_deliveries(_principal(request)).order_by())

    def has_send_permission(self, request: HttpRequest) -> bool:
        """Say whether the caller may send again."""
        return _may(request, "ops:write")

    @display(description="Kind")
    def kind(self, row: Delivery) -> str:
        """Show what is told."""
        return row.message.kind

    @display(description="Account")
    def account(self, row: Delivery) -> str:
        """Show whose event it is."""
        return str(row.message.account or "")

    @display(description="State", label=COLOURS)
    def shown_state(self, row: Delivery) -> str:
        """Show the state in colour."""
        return row.state

    @action(description="Send again", permissions=["send"])
    def replay(self, request: HttpRequest, rows: QuerySet[Delivery]) -> HttpResponse | None:
        """Ask why, then send the chosen messages again under their ids."""
        deed = Deed(
            title=f"Send {len(rows)} messages again",
            explanation="Each goes to its webhook under the same id, with a fresh series of attempts. A receiver that "
            "keeps ids sees that it had it.",
            done="{} deliveries are on their way.",
            act=send_again,
        )
        return self.perform_for_many(request, rows, deed, name="replay", touches="deliveries are sent again")


def send_again(row: Delivery, *, actor: str, reason: str, now: datetime) -> None:
    """Send a message again and keep who wanted it, and why; raises NotReplayable."""
    with transaction.atomic():
        delivery.replay(delivery=row, now=now)
        record(
            actor=actor,
            action="webhooks.delivery.replayed",
            subject=f"delivery:{row.pk}",
            reason=required(reason),
            now=now,
        )
        transaction.on_commit(lambda: tasks.knock(row.pk))
