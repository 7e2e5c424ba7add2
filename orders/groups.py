"""Groups of orders, released leg by leg and watched to the end. Not atomic: the broker knows nothing of a group."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Any, Final
from uuid import UUID

import structlog
from django.db import transaction

from accounts.commits import after_commit
from accounts.errors import PlatformError
from accounts.sessions import Sessions
from kite.errors import KiteError
from kite.types import OrderType, TransactionType, Variety
from market_data.queries import instrument_by_symbol
from orders import intake
from orders.clock import trading_day
from orders.drafts import Source, Wanted
from orders.models import Order
from orders.objections import slices_of
from orders.parents import OrderGroup
from orders.states import FINAL, Outcome, State
from orders.stream import order_document, publish
from webhooks.announcing import announce

log = structlog.get_logger(__name__)

LEG: Final = "group"
UNWIND: Final = "unwind"
# How long after its deadline a group still tries to enter the orders that give it back.
UNWIND_GRACE: Final = timedelta(minutes=10)
MONEY: Final = frozenset({"price", "trigger_price", "market_protection"})
GroupState = OrderGroup.State


class LegState(StrEnum):
    """What became of one leg."""

    WAITING = "waiting"
    WORKING = "working"
    COMPLETE = "complete"
    PARTIAL = "partial"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True, kw_only=True)
class Leg:
    """One leg of a plan and what became of it."""

    number: int
    wanted: Wanted
    after: tuple[int, ...]
    sizes: tuple[int, ...]
    orders: tuple[Order, ...]
    state: LegState
    reason: str
    unsent: bool

    @property
    def filled_quantity(self) -> int:
        """How much traded, whatever came back since."""
        return sum(order.filled_quantity for order in self.orders)

    @property
    def outcome(self) -> Outcome:
        """What the leg's orders say together: the least certain first."""
        told = {order.outcome for order in self.orders} or {Outcome.NOT_SENT}
        by_doubt = (Outcome.UNKNOWN, Outcome.ACCEPTED, Outcome.REJECTED, Outcome.NOT_SENT)
        return next(outcome for outcome in by_doubt if outcome in told)


@dataclass(frozen=True, slots=True)
class Picture:
    """A group as its orders show it."""

    legs: tuple[Leg, ...]
    unwinding: tuple[Order, ...]

    def has(self, *states: LegState) -> bool:
        """Say whether a leg is in one of the states."""
        return any(leg.state in states for leg in self.legs)


def picture_of(group: OrderGroup) -> Picture:
    """Return the group's legs with their orders."""
    return pictures_of([group])[0]


def pictures_of(some: Sequence[OrderGroup]) -> list[Picture]:
    """Return each group's legs with their orders; asks the database once for all."""
    theirs = defaultdict(list)
    for order in Order.objects.filter(group__in=some).select_related("account").order_by("created_at", "number"):
        theirs[order.group_id].append(order)
    return [_picture(group, theirs[group.pk]) for group in some]


def _picture(group: OrderGroup, orders: Sequence[Order]) -> Picture:
    ours = sorted((o for o in orders if o.endpoint != UNWIND), key=lambda o: o.origin == Order.Origin.CHILD)
    unwinding = tuple(order for order in orders if order.endpoint == UNWIND)
    legs = tuple(_leg(group, number, plan, ours) for number, plan in enumerate(group.plan))
    return Picture(legs, unwinding)


def advance(*, group_id: UUID, sessions: Sessions, now: datetime) -> bool:
    """Release what is due, call off what is over, and say whether the group has come to its end.

    Safe to call at any time, twice and at once: every order of a group has a key of its own.
    """
    group = OrderGroup.objects.select_related("account").get(pk=group_id)
    if group.finished_at is not None:
        return True
    picture = picture_of(group)
    for leg in picture.legs:
        if leg.state is LegState.WAITING or leg.unsent:
            _release_or_skip(group, leg, picture, sessions=sessions, now=now)
    picture = picture_of(OrderGroup.objects.get(pk=group.pk))
    if _is_stopping(group, picture):
        _call_off(picture, client=group.cancelled_by or group.client, now=now)
        if _must_unwind(group, picture):
            _unwind(group, picture, sessions=sessions, now=now)
            picture = picture_of(OrderGroup.objects.get(pk=group.pk))
    return _settle(group, picture, now=now)


