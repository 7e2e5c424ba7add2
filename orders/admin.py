"""Admin pages of orders: for reading, with the few deeds that an operator may do to an order."""

from typing import Any, ClassVar

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from unfold.admin import ModelAdmin, TabularInline
from unfold.decorators import action, display

from accounts.errors import PlatformError
from accounts.models import User
from accounts.queries import Principal, principal_of
from orders import intake, tasks
from orders.limit_admin import RiskLimitAdmin
from orders.models import Order, OrderBudget, OrderCommand, OrderEvent, RiskLimit, Trade
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


@admin.register(Order)
class OrderAdmin(ReadOnly, ModelAdmin):
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
    list_filter = ("state", "account", "trading_day", "origin", "exchange")
    search_fields = ("tag", "broker_order_id", "tradingsymbol", "idempotency_key", "strategy")
    ordering = ("-created_at", "-id")
    list_select_related = ("account",)
    show_full_result_count = False
    inlines = (EventInline, TradeInline, CommandInline)
    actions: ClassVar[list[str]] = ["cancel_orders", "reread_books", "look_for_orders_in_doubt"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Order]:
        """Return the orders of the accounts the caller may see."""
        rows: QuerySet[Order] = super().get_queryset(request)
        account_ids = _principal(request).account_ids
        return rows if account_ids is None else rows.filter(account_id__in=account_ids)

    def has_trade_permission(self, request: HttpRequest) -> bool:
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
    def cancel_orders(self, request: HttpRequest, orders: QuerySet[Order]) -> None:
        """Ask for the end of each chosen order; orders past changing are named."""
        asked = 0
        for order in orders:
            try:
                intake.cancel(
                    principal=_principal(request), order_id=order.pk, idempotency_key=None, now=timezone.now()
                )
            except PlatformError as error:
                messages.warning(request, f"{order}: {error}")
                continue
            asked += 1
        messages.success(request, f"{asked} cancellations are on their way.")

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
class OrderBudgetAdmin(ReadOnly, ModelAdmin):
    """What the accounts have used of their order calls."""

    search_fields = ("account__label",)
    list_filter = ("day",)
    date_hierarchy = "day"
    ordering = ("account__label",)
    list_display = ("account", "per_second", "burst", "per_minute", "per_day", "day", "day_count")
    list_select_related = ("account",)


admin.site.register(RiskLimit, RiskLimitAdmin)
