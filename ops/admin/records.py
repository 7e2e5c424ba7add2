"""Read-only pages of what has none of its own: each model of the platform can be looked at by somebody."""

from collections.abc import Sequence
from typing import NamedTuple

from django.contrib import admin
from django.db.models import Model

from accounts.addresses import EgressCheck, RegisteredAddress
from accounts.admin.deeds import ScopedAdmin
from greeks.models import ChainMinute, UnderlyingMinute
from market_data.models import CandleSpan, FeedShard, RecorderCursor
from ops.stops import HaltReport
from orders.models import OrderCommand, OrderEvent
from orders.parents import OrderGroup, Trigger, TriggerWrite
from webhooks.models import Attempt, Message


class Record(NamedTuple):
    """How the rows of a model are shown."""

    model: type[Model]
    scope: str
    shown: Sequence[str]
    filters: Sequence[str]
    searched: Sequence[str]
    dated: str | None
    account_path: str = ""


RECORDS = (
    Record(
        EgressCheck,
        "accounts:read",
        ("at", "account", "verdict", "observed", "why"),
        ("verdict", "day", "account"),
        ("account__label", "why"),
        "at",
        "account",
    ),
    Record(
        RegisteredAddress,
        "accounts:read",
        ("account", "address", "registered_by", "registered_at"),
        ("account",),
        ("account__label", "registered_by"),
        "registered_at",
        "account",
    ),
    Record(
        ChainMinute,
        "greeks:read",
        ("minute_at", "underlying", "expiry", "spot", "forward", "atm_iv", "priced", "unpriced"),
        ("underlying", "profile"),
        ("underlying",),
        "minute_at",
    ),
    Record(
        UnderlyingMinute,
        "greeks:read",
        ("minute_at", "underlying", "expiries", "spot", "iv", "put_call_oi", "gamma_exposure", "priced", "unpriced"),
        ("underlying",),
        ("underlying",),
        "minute_at",
    ),
    Record(
        CandleSpan,
        "market:read",
        ("instrument_token", "start_at", "end_at"),
        ("start_at",),
        ("=instrument_token",),
        "start_at",
    ),
    Record(FeedShard, "market:read", ("shard", "epoch", "owner", "owned_since"), ("owner",), ("owner",), "owned_since"),
    Record(
        RecorderCursor,
        "market:read",
        ("shard", "position", "epoch", "sequence", "candles_position"),
        ("epoch",),
        ("position",),
        None,
    ),
    Record(
        HaltReport,
        "ops:read",
        ("started_at", "halt", "flatten", "state", "cancels", "closings", "asked_by", "finished_at"),
        ("state", "flatten"),
        ("asked_by", "halt__target"),
        "started_at",
    ),
    Record(
        OrderCommand,
        "orders:read",
        ("created_at", "order", "kind", "state", "reason_code", "client", "finished_at"),
        ("kind", "state"),
        ("order__tag", "client", "reason_code"),
        "created_at",
        "order__account",
    ),
    Record(
        OrderEvent,
        "orders:read",
        ("at", "order", "kind", "source", "before", "after"),
        ("kind", "source", "after"),
        ("order__tag", "order__tradingsymbol", "kind"),
        "at",
        "order__account",
    ),
    Record(
        OrderGroup,
        "orders:read",
        ("created_at", "account", "kind", "state", "client"),
        ("kind", "state", "account"),
        ("client", "idempotency_key"),
        "created_at",
        "account",
    ),
    Record(
        Trigger,
        "orders:read",
        ("created_at", "account", "type", "tradingsymbol", "status", "broker_trigger_id"),
        ("status", "type", "account"),
        ("tradingsymbol", "broker_trigger_id"),
        "created_at",
        "account",
    ),
    Record(
        TriggerWrite,
        "orders:read",
        ("__str__", "account", "kind", "tradingsymbol", "state", "client"),
        ("kind", "state", "account"),
        ("tradingsymbol", "client"),
        "created_at",
        "account",
    ),
    Record(
        Message, "orders:read", ("created_at", "account", "kind"), ("kind",), ("kind", "id"), "created_at", "account"
    ),
    Record(
        Attempt,
        "orders:read",
        ("at", "delivery", "number", "status", "milliseconds", "error"),
        ("status",),
        ("address", "error"),
        "at",
        "delivery__message__account",
    ),
)


def page_of(record: Record) -> type[ScopedAdmin]:
    """Return the page that shows the rows and changes nothing."""
    names = {field.name for field in record.model._meta.concrete_fields if field.is_relation}  # noqa: SLF001 (documented)
    return type(
        f"{record.model.__name__}Admin",
        (ScopedAdmin,),
        {
            "__doc__": record.model.__doc__,
            "view_scope": record.scope,
            "list_display": tuple(record.shown),
            "list_filter": tuple(record.filters),
            "search_fields": tuple(record.searched),
            "date_hierarchy": record.dated,
            "ordering": (f"-{record.dated}",) if record.dated else (record.shown[0],),
            "list_select_related": tuple(names & set(record.shown)),
            "account_path": record.account_path,
            "show_full_result_count": False,
        },
    )


for each in RECORDS:
    admin.site.register(each.model, page_of(each))
