"""What the order path reads of its own rows."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from uuid import UUID

from django.db.models import Q, QuerySet

from accounts.models import BrokerAccount
from accounts.statements import every, first, prepared
from kite.types import OrderRow
from market_data.models import Instrument
from orders.models import Order, OrderBudget, OrderCommand, RiskLimit
from orders.states import AT_BROKER, LIVE, CommandState, State
from orders.tags import ForeignTag, Tag, decode

# An order of these states has spent nothing of the day's notional.
SPENT_NOTHING = (
    State.AWAITING_APPROVAL,
    State.READY,
    State.DENIED,
    State.WITHDRAWN,
    State.EXPIRED_LOCAL,
    State.REJECTED,
    State.REJECTED_RMS,
    State.NOT_PLACED,
)
OPEN_COMMANDS = (CommandState.READY, CommandState.CLAIMED, CommandState.SENDING, CommandState.UNKNOWN)


@dataclass(frozen=True, slots=True, kw_only=True)
class Exposure:
    """What an account has at stake, and how its last orders fared."""

    open_orders: int
    day_notional: Decimal
    rejections: int = 0
    orphans: int = 0
    waiting: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Stake:
    """What an account holds of one symbol and of its underlying: carried overnight, and by the day's orders."""

    net_quantity: int
    same_side: int
    underlying: str
    underlying_value: Decimal


# Written out because the whole check has 5 ms, and building this aggregate took as long as running it.
EXPOSURE = """
    SELECT count(*) FILTER (WHERE state = ANY(%s)),
           coalesce(sum(notional) FILTER (WHERE state <> ALL(%s)), 0),
           count(*) FILTER (WHERE state = ANY(%s) AND origin = 'platform' AND finished_at >= %s),
           (SELECT count(*) FROM orders_order
            WHERE account_id = %s AND origin = 'orphan' AND acknowledged_at IS NULL),
           count(*) FILTER (WHERE state = 'READY')
    FROM orders_order WHERE account_id = %s AND trading_day = %s AND id <> %s
"""
REFUSED = (State.REJECTED, State.REJECTED_RMS)
# Asked for every order or every row of a book: Django's making of them cost more than their running.
LOCKED = "orders_order.id = %s FOR UPDATE OF orders_order"
READY_LOCKED = "orders_order.id = %s AND orders_order.state = 'READY' FOR UPDATE OF orders_order SKIP LOCKED"
FREE_LOCKED = f"{LOCKED} SKIP LOCKED"
IN_DOUBT = "account_id = %s AND state = 'UNKNOWN'"
HELD = "account_id = %s AND broker_order_id = ANY(%s)"
SILENT = "SELECT id FROM orders_order WHERE state = %s AND lease_until < %s ORDER BY id LIMIT %s"
SILENT_COMMANDS = (
    "SELECT id FROM orders_ordercommand WHERE state IN ('CLAIMED', 'SENDING') AND lease_until < %s ORDER BY id LIMIT %s"
)
LEFT_OVER = "account_id = %s AND trading_day < %s AND state = ANY(%s)"
TRADES_KNOWN = "SELECT broker_order_id, trade_id FROM orders_trade WHERE account_id = %s AND broker_order_id = ANY(%s)"
OF_ROW = (
    "account_id = %s AND (broker_order_id = %s OR (number = %s AND broker_order_id IS NULL))"
    " ORDER BY broker_order_id LIMIT 1"
)
LIMITS_OF_ORDER = (
    "(account_id = %s OR account_id IS NULL) AND strategy IN (%s, '')"
    " AND (exchange = '' OR (exchange = %s AND tradingsymbol = %s))"
)
MARGIN_LIMITED = (
    f"SELECT EXISTS (SELECT FROM orders_risklimit WHERE max_margin_percent IS NOT NULL AND {LIMITS_OF_ORDER})"  # noqa: S608
)
# A row that somebody holds is being carried; one that was woken a moment ago has a message on the way.
WAKE_NEXT = """
    UPDATE orders_order SET woken_at = %s WHERE id = (
        SELECT id FROM orders_order
        WHERE state = 'READY' AND account_id = %s AND id <> %s AND woken_at IS NULL
        ORDER BY created_at LIMIT 1 FOR UPDATE SKIP LOCKED)
    RETURNING id
"""
FORGOTTEN = """
    WITH waiting AS (
        SELECT id, account_id, created_at, woken_at, not_before, deadline_at,
               max(woken_at) OVER (PARTITION BY account_id) AS latest
        FROM orders_order WHERE state = 'READY'
    ), due AS (
        SELECT id, created_at, row_number() OVER (PARTITION BY account_id ORDER BY created_at) AS place
        FROM waiting
        WHERE (woken_at <= %s OR (woken_at IS NULL AND (latest IS NULL OR latest <= %s)))
          AND (not_before IS NULL OR not_before <= %s OR deadline_at <= %s)
    )
    SELECT id FROM due WHERE place <= %s ORDER BY created_at LIMIT %s
"""
CANCEL_WAITS = """
    SELECT EXISTS (SELECT FROM orders_ordercommand c JOIN orders_order o ON o.id = c.order_id
        WHERE o.account_id = %s AND o.state = ANY(%s) AND c.kind = 'cancel' AND c.state = 'READY'
        AND (c.not_before IS NULL OR c.not_before <= %s))
"""


