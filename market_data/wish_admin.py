"""Admin pages of wishes: what is streamed, saved lists and chain windows, each changed by one verb of its module."""

from collections.abc import Iterable
from typing import Any, ClassVar

from django import forms
from django.contrib import messages
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.utils import timezone
from unfold.widgets import UnfoldAdminTextareaWidget

from accounts.admin.deeds import ScopedAdmin, may, person
from accounts.audit import record
from accounts.errors import PlatformError
from kite.types import Mode
from market_data import lists, subscriptions, windows
from market_data.asking import Asked, resolve_all
from market_data.models import ChainWindow, Instrument, InstrumentList, Subscription

WRITE = "market:write"
TERMS = ("strikes", "expiries", "mode", "hysteresis", "reason")


class MarketAdmin(ScopedAdmin):
    """A page for whoever may read market data."""

    view_scope = "market:read"
    show_full_result_count = False


class NamesField(forms.CharField):
    """Instruments as a person lists them: NSE:INFY or an alias, one on a line or with commas."""

    widget = UnfoldAdminTextareaWidget

    def clean(self, value: Any) -> list[Instrument]:
        """Return the instruments, or say which name means nothing."""
        names = [name.strip() for line in super().clean(value).splitlines() for name in line.split(",")]
        try:
            return resolve_all(Asked(keys=[name for name in names if name]))
        except PlatformError as error:
            raise forms.ValidationError(str(error)) from error


class WishForm(forms.ModelForm[Subscription]):
    """Many instruments wanted at once."""

    instruments = NamesField(help_text="NSE:INFY or INFY, one on a line")

    class Meta:
        model = Subscription
        fields = ("mode", "reason")


class ListForm(forms.ModelForm[InstrumentList]):
    """A list with its instruments as text."""

    instruments = NamesField(help_text="NSE:INFY or INFY, one on a line")

    class Meta:
        model = InstrumentList
        fields = ("name", "description", "stream")
        help_texts: ClassVar[dict[str, str]] = {"stream": "a mode: the whole list is streamed"}

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        if self.instance.pk:
            rows = self.instance.entries.select_related("instrument").order_by("instrument__tradingsymbol")
            self.initial["instruments"] = "\n".join(str(row.instrument) for row in rows)


class WritableAdmin(MarketAdmin):
    """A page whose rows come and go by verbs; the audit says who used them."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Whoever may write market data may wish."""
        return may(request, WRITE)

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Whoever may write market data may change a wish."""
        return may(request, WRITE)

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Whoever may write market data may end a wish."""
        return may(request, WRITE)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        """End them one by one, as the page does."""
        for row in queryset:
            self.delete_model(request, row)

    def note(self, request: HttpRequest, action: str, subject: str, **detail: object) -> None:
        """Keep who did it."""
        record(
            actor=person(request).label,
            action=f"market_data.{action}",
            subject=subject[:200],
            detail=detail,
            now=timezone.now(),
        )


class SubscriptionAdmin(WritableAdmin):
    """Who wants what streamed, and why."""

    form = WishForm
    date_hierarchy = "created_at"
    list_display = ("instrument", "mode", "wanted_by", "reason", "created_at", "expires_at")
    list_filter = ("mode", "wanted_by")
    list_select_related = ("instrument",)
    search_fields = ("instrument__tradingsymbol", "wanted_by", "reason")
    ordering = ("-created_at",)

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """A wish is made again, not edited."""
        return False

    def save_model(self, request: HttpRequest, obj: Subscription, form: forms.ModelForm[Any], change: bool) -> None:  # noqa: FBT001 (Django's signature)
        """Want them for the person at the panel; the page goes on with the first."""
        wanted: list[Instrument] = form.cleaned_data["instruments"]
        obj.wanted_by = f"admin:{person(request).label}"
        created = subscriptions.wish(
            instruments=wanted, mode=Mode(obj.mode), wanted_by=obj.wanted_by, reason=obj.reason, now=timezone.now()
        )
        first = Subscription.objects.get(instrument=wanted[0], wanted_by=obj.wanted_by)
        obj.pk, obj.instrument = first.pk, first.instrument
        self.note(request, "subscription.wished", obj.wanted_by, instruments=len(wanted), new=created, mode=obj.mode)
        messages.info(request, f"{len(wanted)} instruments wanted, {created} of them new")

    def delete_model(self, request: HttpRequest, obj: Subscription) -> None:
        """End somebody's wish for one instrument."""
        subscriptions.unwish(instruments=[obj.instrument], wanted_by=obj.wanted_by)
        self.note(request, "subscription.ended", obj.wanted_by, instrument=str(obj.instrument))


class InstrumentListAdmin(WritableAdmin):
    """Saved lists; one with a mode is streamed as a whole."""

    form = ListForm
    date_hierarchy = "saved_at"
    list_filter = ("stream", "saved_by")
    list_display = ("name", "description", "stream", "saved_by", "saved_at")
    search_fields = ("name", "description")
    ordering = ("name",)

    def get_readonly_fields(self, request: HttpRequest, obj: Model | None = None) -> Iterable[str]:
        """A list keeps its name: wishes and programs go by it."""
        return ("name",) if obj is not None else ()

    def save_model(self, request: HttpRequest, obj: InstrumentList, form: forms.ModelForm[Any], change: bool) -> None:  # noqa: FBT001 (Django's signature)
        """Save the list and hold its wishes equal to it."""
        wanted: list[Instrument] = form.cleaned_data["instruments"]
        saved = lists.save(
            name=obj.name,
            instruments=wanted,
            stream=Mode(obj.stream) if obj.stream else None,
            description=obj.description,
            saved_by=person(request).label,
            now=timezone.now(),
        )
        obj.pk = saved.pk
        self.note(request, "list.saved", obj.name, instruments=len(wanted), stream=obj.stream)

    def delete_model(self, request: HttpRequest, obj: InstrumentList) -> None:
        """Forget the list and end its wishes."""
        lists.drop(name=obj.name)
        self.note(request, "list.dropped", obj.name)


class ChainWindowAdmin(WritableAdmin):
    """Strikes around a price, wherever it goes."""

    fields = ("underlying", *TERMS)
    date_hierarchy = "moved_at"
    search_fields = ("underlying", "wanted_by", "reason")
    list_display = ("underlying", "strikes", "expiries", "mode", "wanted_by", "reason", "center", "moved_at", "fault")
    list_filter = ("underlying", "wanted_by")
    ordering = ("underlying", "wanted_by")

    def get_readonly_fields(self, request: HttpRequest, obj: Model | None = None) -> Iterable[str]:
        """A window keeps its underlying."""
        return ("underlying",) if obj is not None else ()

    def save_model(self, request: HttpRequest, obj: ChainWindow, form: forms.ModelForm[Any], change: bool) -> None:  # noqa: FBT001 (Django's signature)
        """Make or change the window and move it at once."""
        saved = windows.save(
            underlying=obj.underlying,
            wanted_by=obj.wanted_by or f"admin:{person(request).label}",
            terms={name: getattr(obj, name) for name in TERMS},
            now=timezone.now(),
        )
        obj.pk, obj.center = saved.pk, saved.center
        self.note(request, "window.saved", str(saved), mode=saved.mode, expiries=saved.expiries)

    def delete_model(self, request: HttpRequest, obj: ChainWindow) -> None:
        """End the window and its wishes."""
        windows.drop(underlying=obj.underlying, wanted_by=obj.wanted_by)
        self.note(request, "window.dropped", str(obj))
