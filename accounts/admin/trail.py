"""Admin pages of what happened: the audit trail and the halts."""

from django.contrib import admin

from accounts.admin.deeds import ScopedAdmin
from accounts.models import AuditEntry, TradingHalt


@admin.register(AuditEntry)
class AuditEntryAdmin(ScopedAdmin):
    """Who did what, and why."""

    list_display = ("at", "actor", "action", "subject", "reason")
    list_filter = ("action", "at")
    search_fields = ("actor", "action", "subject", "reason")
    ordering = ("-at", "-id")
    date_hierarchy = "at"
    show_full_result_count = False


@admin.register(TradingHalt)
class TradingHaltAdmin(ScopedAdmin):
    """Halts, open and past."""

    view_scope = "ops:read"
    date_hierarchy = "engaged_at"
    list_display = ("level", "scope", "target", "reason", "engaged_by", "engaged_at", "released_by", "released_at")
    list_filter = ("scope", "level", "released_at")
    search_fields = ("target", "reason", "engaged_by")
    ordering = ("-engaged_at",)