def exposure_of(*, account_id: UUID, day: date, leaving_out: UUID, rejected_since: datetime) -> Exposure:
    """Return what the account has at stake, one order left out; orders in doubt count as live."""
    states = [[str(state) for state in group] for group in (LIVE, SPENT_NOTHING, REFUSED)]
    with prepared() as cursor:
        cursor.execute(EXPOSURE, [*states, rejected_since, account_id, account_id, day, leaving_out])
        open_orders, day_notional, rejections, orphans, waiting = cursor.fetchone()
    return Exposure(
        open_orders=open_orders, day_notional=day_notional, rejections=rejections, orphans=orphans, waiting=waiting
    )


# What has filled or was carried counts at its price, buys against sells of one symbol; what may still fill in full.
STAKE = """
    WITH day AS (
        SELECT o.exchange, o.tradingsymbol, o.transaction_type,
               CASE WHEN i.instrument_type = 'EQ' OR coalesce(i.name, '') = '' THEN o.tradingsymbol ELSE i.name END
                   AS underlying,
               CASE o.transaction_type WHEN 'BUY' THEN 1 ELSE -1 END * o.filled_quantity AS filled,
               o.average_price,
               CASE WHEN o.state = ANY(%s) THEN greatest(o.quantity - o.filled_quantity, 0) ELSE 0 END AS waiting,
               o.notional / o.quantity AS price
        FROM orders_order o LEFT JOIN market_data_instrument i USING (exchange, tradingsymbol)
        WHERE o.account_id = %s AND o.trading_day = %s AND o.id <> %s
        UNION ALL
        SELECT c.exchange, c.tradingsymbol, '',
               CASE WHEN i.instrument_type = 'EQ' OR coalesce(i.name, '') = '' THEN c.tradingsymbol ELSE i.name END,
               c.quantity, c.price, 0, 0
        FROM orders_carriedposition c JOIN orders_bookreading r USING (account_id)
             LEFT JOIN market_data_instrument i USING (exchange, tradingsymbol)
        WHERE c.account_id = %s AND (r.carried_at AT TIME ZONE 'Asia/Kolkata')::date = %s
    ), symbols AS (
        SELECT exchange, tradingsymbol, underlying, sum(filled) AS net, abs(sum(filled * average_price)) AS value,
               sum(waiting * price) AS waiting_value,
               coalesce(sum(waiting) FILTER (WHERE transaction_type = %s), 0) AS same_side
        FROM day GROUP BY exchange, tradingsymbol, underlying
    )
    SELECT coalesce(sum(net) FILTER (WHERE exchange = %s AND tradingsymbol = %s), 0),
           coalesce(sum(same_side) FILTER (WHERE exchange = %s AND tradingsymbol = %s), 0),
           coalesce(sum(value + waiting_value) FILTER (WHERE underlying = %s), 0)
    FROM symbols
"""


def stake_of(*, order: Order, day: date) -> Stake:
    """Return what the account carried and the day's other orders hold of the order's symbol and underlying."""
    place = (order.exchange, order.tradingsymbol)
    found = Instrument.objects.filter(exchange=order.exchange, tradingsymbol=order.tradingsymbol)
    kind, name = found.values_list("instrument_type", "name").first() or ("", "")
    underlying = order.tradingsymbol if kind == "EQ" or not name else name
    live = [str(state) for state in LIVE]
    with prepared() as cursor:
        cursor.execute(
            STAKE,
            (
                *(live, order.account_id, day, order.pk, order.account_id, day),
                *(order.transaction_type, *place, *place, underlying),
            ),
        )
        net, same_side, value = cursor.fetchone()
    return Stake(net_quantity=int(net), same_side=int(same_side), underlying=underlying, underlying_value=value)