def cancel(*, group: OrderGroup, client: str, now: datetime) -> None:
    """Have the group called off: what waits is not sent, what is open is cancelled; what traded stays."""
    OrderGroup.objects.filter(pk=group.pk, cancelled_at=None, finished_at=None).update(
        cancelled_at=now, cancelled_by=client
    )
    group.refresh_from_db()


def sizes_of(wanted: Wanted) -> list[int]:
    """Return the quantities that a leg is sent in."""
    if not wanted.autoslice:
        return [wanted.quantity]
    instrument = instrument_by_symbol(exchange=wanted.exchange, tradingsymbol=wanted.tradingsymbol)
    return slices_of(quantity=wanted.quantity, freeze=instrument.freeze_quantity, lot=instrument.lot_size)


def group_document(group: OrderGroup, picture: Picture) -> dict[str, Any]:
    """Return the group as clients see it, every leg with its own outcome."""
    return {
        "id": str(group.pk),
        "kind": group.kind,
        "account": group.account.label,
        "strategy": group.strategy,
        "state": group.state,
        "on_failure": group.on_failure,
        "quantity": sum(leg.wanted.quantity for leg in picture.legs),
        "filled_quantity": sum(leg.filled_quantity for leg in picture.legs),
        "legs": [_leg_document(leg) for leg in picture.legs],
        "unwinding": [order_document(order) for order in picture.unwinding],
        "created_at": group.created_at.isoformat(),
        "deadline_at": group.deadline_at.isoformat(),
        "cancelled_at": group.cancelled_at.isoformat() if group.cancelled_at else None,
        "finished_at": group.finished_at.isoformat() if group.finished_at else None,
    }


def _leg_document(leg: Leg) -> dict[str, Any]:
    return {
        "leg": leg.number,
        "after": list(leg.after),
        "exchange": leg.wanted.exchange,
        "tradingsymbol": leg.wanted.tradingsymbol,
        "transaction_type": leg.wanted.transaction_type,
        "quantity": leg.wanted.quantity,
        "filled_quantity": leg.filled_quantity,
        "state": leg.state.value,
        "outcome": leg.outcome.value,
        "reason": leg.reason,
        "orders": [order_document(order) for order in leg.orders],
    }


def _leg(group: OrderGroup, number: int, plan: Mapping[str, Any], orders: Sequence[Order]) -> Leg:
    wanted = wanted_of(plan)
    # The stop of a cover order belongs to the leg but closes it.
    mine = tuple(o for o in orders if o.leg == number and o.transaction_type == wanted.transaction_type)
    skipped = group.skipped.get(str(number), "")
    after, sizes = tuple(plan["after"]), tuple(plan["sizes"])
    sent = sum(order.endpoint == LEG for order in mine)
    unsent = bool(mine) and group.kind != OrderGroup.Kind.PARTS and sent < len(sizes) and not skipped
    unborn = LegState.SKIPPED if skipped else LegState.WAITING
    state = _state_of(mine, wanted, unsent=unsent) if mine else unborn
    return Leg(
        number=number,
        wanted=wanted,
        after=after,
        sizes=sizes,
        orders=mine,
        state=state,
        reason=skipped or _reason_of(mine, state),
        unsent=unsent,
    )


def _state_of(orders: Sequence[Order], wanted: Wanted, *, unsent: bool) -> LegState:
    filled = sum(order.filled_quantity for order in orders)
    if filled >= wanted.quantity:
        return LegState.COMPLETE
    states = {State(order.state) for order in orders}
    # The broker sends the next part of an iceberg by itself once one is complete.
    more_to_come = wanted.variety == Variety.ICEBERG and states == {State.COMPLETE}
    if more_to_come or unsent or not states <= FINAL:
        return LegState.WORKING
    return LegState.PARTIAL if filled else LegState.FAILED


