"""Today's orders as counts by stage, by account, and the latest of them."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from uuid import UUID

from django.db.models import Aggregate, Count, F, FloatField, Q
from django.db.models.functions import Extract
from django.urls import reverse

from ops.state import AccountOrders, Orders, RecentOrder, Stage
from orders.models import Order
from orders.states import AT_BROKER, LIVE, NEVER_SENT, WAITING, State

RECENT = 12
REJECTED = frozenset({State.REJECTED, State.REJECTED_RMS})
SENDING = frozenset({State.CLAIMED, State.SENDING})
BAD, WARN, GOOD, QUIET = "bad", "warn", "good", "quiet"


@dataclass(frozen=True, slots=True)
class Flow:
    """What one look at the order table found."""

    orders: Orders
    by_account: Mapping[UUID, AccountOrders]


class Median(Aggregate):
    """PostgreSQL's continuous median."""

    function = "PERCENTILE_CONT"
    name = "median"
    output_field = FloatField()
    template = "%(function)s(0.5) WITHIN GROUP (ORDER BY %(expressions)s)"


def read(*, day: date) -> Flow:
    """Return the orders of the trading day, and those of earlier days that are still alive."""
    rows = (
        Order.objects.filter(Q(trading_day=day) | Q(state__in=sorted(LIVE)))
        .values_list("account_id", "state")
        .annotate(count=Count("id"))
    )
    counted = [(account, State(state), count) for account, state, count in rows]
    totals: Counter[State] = Counter()
    for _, state, count in counted:
        totals[state] += count
    orders = Orders(
        funnel=funnel(totals=totals, pace=_pace(day=day)),
        recent=_recent(),
        unknown=totals[State.UNKNOWN],
        total=totals.total(),
    )
    return Flow(orders=orders, by_account=_by_account(counted))


def funnel(*, totals: Counter[State], pace: Mapping[str, float | None]) -> tuple[Stage, ...]:
    """Return the stages an order passes, in order; only what somebody must act on has a colour."""

    def stage(name: str, states: Iterable[State], hint: str, tone: str = QUIET) -> Stage:
        count = sum(totals[state] for state in states)
        return Stage(name=name, count=count, hint=hint, tone=tone if count else QUIET)

    return (
        Stage(name="Received", count=totals.total(), hint="Every intent of today, and older ones still alive"),
        stage("Waiting", WAITING, "Recorded, not yet claimed by a worker"),
        stage("Sending", SENDING, f"On the way to the broker; median {_seconds(pace['sent'])} from receipt"),
        stage("Unknown", {State.UNKNOWN}, "Sent, no answer: being looked up by tag, never sent again", BAD),
        stage("At broker", AT_BROKER, f"Acknowledged; median {_seconds(pace['acked'])} from sending"),
        stage("Filled", {State.COMPLETE}, f"Complete; median {_seconds(pace['finished'])} from acknowledgement"),
        stage("Cancelled", {State.CANCELLED, State.EXPIRED}, "Cancelled, or expired at the day's end"),
        stage("Rejected", REJECTED, "Refused by the broker or its risk desk", WARN),
        stage("Not sent", NEVER_SENT, "Denied here, withdrawn, or proven absent at the broker"),
    )


def _seconds(value: float | None) -> str:
    return "not measured yet" if value is None else f"{value:.2f} s"


def _pace(*, day: date) -> dict[str, float | None]:
    def median(start: str, end: str) -> Median:
        return Median(Extract(F(end) - F(start), "epoch", output_field=FloatField()))

    return Order.objects.filter(trading_day=day).aggregate(
        sent=median("created_at", "sent_at"),
        acked=median("sent_at", "acked_at"),
        finished=median("acked_at", "finished_at"),
    )


def _by_account(counted: Iterable[tuple[UUID, State, int]]) -> dict[UUID, AccountOrders]:
    sums: dict[UUID, Counter[str]] = {}
    for account, state, count in counted:
        sums.setdefault(account, Counter())[_place_of(state)] += count
    return {
        account: AccountOrders(open=sum_["open"], in_flight=sum_["in_flight"], unknown=sum_["unknown"])
        for account, sum_ in sums.items()
    }


def _place_of(state: State) -> str:
    if state is State.UNKNOWN:
        return "unknown"
    if state in AT_BROKER:
        return "open"
    return "in_flight" if state in WAITING | SENDING else "ended"


def _recent() -> tuple[RecentOrder, ...]:
    latest = Order.objects.select_related("account").order_by("-created_at", "-id")[:RECENT]
    return tuple(_row(order) for order in latest)


def _row(order: Order) -> RecentOrder:
    return RecentOrder(
        id=str(order.pk),
        url=reverse("admin:orders_order_change", args=[order.pk]),
        account=order.account.label,
        exchange=order.exchange,
        tradingsymbol=order.tradingsymbol,
        transaction_type=order.transaction_type,
        quantity=order.quantity,
        filled_quantity=order.filled_quantity,
        price=None if order.price is None else _money(order.price),
        average_price=_money(order.average_price) if order.average_price else None,
        state=order.state,
        tone=tone_of(State(order.state)),
        detail=order.reason or order.status_message or order.status,
        created_at=order.created_at,
    )


def _money(value: Decimal) -> str:
    return f"{value:,.2f}"


def tone_of(state: State) -> str:
    """Return how a state is coloured: what an operator must look at stands out."""
    if state is State.UNKNOWN:
        return BAD
    if state in REJECTED | NEVER_SENT:
        return WARN
    return GOOD if state is State.COMPLETE else QUIET
