"""The right to send one attempt of an order: state, halts, risk and budget judged and written in one transaction."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.conf import settings
from django.db import transaction

from accounts.queries import lock_halt_epoch, open_halts
from accounts.statements import update
from orders import risk, updates
from orders.budget import Spent, spend
from orders.clock import Clock, trading_day
from orders.models import Order, OrderBudget
from orders.objections import Denial
from orders.queries import (
    cancel_waits,
    exposure_of,
    lock_budget,
    risk_limits,
    stake_of,
    waiting_order_locked,
    wake_next,
)
from orders.states import State
from orders.tags import MAX_ATTEMPT, Tag, encode, installation_code

LEASE = timedelta(seconds=15)
REJECTION_WINDOW = timedelta(seconds=60)
SOURCE = "execution"

Wake = Callable[[UUID, float], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """The right to send an order once, when it was taken, and the epoch second of the account's next turn."""

    order: Order
    epoch: int
    taken: float
    reduce_only: bool
    turn_at: float

    @property
    def asks_first(self) -> bool:
        """Say whether the broker must be asked before this attempt, which no transaction may wait for."""
        return self.order.look_first or self.reduce_only


@dataclass(frozen=True, slots=True)
class Later:
    """The order cannot go yet: knock again after so many seconds."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Nothing:
    """There is nothing to send: settled, taken by somebody else, or, where it names an order, denied just now."""

    order: Order | None = None


def nobody(order_id: UUID, seconds: float) -> None:
    """Leave the account's next order to the sweeper."""


def claim(*, order_id: UUID, clock: Clock) -> Claim | Later | Nothing:
    """Take the right to send: state, halts, risk and budget judged and written in one transaction."""
    taken = clock.monotonic()
    with transaction.atomic():
        return _claim(order_id, taken=taken, clock=clock)


def tag_for(order: Order, *, attempt: int) -> str:
    """Return the correlation tag of one attempt."""
    installation = installation_code(settings.INSTALLATION_ID)
    return encode(Tag(installation=installation, number=order.number, attempt=min(attempt, MAX_ATTEMPT)))


def claim_and_announce(*, order_id: UUID, clock: Clock, wake: Wake) -> Claim | Later | Nothing:
    """Claim, and where the broker need not be asked first commit SENDING with it: one commit, one wait for the disk."""
    taken = clock.monotonic()
    with transaction.atomic():
        claimed = _claim(order_id, taken=taken, clock=clock)
        if isinstance(claimed, Claim) and not claimed.asks_first:
            announce(order=claimed.order, now=clock.now())
        follower = _next_after(claimed, clock=clock)
    if follower is not None:
        wake(*follower)
    return claimed


def _next_after(claimed: Claim | Later | Nothing, *, clock: Clock) -> tuple[UUID, float] | None:
    """Return whose turn is next and in how many seconds, where an order has left the queue."""
    if isinstance(claimed, Later) or claimed.order is None:
        return None
    now = clock.now()
    seconds = max(0.0, claimed.turn_at - now.timestamp()) if isinstance(claimed, Claim) else 0.0
    follower = wake_next(order=claimed.order, at=now + timedelta(seconds=seconds))
    return None if follower is None else (follower, seconds)


def _claim(order_id: UUID, *, taken: float, clock: Clock) -> Claim | Later | Nothing:
    epoch = lock_halt_epoch()
    order = waiting_order_locked(order_id)
    if order is None:
        return Nothing()
    now = clock.now()
    if order.deadline_at is not None and order.deadline_at <= now:
        expire(order=order, now=now)
        return Nothing(order)
    if order.not_before is not None and order.not_before > now:
        return Later((order.not_before - now).total_seconds())
    budget = lock_budget(order.account_id)
    standing = standing_of(order, now=now)
    denial = risk.denial_at_claim(order=order, standing=standing)
    if denial is not None:
        deny(order=order, denial=denial, now=now)
        return Nothing(order)
    wait = _take_budget(order, budget, now=clock.now())
    if wait is not None:
        return wait
    attempt = order.attempt + 1
    values = {"attempt": attempt, "tag": tag_for(order, attempt=attempt), "lease_until": now + LEASE}
    detail = {"attempt": attempt, "epoch": epoch}
    move = updates.Move(to=State.CLAIMED, source=SOURCE, values=values, detail=detail)
    updates.apply(order=order, move=move, now=now)
    reduce_only = risk.must_reduce(order=order, standing=standing)
    turn_at = budget.next_at - (budget.burst - 1) / budget.per_second
    return Claim(order=order, epoch=epoch, taken=taken, reduce_only=reduce_only, turn_at=turn_at)


def announce(*, order: Order, now: datetime) -> None:
    """Write down that a byte may leave once this is committed; the caller holds the row lock."""
    values = {"sent_at": now, "lease_until": now + LEASE, "look_first": False}
    move = updates.Move(to=State.SENDING, source=SOURCE, values=values, detail={"tag": order.tag})
    updates.apply(order=order, move=move, now=now)


def _take_budget(order: Order, budget: OrderBudget, *, now: datetime) -> Later | Nothing | None:
    """Write one call into the account's books, or say how long the order must wait for its turn."""
    if cancel_waits(account_id=order.account_id, now=now):
        return _postpone(order, seconds=1 / budget.per_second, now=now)
    spent = spend(
        spent=budget.spent, limits=budget.limits, at=now.timestamp(), day=trading_day(now), counts_for_day=True
    )
    if isinstance(spent, Spent):
        budget.keep(spent)
        return None
    if spent.seconds is None:
        text = f"the account has made {budget.per_day} order calls today"
        deny(order=order, denial=Denial("DAILY_ORDER_LIMIT", text), now=now)
        return Nothing(order)
    return _postpone(order, seconds=spent.seconds, now=now)


def _postpone(order: Order, *, seconds: float, now: datetime) -> Later:
    update(order, knocked_again(now=now, seconds=seconds))
    return Later(seconds)


def knocked_again(*, now: datetime, seconds: float) -> dict[str, object]:
    """Return the columns of an order whose next wake-up is on its way: the sweeper counts from when it is due."""
    due = now + timedelta(seconds=seconds)
    return {"not_before": due, "woken_at": due}


def standing_of(order: Order, *, now: datetime) -> risk.Standing:
    """Return how the order's account stands now."""
    day = trading_day(now)
    bounds = risk.bounds_from(risk_limits(order=order))
    bounded = bounds.max_position is not None or bounds.max_exposure is not None
    return risk.Standing(
        account=order.account,
        halts=tuple(open_halts()),
        bounds=bounds,
        exposure=exposure_of(
            account_id=order.account_id, day=day, leaving_out=order.pk, rejected_since=now - REJECTION_WINDOW
        ),
        stake=stake_of(order=order, day=day) if bounded else None,
    )


def deny(*, order: Order, denial: Denial, now: datetime) -> None:
    """End an order that a check objects to; the caller holds its row lock."""
    move = updates.Move(to=State.DENIED, source=SOURCE, code=denial.code, text=denial.text)
    updates.apply(order=order, move=move, now=now)


def expire(*, order: Order, now: datetime) -> None:
    """End an order whose deadline is over; the caller holds its row lock."""
    text = f"not at the broker by {order.deadline_at:%H:%M:%S} UTC"
    if order.reason_code:
        text = f"{text}; {order.reason_code}: {order.reason}"
    move = updates.Move(to=State.EXPIRED_LOCAL, source=SOURCE, code="DEADLINE_PASSED", text=text)
    updates.apply(order=order, move=move, now=now)