def _reason_of(orders: Sequence[Order], state: LegState) -> str:
    if state not in {LegState.PARTIAL, LegState.FAILED}:
        return ""
    told = [f"{order.reason_code}: {order.reason}" if order.reason_code else order.status_message for order in orders]
    return next((text for text in told if text), "ended before it was filled")


def wanted_of(plan: Mapping[str, Any]) -> Wanted:
    """Return a leg of a stored plan as a value."""
    names = {field.name for field in fields(Wanted)}
    values = {name: value for name, value in plan.items() if name in names}
    for name in MONEY:
        values[name] = None if values[name] is None else Decimal(values[name])
    values["replaces"] = UUID(values["replaces"]) if values["replaces"] else None
    return Wanted(**values)


def _is_stopping(group: OrderGroup, picture: Picture) -> bool:
    failed = picture.has(LegState.PARTIAL, LegState.FAILED, LegState.SKIPPED)
    cancelled = OrderGroup.objects.filter(pk=group.pk, cancelled_at__isnull=False).exists()
    return cancelled or (group.on_failure == OrderGroup.OnFailure.UNWIND and failed)


def _release_or_skip(group: OrderGroup, leg: Leg, picture: Picture, *, sessions: Sessions, now: datetime) -> None:
    waits_for = [picture.legs[number] for number in leg.after]
    reason = _why_never(group, waits_for, stopping=_is_stopping(group, picture), now=now)
    if reason:
        _skip(group, leg, reason=reason)
    elif all(other.state is LegState.COMPLETE for other in waits_for):
        _release(group, leg, sessions=sessions, now=now)


def _why_never(group: OrderGroup, waits_for: Sequence[Leg], *, stopping: bool, now: datetime) -> str:
    over = (LegState.PARTIAL, LegState.FAILED, LegState.SKIPPED)
    ended = next((other for other in waits_for if other.state in over), None)
    if ended is not None:
        return f"leg {ended.number}, which it waits for, is {ended.state}"
    if stopping:
        return "the group was called off"
    return "the group's deadline has passed" if group.deadline_at <= now else ""


def _release(group: OrderGroup, leg: Leg, *, sessions: Sessions, now: datetime) -> None:
    """Enter the leg's slices; what was entered before is found by its key."""
    for number, size in enumerate(leg.sizes):
        # Slices are alike on purpose; the first one still meets the guard against repetitions.
        wanted = replace(leg.wanted, quantity=size, allow_duplicate=leg.wanted.allow_duplicate or number > 0)
        place = _Place(group=group, leg=leg.number, endpoint=LEG, key=f"{leg.number}:{number}")
        try:
            order = _enter(wanted, place, sessions=sessions, now=now)
        except (KiteError, PlatformError) as error:
            log.warning("orders.group.not_released", group=str(group.pk), leg=leg.number, error=str(error))
            if not getattr(error, "retryable", False):
                _skip(group, leg, reason=f"{error.code}: {error}")
            return
        if order.state == State.DENIED and number + 1 < len(leg.sizes):
            _skip(group, leg, reason=f"slice {number + 1} was denied: {order.reason}")
            return


@dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    """Where in a group an order belongs."""

    group: OrderGroup
    leg: int
    endpoint: str
    key: str


def _enter(wanted: Wanted, place: _Place, *, sessions: Sessions, now: datetime) -> Order:
    source = Source(
        account=place.group.account,
        client=place.group.client,
        endpoint=place.endpoint,
        key=f"{place.group.pk}:{place.key}",
        group=place.group,
        leg=place.leg,
    )
    return intake.enter(wanted=wanted, source=source, sessions=sessions, now=now).order


def _skip(group: OrderGroup, leg: Leg, *, reason: str) -> None:
    with transaction.atomic():
        held = OrderGroup.objects.select_for_update().get(pk=group.pk)
        held.skipped = {**held.skipped, str(leg.number): reason[:500]}
        held.save(update_fields=["skipped"])


def _call_off(picture: Picture, *, client: str, now: datetime) -> None:
    for leg in picture.legs:
        for order in leg.orders:
            if State(order.state) not in FINAL:
                intake.call_off(order=order, client=client, now=now)


