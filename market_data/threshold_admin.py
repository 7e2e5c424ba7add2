"""Admin pages of the limits that market data is judged by; each change takes effect within half a minute."""

from typing import Any

from django.db.models import Model
from django.http import HttpRequest

from accounts.admin.editing import EditableAdmin, ReasonedForm

BOUNDS = ("share", "milliseconds", "pending", "skipped")


class PressureForm(ReasonedForm):
    """A level has all of its bounds."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        for name in BOUNDS:
            if name in self.fields:
                self.fields[name].required = True


class LimitAdmin(EditableAdmin):
    """One row for each thing that is judged, no more and no fewer."""

    view_scope = "market:read"

    def has_add_permission(self, request: HttpRequest) -> bool:
        """The rows there are, are all there can be."""
        return False


class StalenessLimitAdmin(LimitAdmin):
    """When a quote is stale, and whether clients are told."""

    list_display = ("quote_class", "seconds", "told")
    list_filter = ("told",)
    search_fields = ("quote_class",)
    ordering = ("seconds", "quote_class")
    fields = ("quote_class", "seconds", "told")
    readonly_fields = ("quote_class",)


class PressureLimitAdmin(LimitAdmin):
    """How much pressure each level stands for, and what it holds back."""

    form = PressureForm
    list_display = ("level", *BOUNDS, "whole_every")
    list_filter = ("level",)
    search_fields = ("level",)
    ordering = ("whole_every", "level")
    readonly_fields = ("level",)

    def get_fields(self, request: HttpRequest, obj: Model | None = None) -> Any:
        """What is worse than every bound has none itself."""
        bounds = () if obj is not None and str(obj) == "overload" else BOUNDS
        return ("level", *bounds, "whole_every")