SIMILAR = """
    SELECT EXISTS (SELECT FROM orders_order
        WHERE account_id = %s AND created_at > %s AND trading_day = %s AND exchange = %s AND tradingsymbol = %s
        AND transaction_type = %s AND quantity = %s AND price IS NOT DISTINCT FROM %s::numeric
        AND trigger_price IS NOT DISTINCT FROM %s::numeric AND state <> ALL(%s) AND id <> %s)
"""


def similar_exists(*, order: Order, within: timedelta) -> bool:
    """Say whether an order of the same content was made shortly before."""
    called_off = [str(State.DENIED), str(State.WITHDRAWN)]
    place = (order.account_id, order.created_at - within, order.trading_day, order.exchange, order.tradingsymbol)
    content = (order.transaction_type, order.quantity, order.price, order.trigger_price, called_off, order.pk)
    with prepared() as cursor:
        cursor.execute(SIMILAR, (*place, *content))
        return bool(cursor.fetchone()[0])


def risk_limits(*, order: Order) -> list[RiskLimit]:
    """Return every row of bounds that covers the order."""
    return every(RiskLimit, LIMITS_OF_ORDER, order.account_id, order.strategy, order.exchange, order.tradingsymbol)


def margin_is_limited(*, order: Order) -> bool:
    """Say whether a row of bounds that covers the order limits its margin."""
    with prepared() as cursor:
        scope = (order.account_id, order.strategy, order.exchange, order.tradingsymbol)
        cursor.execute(MARGIN_LIMITED, scope)
        return bool(cursor.fetchone()[0])


def order_with_account(order_id: UUID) -> Order | None:
    """Return the order with its account, None where there is none."""
    return first(Order, "orders_order.id = %s", order_id, along="account")


def free_order_locked(order_id: UUID) -> Order | None:
    """Return the order with its row locked, None where somebody holds it or it is gone."""
    return first(Order, FREE_LOCKED, order_id, along="account")


def waiting_order_locked(order_id: UUID) -> Order | None:
    """Return the order with its row locked where it waits and nobody holds it: a held one is being carried."""
    return first(Order, READY_LOCKED, order_id, along="account")


def locked_order(order_id: UUID) -> Order:
    """Return the order with its account, its row locked; raises Order.DoesNotExist."""
    order = first(Order, LOCKED, order_id, along="account")
    if order is None:
        raise Order.DoesNotExist(f"no order {order_id}")
    return order


def order_of_row(*, account_id: UUID, row: OrderRow) -> Order | None:
    """Return the order a broker row speaks of, by the broker's id or by our tag; None where we have none."""
    tag = tag_of(row)
    number = None if tag is None or is_part(row) else tag.number
    return first(Order, OF_ROW, account_id, row.order_id, number)


def tag_of(row: OrderRow) -> Tag | None:
    """Return our tag on a broker row, None where it bears none."""
    try:
        return decode(row.tag)
    except ForeignTag:
        return None


def is_part(row: OrderRow) -> bool:
    """Say whether the broker made this row out of another: a later leg of an iceberg, the stop of a cover order."""
    meta = row.raw.get("meta")
    iceberg = meta.get("iceberg") if isinstance(meta, Mapping) else None
    later_leg = isinstance(iceberg, Mapping) and int(iceberg.get("leg") or 1) > 1
    return bool(row.parent_order_id) or later_leg


def maker_of(*, account_id: UUID, row: OrderRow) -> Order | None:
    """Return the order of ours that a broker row stems from, None where it stems from none."""
    tag = tag_of(row)
    known = Q(broker_order_id=row.parent_order_id) if row.parent_order_id else Q(pk=None)
    if tag is not None:
        known |= Q(number=tag.number)
    return Order.objects.filter(known, account_id=account_id).first()


def orders_of_day(*, account_ids: Iterable[UUID], day: date) -> QuerySet[Order]:
    """Return the day's orders of some accounts, oldest first."""
    return (
        Order.objects.filter(account_id__in=account_ids, trading_day=day)
        .select_related("account")
        .order_by("created_at", "id")
    )


