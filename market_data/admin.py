"""Admin pages of market data; all of it is read here and written by the platform, the odd trading days excepted."""

from typing import Any, ClassVar

from django import forms
from django.contrib import admin
from django.db.models import Model
from django.http import HttpRequest
from django.utils import timezone

from accounts.admin.deeds import may, person
from accounts.admin.editing import ConfirmedAdmin
from accounts.audit import record
from market_data import catalogue_admin  # noqa: F401 (importing it registers its pages)
from market_data.calendar import EXCHANGES
from market_data.models import (
    Candle,
    ChainWindow,
    FeedGap,
    InstrumentList,
    MarketDay,
    Subscription,
)
from market_data.threshold_admin import PressureLimitAdmin, StalenessLimitAdmin
from market_data.thresholds import PressureLimit, StalenessLimit
from market_data.wish_admin import ChainWindowAdmin, InstrumentListAdmin, MarketAdmin, SubscriptionAdmin

admin.site.register(Subscription, SubscriptionAdmin)
admin.site.register(InstrumentList, InstrumentListAdmin)
admin.site.register(ChainWindow, ChainWindowAdmin)
admin.site.register(StalenessLimit, StalenessLimitAdmin)
admin.site.register(PressureLimit, PressureLimitAdmin)


@admin.register(Candle)
class CandleAdmin(MarketAdmin):
    """Minutes the recorder or the broker gave."""

    date_hierarchy = "start_at"
    list_display = ("start_at", "instrument_token", "open", "high", "low", "close", "volume", "source")
    list_filter = ("source",)
    search_fields = ("=instrument_token",)
    ordering = ("-start_at",)


@admin.register(FeedGap)
class FeedGapAdmin(MarketAdmin):
    """Holes in the stream."""

    search_fields = ("account_label", "cause")
    list_display = ("started_at", "ended_at", "account_label", "cause", "filled_at", "filled_minutes")
    list_filter = ("account_label", "cause")
    date_hierarchy = "started_at"
    ordering = ("-started_at",)


class MarketDayForm(forms.ModelForm[MarketDay]):
    """Exchanges as boxes to tick."""

    exchanges = forms.MultipleChoiceField(
        choices=[(name, name) for name in EXCHANGES], widget=forms.CheckboxSelectMultiple
    )

    class Meta:
        model = MarketDay
        fields = ("day", "name", "exchanges", "opens", "closes", "confirmed")
        help_texts: ClassVar[dict[str, str]] = {
            "opens": "IST; empty: the exchanges are shut",
            "closes": "IST; empty: at the usual time",
        }


@admin.register(MarketDay)
class MarketDayAdmin(ConfirmedAdmin, MarketAdmin):
    """Holidays and special sessions; what is written here wins over what is loaded."""

    form = MarketDayForm
    list_display = ("day", "name", "exchanges", "opens", "closes", "confirmed", "source")
    list_filter = ("source", "confirmed")
    search_fields = ("name",)
    date_hierarchy = "day"
    ordering = ("-day", "name")

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Whoever runs the desk may write a day."""
        return may(request, "ops:write")

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Whoever runs the desk may change a day."""
        return may(request, "ops:write")

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Only what an operator wrote can go: what was loaded would come back."""
        written = obj is None or (isinstance(obj, MarketDay) and obj.source == MarketDay.Source.OPERATOR)
        return written and may(request, "ops:write")

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        """Days are deleted one by one, on their page."""
        return {name: entry for name, entry in super().get_actions(request).items() if name != "delete_selected"}

    def save_model(self, request: HttpRequest, obj: MarketDay, form: forms.ModelForm[Any], change: bool) -> None:  # noqa: FBT001 (Django's signature)
        """A day that an operator changed is the operator's."""
        obj.source = MarketDay.Source.OPERATOR
        super().save_model(request, obj, form, change)
        self._record(request, "market_data.market_day.written", obj)

    def delete_model(self, request: HttpRequest, obj: MarketDay) -> None:
        """Keep who deleted it."""
        self._record(request, "market_data.market_day.deleted", obj)
        super().delete_model(request, obj)

    def _record(self, request: HttpRequest, action: str, row: MarketDay) -> None:
        hours = f"{row.opens} to {row.closes or 'the usual close'}" if row.opens else "shut"
        record(
            actor=person(request).label,
            action=action,
            subject=f"market_day:{row.day}",
            detail={"name": row.name, "exchanges": row.exchanges, "hours": hours, "confirmed": row.confirmed},
            now=timezone.now(),
        )