def _must_unwind(group: OrderGroup, picture: Picture) -> bool:
    """Only once nothing can trade any more is it known what has to go back."""
    still = picture.has(LegState.WAITING, LegState.WORKING)
    return group.on_failure == OrderGroup.OnFailure.UNWIND and not still


def _unwind(group: OrderGroup, picture: Picture, *, sessions: Sessions, now: datetime) -> None:
    """Enter what gives back each leg; what was entered before is found by its key."""
    for leg in picture.legs:
        if not leg.filled_quantity or _given_back_by(picture, leg):
            continue
        back = _opposite(leg)
        for number, size in enumerate(sizes_of(back)):
            place = _Place(group=group, leg=leg.number, endpoint=UNWIND, key=f"unwind:{leg.number}:{number}")
            try:
                _enter(replace(back, quantity=size), place, sessions=sessions, now=now)
            except (KiteError, PlatformError) as error:
                log.warning("orders.group.not_unwound", group=str(group.pk), leg=leg.number, error=str(error))
                break


def _given_back_by(picture: Picture, leg: Leg) -> bool:
    """Say whether every order that gives the leg back was entered."""
    entered = sum(order.quantity for order in picture.unwinding if order.leg == leg.number)
    return entered >= leg.filled_quantity


def _opposite(leg: Leg) -> Wanted:
    """Return the order that gives back what a leg traded: at the market, within the broker's own band."""
    bought = leg.wanted.transaction_type == TransactionType.BUY
    return Wanted(
        account=leg.wanted.account,
        exchange=leg.wanted.exchange,
        tradingsymbol=leg.wanted.tradingsymbol,
        transaction_type=TransactionType.SELL if bought else TransactionType.BUY,
        order_type=OrderType.MARKET,
        product=leg.wanted.product,
        quantity=leg.filled_quantity,
        strategy=leg.wanted.strategy,
        allow_duplicate=True,
        autoslice=True,
    )


def _settle(group: OrderGroup, picture: Picture, *, now: datetime) -> bool:
    state = _group_state(group, picture, now=now)
    final = state not in {GroupState.WORKING, GroupState.UNWINDING}
    with transaction.atomic():
        held = OrderGroup.objects.select_for_update(of=("self",)).select_related("account").get(pk=group.pk)
        if held.finished_at is not None or held.state == state:
            return held.finished_at is not None
        held.state, held.finished_at = state, now if final else None
        held.save(update_fields=["state", "finished_at"])
        document = group_document(held, picture)
        announce(account_id=held.account_id, kind=f"orders.group.{state}", data={"group": document}, now=now)
        message = {"group": document}
        after_commit(publish, account_id=held.account_id, message=message)
    log.info("orders.group.moved", group=str(group.pk), kind=group.kind, state=state)
    return final


def _group_state(group: OrderGroup, picture: Picture, *, now: datetime) -> GroupState:
    overnight = trading_day(now) > trading_day(group.created_at)
    if picture.has(LegState.WAITING, LegState.WORKING) and not (overnight and _nothing_open(picture)):
        return GroupState.WORKING
    if all(leg.state is LegState.COMPLETE for leg in picture.legs):
        return GroupState.COMPLETE
    traded = any(leg.filled_quantity for leg in picture.legs)
    if not traded:
        return GroupState.FAILED
    if not _must_unwind(group, picture):
        return GroupState.PARTIAL
    entered = all(_given_back_by(picture, leg) for leg in picture.legs)
    if not entered and now < group.deadline_at + UNWIND_GRACE:
        return GroupState.UNWINDING
    if any(State(order.state) not in FINAL for order in picture.unwinding):
        return GroupState.UNWINDING
    given_back = sum(order.filled_quantity for order in picture.unwinding)
    return GroupState.UNWOUND if given_back == sum(leg.filled_quantity for leg in picture.legs) else GroupState.PARTIAL


def _nothing_open(picture: Picture) -> bool:
    return all(State(order.state) in FINAL for leg in picture.legs for order in leg.orders)