def accounts_to_reconcile() -> list[BrokerAccount]:
    """Return the accounts whose order book is watched."""
    return list(
        BrokerAccount.objects.filter(places_orders=True).exclude(state=BrokerAccount.State.RETIRED).order_by("label")
    )


def in_doubt(*, account_id: UUID) -> list[Order]:
    """Return the account's orders whose fate at the broker is not known."""
    return every(Order, IN_DOUBT, account_id)


def held_of(*, account_id: UUID, broker_order_ids: Iterable[str]) -> dict[str | None, Order]:
    """Return our orders by the broker's ids."""
    rows = every(Order, HELD, account_id, list(broker_order_ids))
    return {order.broker_order_id: order for order in rows}


def silent(*, state: State, now: datetime, at_most: int) -> list[UUID]:
    """Return orders of this state whose worker's lease is over, by primary key."""
    with prepared() as cursor:
        cursor.execute(SILENT, [state, now, at_most])
        return [row[0] for row in cursor.fetchall()]


def open_cancel(*, order: Order) -> OrderCommand | None:
    """Return the cancellation that is on its way, None where there is none."""
    return OrderCommand.objects.filter(order=order, kind=OrderCommand.Kind.CANCEL, state__in=OPEN_COMMANDS).first()


def silent_commands(*, now: datetime, at_most: int) -> list[UUID]:
    """Return commands whose worker's lease is over, by primary key."""
    with prepared() as cursor:
        cursor.execute(SILENT_COMMANDS, [now, at_most])
        return [row[0] for row in cursor.fetchall()]


def left_over(*, account_id: UUID, day: date) -> list[Order]:
    """Return orders of earlier days that still wait for the broker's last word."""
    return every(Order, LEFT_OVER, account_id, day, [str(state) for state in AT_BROKER])


def trades_known(*, account_id: UUID, broker_order_ids: Iterable[str]) -> set[tuple[str, str]]:
    """Return (broker order id, trade id) of the trades we hold of these orders."""
    with prepared() as cursor:
        cursor.execute(TRADES_KNOWN, [account_id, list(set(broker_order_ids))])
        return set(cursor.fetchall())


def budget_of(account_id: UUID) -> OrderBudget:
    """Return the account's budget row, an unused one where no call was made yet."""
    return first(OrderBudget, "account_id = %s", account_id) or OrderBudget(account_id=account_id)


def lock_budget(account_id: UUID) -> OrderBudget:
    """Return the account's budget row, locked: one decision at a time for each account."""
    row = first(OrderBudget, "account_id = %s FOR UPDATE", account_id)
    if row is not None:
        return row
    OrderBudget.objects.bulk_create([OrderBudget(account_id=account_id)], ignore_conflicts=True)
    return lock_budget(account_id)


def wake_next(*, order: Order, at: datetime) -> UUID | None:
    """Mark the account's longest waiting order that nobody was woken for as woken at `at`; None where there is none."""
    with prepared() as cursor:
        cursor.execute(WAKE_NEXT, [at, order.account_id, order.pk])
        found = cursor.fetchone()
    return None if found is None else found[0]


def forgotten(*, now: datetime, since: datetime, of_each: int, at_most: int) -> list[UUID]:
    """Return orders that are due and whose wake-up was lost, the oldest of each account: they wake the others."""
    with prepared() as cursor:
        cursor.execute(FORGOTTEN, [since, since, now, now, of_each, at_most])
        return [row[0] for row in cursor.fetchall()]


def cancel_waits(*, account_id: UUID, now: datetime) -> bool:
    """Say whether a cancellation of the account could be sent now."""
    with prepared() as cursor:
        cursor.execute(CANCEL_WAITS, [account_id, [str(state) for state in AT_BROKER], now])
        return bool(cursor.fetchone()[0])


def quantity_on_the_way(*, order: Order) -> int:
    """Return what live orders of the same side, symbol and product may still fill."""
    others = Order.objects.filter(
        account_id=order.account_id,
        exchange=order.exchange,
        tradingsymbol=order.tradingsymbol,
        product=order.product,
        transaction_type=order.transaction_type,
        state__in=LIVE,
    ).exclude(pk=order.pk)
    return sum(max(0, other.quantity - other.filled_quantity) for other in others)
