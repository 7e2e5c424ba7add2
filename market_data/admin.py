"""Admin pages of market data; all of it is read here and written by the platform."""

from django.contrib import admin

from accounts.admin.deeds import ScopedAdmin
from market_data.models import Candle, FeedGap, Instrument, InstrumentChange, Subscription


class MarketAdmin(ScopedAdmin):
    """A page for whoever may read market data."""

    view_scope = "market:read"
    show_full_result_count = False


@admin.register(Instrument)
class InstrumentAdmin(MarketAdmin):
    """Contracts, listed and retired."""

    list_display = ("tradingsymbol", "exchange", "name", "instrument_type", "expiry", "strike", "lot_size", "listed")
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


@admin.register(Subscription)
class SubscriptionAdmin(MarketAdmin):
    """Who wants what streamed, and why."""

    list_display = ("instrument", "mode", "wanted_by", "reason", "created_at", "expires_at")
    list_filter = ("mode", "wanted_by")
    list_select_related = ("instrument",)
    search_fields = ("instrument__tradingsymbol", "wanted_by", "reason")
    ordering = ("-created_at",)


@admin.register(Candle)
class CandleAdmin(MarketAdmin):
    """Minutes the recorder or the broker gave."""

    list_display = ("start_at", "instrument_token", "open", "high", "low", "close", "volume", "source")
    list_filter = ("source",)
    search_fields = ("=instrument_token",)
    ordering = ("-start_at",)


@admin.register(FeedGap)
class FeedGapAdmin(MarketAdmin):
    """Holes in the stream."""

    list_display = ("started_at", "ended_at", "account_label", "cause")
    list_filter = ("account_label", "cause")
    date_hierarchy = "started_at"
    ordering = ("-started_at",)
