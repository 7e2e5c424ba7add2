"""Admin pages of orders: for reading, with the few deeds that an operator may do to an order."""

from typing import Any, ClassVar

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from unfold.admin import ModelAdmin, TabularInline
from unfold.decorators import action, display
from unfold.widgets import UnfoldAdminTextInputWidget

from accounts.admin.deeds import ByTwoForm, Deed, ScopedAdmin
from accounts.admin.editing import EditableAdmin
from accounts.models import User
from accounts.queries import Principal, principal_of
from orders import by_hand, letters, tasks
from orders.limit_admin import RiskLimitAdmin
from orders.models import Order, OrderBudget, OrderCommand, OrderEvent, RiskLimit, Trade
from orders.readings import BookReading, CarriedPosition, PositionGap
from orders.states import State

COLOURS = {
    State.COMPLETE: "success",
    State.OPEN: "info",
    State.PARTIAL: "info",
    State.ACKED: "info",
    State.UNKNOWN: "danger",
    State.ADOPTED_LATE: "danger",
    State.NOT_PLACED: "warning",
    State.DENIED: "warning",
    State.REJECTED: "warning",
    State.REJECTED_RMS: "warning",
}


def _principal(request: HttpRequest) -> Principal:
    if not isinstance(request.user, User):
        raise PermissionDenied
    return principal_of(request.user)


class ResolveForm(ByTwoForm):
    """How an order in doubt ended."""

    broker_order_id = forms.CharField(
        required=False,
        max_length=40,
        label="Id at the broker",
        help_text="Empty: it was never placed.",
        widget=UnfoldAdminTextInputWidget(),
    )
    field_order = ("broker_order_id", "reason", "ask")


class ReadOnly:
    """Nobody adds, changes or deletes these rows by hand."""

    def has_view_permission(self, request: HttpRequest, *_: Any, **__: Any) -> bool:
        """Show the rows to who may read orders."""
        return isinstance(request.user, User) and _principal(request).may("orders:read")

    def has_module_permission(self, request: HttpRequest) -> bool:
        """Show the section to who may read orders."""
        return self.has_view_permission(request)

    def has_add_permission(self, *_: Any, **__: Any) -> bool:
        """Refuse."""
        return False

    def has_change_permission(self, *_: Any, **__: Any) -> bool:
        """Refuse."""
        return False

    def has_delete_permission(self, *_: Any, **__: Any) -> bool:
        """Refuse."""
        return False


class EventInline(ReadOnly, TabularInline):
    """An order's timeline."""

    model = OrderEvent
    fields = ("sequence", "at", "kind", "source", "before", "after", "detail")
    readonly_fields = fields
    ordering = ("sequence",)
    extra = 0
    tab = True


class TradeInline(ReadOnly, TabularInline):
    """An order's executions."""

    model = Trade
    fields = ("trade_id", "quantity", "average_price", "filled_at", "heard_at")
    readonly_fields = fields
    ordering = ("id",)
    extra = 0
    tab = True


class CommandInline(ReadOnly, TabularInline):
    """What was asked of an order."""

    model = OrderCommand
    fields = ("kind", "state", "changes", "attempt", "reason_code", "reason", "client", "created_at", "finished_at")
    readonly_fields = fields
    ordering = ("created_at",)
    extra = 0
    tab = True


class DeadLetterFilter(admin.SimpleListFilter):
    """Orders that ended without reaching their aim."""

    title = "dead letter"
    parameter_name = "dead"

    def lookups(self, *_: Any) -> list[tuple[str, str]]:
        """Offer one choice."""
        return [("1", "Ended without reaching its aim")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Order]) -> QuerySet[Order]:
        """Return the dead ones where they are asked for."""
        return letters.letters(queryset) if self.value() == "1" else queryset


