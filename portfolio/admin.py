"""Admin pages of the portfolio: for reading."""

from typing import ClassVar

from django.contrib import admin
from unfold.decorators import display

from accounts.admin.deeds import ScopedAdmin
from orders.admin import ReadOnly
from portfolio.models import Instruction, Reading

COLOURS = {"done": "success", "sending": "info", "unknown": "danger", "refused": "warning", "not_done": "warning"}


@admin.register(Instruction)
class InstructionAdmin(ReadOnly, ScopedAdmin):
    """Conversions and fund instructions."""

    account_path = "account"

    list_display = ("created_at", "account", "kind", "shown_state", "broker_id", "reason", "client")
    list_filter = ("state", "kind", "account")
    search_fields = ("id", "broker_id", "client", "idempotency_key")
    date_hierarchy = "created_at"
    list_select_related = ("account",)
    ordering = ("-created_at",)

    @display(description="state", ordering="state", label=COLOURS)
    def shown_state(self, row: Instruction) -> str:
        """Return the state, coloured."""
        return row.state


@admin.register(Reading)
class ReadingAdmin(ReadOnly, ScopedAdmin):
    """What was last read of each account."""

    account_path = "account"

    list_display = ("account", "kind", "read_at")
    list_filter = ("kind", "account")
    search_fields = ("account__label",)
    date_hierarchy = "read_at"
    list_select_related = ("account",)
    ordering: ClassVar[tuple[str, ...]] = ("account__label", "kind")
