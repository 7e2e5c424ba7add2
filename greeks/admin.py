"""Admin pages of the chain settings and the dated rates."""

from django.contrib import admin
from unfold.admin import ModelAdmin

from greeks.models import ChainSetting, DividendSetting, RateSetting


@admin.register(ChainSetting)
class ChainSettingAdmin(ModelAdmin):
    """Which chains are live, and under which profile."""

    list_display = ("underlying", "exchange", "index_symbol", "expiries", "strikes_each_side", "profile", "enabled")
    list_editable = ("enabled",)
    list_filter = ("enabled", "exchange", "profile")
    search_fields = ("underlying",)
    ordering = ("underlying",)
    readonly_fields = ("changed_at",)


@admin.register(RateSetting)
class RateSettingAdmin(ModelAdmin):
    """Interest rates by the day they come into force."""

    list_display = ("effective_date", "rate", "source")
    ordering = ("-effective_date",)
    readonly_fields = ("changed_at",)


@admin.register(DividendSetting)
class DividendSettingAdmin(ModelAdmin):
    """Dividend yields by underlying and day."""

    list_display = ("underlying", "effective_date", "annual_yield")
    list_filter = ("underlying",)
    ordering = ("underlying", "-effective_date")
    readonly_fields = ("changed_at",)
