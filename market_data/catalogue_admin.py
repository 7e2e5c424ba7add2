"""Admin pages of the catalogue: contracts, what each load changed, and the quantities that exchanges freeze."""

from typing import Any

from django.contrib import admin
from django.db import transaction
from django.http import HttpRequest

from accounts.admin.editing import EditableAdmin
from market_data import freezes
from market_data.freezes import FreezeQuantity
from market_data.models import Instrument, InstrumentChange, InstrumentSync
from market_data.wish_admin import MarketAdmin


@admin.register(Instrument)
class InstrumentAdmin(MarketAdmin):
    """Contracts, listed and retired."""

    date_hierarchy = "expiry"
    list_display = (
        "tradingsymbol",
        "exchange",
        "name",
        "instrument_type",
        "expiry",
        "strike",
        "lot_size",
        "freeze_quantity",
        "listed",
    )
    list_filter = ("listed", "exchange", "instrument_type", "segment")
    search_fields = ("tradingsymbol", "name", "=instrument_token")
    ordering = ("exchange", "tradingsymbol")


@admin.register(InstrumentChange)
class InstrumentChangeAdmin(MarketAdmin):
    """What a daily load changed: new lots, new tick sizes."""

    list_display = ("changed_at", "instrument", "field", "was", "became")
    list_filter = ("field",)
    list_select_related = ("instrument",)
    search_fields = ("instrument__tradingsymbol",)
    date_hierarchy = "changed_at"
    ordering = ("-changed_at",)


@admin.register(InstrumentSync)
class InstrumentSyncAdmin(MarketAdmin):
    """What each daily load read and changed."""

    list_filter = ("finished_at",)
    search_fields = ("id",)
    list_display = ("finished_at", "read", "new", "changed", "lots", "ticks", "gone", "expired", "took_seconds")
    date_hierarchy = "finished_at"
    ordering = ("-finished_at",)


@admin.register(FreezeQuantity)
class FreezeQuantityAdmin(EditableAdmin):
    """The largest order an exchange takes without freezing it, by underlying."""

    view_scope = "market:read"
    list_display = ("name", "exchange", "quantity", "updated_at")
    list_filter = ("exchange",)
    search_fields = ("name",)
    date_hierarchy = "updated_at"
    ordering = ("exchange", "name")
    fields = (("exchange", "name"), "quantity")

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:  # noqa: FBT001 (Django's signature)
        """Carry the quantity to the contracts together with the change."""
        with transaction.atomic():
            super().save_model(request, obj, form, change)
            freezes.carry()