@admin.register(Order)
class OrderAdmin(ReadOnly, ScopedAdmin):
    """Orders, newest first."""

    date_hierarchy = "created_at"
    list_display = (
        "created_at",
        "account",
        "side",
        "quantity",
        "symbol",
        "order_type",
        "price",
        "shown_state",
        "filled_quantity",
        "average_price",
        "reason_code",
    )
    list_filter = (DeadLetterFilter, "state", "account", "trading_day", "origin", "exchange")
    search_fields = ("tag", "broker_order_id", "tradingsymbol", "idempotency_key", "strategy")
    ordering = ("-created_at", "-id")
    list_select_related = ("account",)
    show_full_result_count = False
    inlines = (EventInline, TradeInline, CommandInline)
    actions: ClassVar[list[str]] = ["cancel_orders", "reread_books", "look_for_orders_in_doubt"]
    actions_detail = ("resolve_by_hand", "requeue")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Order]:
        """Return the orders of the accounts the caller may see."""
        rows: QuerySet[Order] = super().get_queryset(request)
        account_ids = _principal(request).account_ids
        return rows if account_ids is None else rows.filter(account_id__in=account_ids)

    def has_trade_permission(self, request: HttpRequest, obj: object = None) -> bool:
        """Say whether the caller may act on orders."""
        return isinstance(request.user, User) and _principal(request).may("orders:write")

    @display(description="Side", label={"BUY": "info", "SELL": "warning"})
    def side(self, order: Order) -> str:
        """Show the side in colour."""
        return order.transaction_type

    @display(description="Instrument")
    def symbol(self, order: Order) -> str:
        """Show the instrument's key."""
        return f"{order.exchange}:{order.tradingsymbol}"

    @display(description="State", label={state.value: colour for state, colour in COLOURS.items()})
    def shown_state(self, order: Order) -> str:
        """Show the state in colour."""
        return order.state

    @action(description="Cancel", permissions=["trade"])
    def cancel_orders(self, request: HttpRequest, orders: QuerySet[Order]) -> HttpResponse | None:
        """Ask why, then ask for the end of each chosen order; orders past changing are named."""
        by, accounts = _principal(request), len(set(orders.values_list("account_id", flat=True)))
        deed = Deed(
            title=f"Cancel {len(orders)} orders",
            explanation="Cancels always leave, halted or not. What is on its way to the exchange may still trade.",
            done="{} cancellations are on their way.",
            act=lambda row, *, actor, **values: by_hand.cancel(order_id=row.pk, principal=by, **values),
            variant="danger",
        )
        touches = f"orders in {accounts} accounts are asked to end"
        return self.perform_for_many(request, orders, deed, name="cancel_orders", touches=touches)

    @action(description="Resolve by hand", icon="help_center", url_path="resolve", permissions=["operate"])
    def resolve_by_hand(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Say how an order in doubt ended, as two people agree."""
        by = _principal(request)
        deed = Deed(
            title="Resolve by hand",
            explanation="Only when the order book cannot decide and somebody has asked the broker. With an id the "
            "order is at the broker under it; without one it was never placed, and may be sent anew.",
            done="{} is resolved.",
            act=lambda row, *, actor, **values: by_hand.resolve(order_id=row.pk, principal=by, **values),
            ask=lambda row, **values: by_hand.ask_to_resolve(order_id=row.pk, **values),
            form=ResolveForm,
            variant="danger",
            stepped_up=True,
        )
        return self.perform(request, object_id, deed)

    @action(description="Send again", icon="replay", url_path="requeue", permissions=["trade"])
    def requeue(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Place anew what a dead order said; refused with the reason where it may be at the broker."""
        by, sessions = _principal(request), request.kite  # type: ignore[attr-defined] # by the middleware
        deed = Deed(
            title="Send again",
            explanation="A new order is placed that says the same and replaces this one. Only what never left here "
            "may be sent again; every check is made anew.",
            done="What {} said is on its way again.",
            act=lambda row, *, actor, **values: letters.requeue_by_hand(
                order_id=row.pk, principal=by, sessions=sessions, **values
            ),
            variant="danger",
            stepped_up=True,
        )
        return self.perform(request, object_id, deed)

    @action(description="Read the accounts' books again", permissions=["trade"])
    def reread_books(self, request: HttpRequest, orders: QuerySet[Order]) -> None:
        """Have the books of the chosen orders' accounts read now."""
        self._knock(request, tasks.reconcile_account, orders)

    @action(description="Look for orders in doubt", permissions=["trade"])
    def look_for_orders_in_doubt(self, request: HttpRequest, orders: QuerySet[Order]) -> None:
        """Look into the books for orders in doubt; only what the book shows decides."""
        self._knock(request, tasks.resolve_account, orders.filter(state=State.UNKNOWN))

    def _knock(self, request: HttpRequest, task: Any, orders: QuerySet[Order]) -> None:
        accounts = set(orders.values_list("account_id", flat=True))
        for account_id in accounts:
            tasks.knock(task, account_id)
        messages.success(request, f"The books of {len(accounts)} accounts are being read.")


@admin.register(Trade)
class TradeAdmin(ReadOnly, ModelAdmin):
    """Executions, last heard first."""

    date_hierarchy = "filled_at"
    list_display = ("heard_at", "account", "transaction_type", "quantity", "tradingsymbol", "average_price", "trade_id")
    list_filter = ("account", "trading_day", "exchange")
    search_fields = ("trade_id", "broker_order_id", "tradingsymbol")
    ordering = ("-id",)
    list_select_related = ("account",)
    show_full_result_count = False

    def get_queryset(self, request: HttpRequest) -> QuerySet[Trade]:
        """Return the trades of the accounts the caller may see."""
        rows: QuerySet[Trade] = super().get_queryset(request)
        account_ids = _principal(request).account_ids
        return rows if account_ids is None else rows.filter(account_id__in=account_ids)


@admin.register(OrderBudget)
class OrderBudgetAdmin(EditableAdmin):
    """What the accounts have used of their order calls, and the bounds, which stay below the broker's."""

    view_scope = "orders:read"
    account_path = "account"
    fields = ("account", ("per_second", "burst"), ("per_minute", "per_day"), ("day", "day_count"))
    readonly_fields = ("day", "day_count")

    search_fields = ("account__label",)
    list_filter = ("day",)
    date_hierarchy = "day"
    ordering = ("account__label",)
    list_display = ("account", "per_second", "burst", "per_minute", "per_day", "day", "day_count")
    list_select_related = ("account",)

    def has_add_permission(self, request: HttpRequest) -> bool:
        """An account's row is there from its first order on."""
        return False

    def get_readonly_fields(self, request: HttpRequest, obj: OrderBudget | None = None) -> tuple[str, ...]:
        """Whose the row is, stays."""
        return ("account", *self.readonly_fields)


@admin.register(BookReading)
class BookReadingAdmin(ReadOnly, ScopedAdmin):
    """When each account's book was read, and how long a failing one is left alone."""

    account_path = "account"

    list_display = ("account", "read_at", "carried_at", "failures", "next_at", "error")
    list_filter = ("account",)
    search_fields = ("account__label", "error")
    date_hierarchy = "read_at"
    ordering = ("account__label",)
    list_select_related = ("account",)


@admin.register(PositionGap)
class PositionGapAdmin(ReadOnly, ScopedAdmin):
    """Where the broker's positions and our trades differ, and why."""

    account_path = "account"

    list_display = (
        "seen_at",
        "account",
        "exchange",
        "tradingsymbol",
        "product",
        "ours",
        "theirs",
        "explanation",
        "closed_at",
    )
    list_filter = ("account", "explained", "trading_day")
    search_fields = ("tradingsymbol", "explanation")
    date_hierarchy = "seen_at"
    ordering = ("-seen_at",)
    list_select_related = ("account",)


@admin.register(CarriedPosition)
class CarriedPositionAdmin(ReadOnly, ScopedAdmin):
    """What each account carried into its day."""

    account_path = "account"

    list_display = ("account", "exchange", "tradingsymbol", "quantity", "price")
    list_filter = ("account", "exchange")
    search_fields = ("tradingsymbol",)
    ordering = ("account__label", "exchange", "tradingsymbol")
    list_select_related = ("account",)


admin.site.register(RiskLimit, RiskLimitAdmin)
