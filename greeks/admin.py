"""Admin pages of the chain settings and the dated rates."""

from django.contrib import admin

from accounts.admin.editing import EditableAdmin
from greeks.models import ChainSetting, DividendSetting, RateSetting


@admin.register(ChainSetting)
class ChainSettingAdmin(EditableAdmin):
    """Which chains are live, and under which profile."""

    view_scope = "greeks:read"
    list_display = ("underlying", "exchange", "index_symbol", "expiries", "strikes_each_side", "profile", "enabled")
    list_filter = ("enabled", "exchange", "profile")
    search_fields = ("underlying", "index_symbol")
    ordering = ("underlying",)
    date_hierarchy = "changed_at"
    readonly_fields = ("changed_at",)


@admin.register(RateSetting)
class RateSettingAdmin(EditableAdmin):
    """Interest rates by the day they come into force."""

    view_scope = "greeks:read"
    list_display = ("effective_date", "rate", "source")
    list_filter = ("source",)
    search_fields = ("source",)
    ordering = ("-effective_date",)
    date_hierarchy = "effective_date"
    readonly_fields = ("changed_at",)
    deletable = True


@admin.register(DividendSetting)
class DividendSettingAdmin(EditableAdmin):
    """Dividend yields by underlying and day."""

    view_scope = "greeks:read"
    list_display = ("underlying", "effective_date", "annual_yield")
    list_filter = ("underlying",)
    search_fields = ("underlying",)
    ordering = ("underlying", "-effective_date")
    date_hierarchy = "effective_date"
    readonly_fields = ("changed_at",)
    deletable = True
