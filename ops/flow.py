"""Today's orders as counts by stage, by account, and the latest of them."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from uuid import UUID

from django.db.models import Aggregate, Count, F, FloatField, Q, Value
from django.db.models.functions import Coalesce, Extract, NullIf
from django.urls import reverse

from ops.state import AccountOrders, Latency, Objection, Orders, RecentOrder, Stage
from orders.models import Order
from orders.states import AT_BROKER, LIVE, NEVER_SENT, WAITING, State

RECENT = 12
OBJECTIONS = 3
RECENTLY = timedelta(minutes=5)
LATELY = timedelta(seconds=60)
DENIED = frozenset({State.DENIED})
REJECTED = frozenset({State.REJECTED, State.REJECTED_RMS})
SENDING = frozenset({State.CLAIMED, State.SENDING})
BAD, WARN, GOOD, QUIET = "bad", "warn", "good", "quiet"


@dataclass(frozen=True, slots=True)
class Flow:
    """What one look at the order table found."""

    orders: Orders
    by_account: Mapping[UUID, AccountOrders]


class Percentile(Aggregate):
    """PostgreSQL's continuous percentile."""

    function = "PERCENTILE_CONT"
    name = "percentile"
    output_field = FloatField()
    template = "%(function)s(%(share)s) WITHIN GROUP (ORDER BY %(expressions)s)"


def read(*, day: date, now: datetime) -> Flow:
    """Return the orders of the trading day, and those of earlier days that are still alive."""
    rows = (
        Order.objects.filter(Q(trading_day=day) | Q(state__in=sorted(LIVE)))
        .values_list("account_id", "state")
        .annotate(count=Count("id"), recent=Count("id", filter=Q(created_at__gte=now - RECENTLY)))
    )
    counted = [(account, State(state), count, recent) for account, state, count, recent in rows]
    totals: Counter[State] = Counter()
    lately: Counter[State] = Counter()
    for _, state, count, recent in counted:
        totals[state] += count
        lately[state] += recent
    orders = Orders(
        funnel=funnel(totals=totals, lately=lately, pace=_pace(day=day)),
        recent=_recent(),
        unknown=totals[State.UNKNOWN],
        total=totals.total(),
        objections=_objections(day=day),
        latency=_latency(now=now),
    )
    return Flow(orders=orders, by_account=_by_account((account, state, count) for account, state, count, _ in counted))


def funnel(*, totals: Counter[State], lately: Counter[State], pace: Mapping[str, float | None]) -> tuple[Stage, ...]:
    """Return the stages an order passes, in order; only what somebody must act on has a colour."""

    def stage(
        name: str, states: Iterable[State], hint: str, tone: str = QUIET, way: tuple[str, str] = ("", "")
    ) -> Stage:
        states = tuple(states)
        count = sum(totals[state] for state in states)
        key, since = way
        return Stage(
            name=name,
            count=count,
            hint=hint,
            tone=tone if count else QUIET,
            recent=sum(lately[state] for state in states),
            seconds=pace.get(key),
            since=since,
        )

    return (
        stage("Received", State, "Every intent of today, validated on receipt, and older ones still alive"),
        stage("Waiting", WAITING, "Validated and queued, not yet claimed by a worker"),
        stage("Sending", SENDING, "On the way to the broker", way=("sent", "from receipt to sending")),
        stage("Unknown", {State.UNKNOWN}, "Sent, no answer: being looked up by tag, never sent again", BAD),
        stage("At broker", AT_BROKER, "Acknowledged or open", way=("acked", "from sending to the broker's answer")),
        stage("Filled", {State.COMPLETE}, "Complete", way=("filled", "from the broker's answer to the fill")),
        stage("Cancelled", {State.CANCELLED, State.EXPIRED}, "Cancelled, or expired at the day's end"),
        stage("Rejected", REJECTED, "Refused by the broker or its risk desk", WARN),
        stage("Not sent", NEVER_SENT, "Denied here, withdrawn, or proven absent at the broker"),
    )


def _between(start: str, end: str, *, share: float, only: Q | None = None) -> Percentile:
    length = Extract(F(end) - F(start), "epoch", output_field=FloatField())
    return Percentile(length, share=share, filter=only)


def _pace(*, day: date) -> dict[str, float | None]:
    return Order.objects.filter(trading_day=day).aggregate(
        sent=_between("created_at", "sent_at", share=0.5),
        acked=_between("sent_at", "acked_at", share=0.5),
        filled=_between("acked_at", "finished_at", share=0.5, only=Q(state=State.COMPLETE)),
    )


def _latency(*, now: datetime) -> Latency:
    """Orders are found by their creation: one a minute old that was answered now counts for the minute before."""
    found = Order.objects.filter(created_at__gte=now - LATELY, acked_at__isnull=False, sent_at__isnull=False).aggregate(
        orders=Count("pk"),
        middle=_between("created_at", "acked_at", share=0.5),
        late=_between("created_at", "acked_at", share=0.99),
    )
    return Latency(orders=found["orders"], p50_ms=_ms(found["middle"]), p99_ms=_ms(found["late"]))


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1000, 1)


def _objections(*, day: date) -> tuple[Objection, ...]:
    """Return the reasons most often given today, by the broker and by us."""
    refused = Order.objects.filter(trading_day=day, state__in=sorted(REJECTED | DENIED))
    text = Coalesce(NullIf("status_message", Value("")), NullIf("reason", Value("")), Value("no reason given"))
    rows = refused.annotate(text=text).values_list("text").annotate(count=Count("pk")).order_by("-count", "text")
    return tuple(Objection(text=why[:120], count=count) for why, count in rows[:OBJECTIONS])


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
