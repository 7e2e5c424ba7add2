"""Carries an order to the broker: claim, commit SENDING, send once, write down what the answer proves."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from http import HTTPStatus
from uuid import UUID

import structlog
from django.db import transaction

from accounts.credentials import expire_token
from accounts.health import stop
from accounts.queries import lock_halt_epoch
from accounts.sessions import Sessions
from accounts.statements import update
from kite.answers import Positions
from kite.errors import KiteError, OutcomeUnknown, Refused, SessionExpired, Throttled, Unavailable
from kite.types import Login, OrderRow
from orders import reconciliation, risk, updates
from orders.claims import (
    SOURCE,
    Claim,
    Later,
    Nothing,
    Wake,
    announce,
    claim_and_announce,
    deny,
    expire,
    knocked_again,
    nobody,
    standing_of,
)
from orders.clock import Clock
from orders.departure import Held, ready_to_place
from orders.models import Order
from orders.objections import Denial
from orders.parameters import request_of
from orders.queries import (
    is_part,
    locked_order,
    order_with_account,
    quantity_on_the_way,
    tag_of,
    waiting_order_locked,
)
from orders.states import State

log = structlog.get_logger(__name__)

STALE_CLAIM_SECONDS = 5.0
LOGIN_PAUSE = timedelta(seconds=2)
LONGEST_BACK_OFF_SECONDS = 8.0


def submit(*, order_id: UUID, sessions: Sessions, clock: Clock, wake: Wake = nobody) -> float | None:
    """Carry the order to the broker if it is due; return the seconds after which to knock again, if any.

    An account with many orders has a wake-up for a few of them: `wake` is called for the next one, and after how many
    seconds its turn comes, as soon as this one leaves the queue.
    """
    order = order_with_account(order_id)
    if order is None or order.state != State.READY:
        return None
    login = ready_to_place(account_id=order.account_id, sessions=sessions, clock=clock)
    if isinstance(login, Held):
        return _hold(order_id, login, clock=clock)
    claimed = claim_and_announce(order_id=order_id, clock=clock, wake=wake)
    if isinstance(claimed, Later):
        return claimed.seconds
    if isinstance(claimed, Nothing):
        return None
    return _carry(claimed, login=login, sessions=sessions, clock=clock)


def _carry(claimed: Claim, *, login: Login, sessions: Sessions, clock: Clock) -> float | None:
    if claimed.asks_first:
        try:
            if not _may_leave(claimed, login=login, sessions=sessions, clock=clock):
                return None
        except KiteError as error:
            verdict = _ask_for_login if isinstance(error, SessionExpired) else _try_again
            return verdict(claimed, error, login, clock)
        if not _commit_sending(claimed, clock=clock):
            return None
    # Between the commit and this line the process may have slept; what is stale must not be sent.
    if clock.monotonic() - claimed.taken > STALE_CLAIM_SECONDS:
        log.warning("orders.submit.stale", order_id=str(claimed.order.pk))
        return _not_sent(claimed, code="STALE_CLAIM", text="the claim was too old to send", wait=0.0, clock=clock)
    try:
        broker_order_id = sessions.client(login).place_order(request_of(claimed.order))
    except KiteError as error:
        return VERDICTS.get(type(error), _doubt)(claimed, error, login, clock)
    with transaction.atomic():
        order = locked_order(claimed.order.pk)
        updates.acknowledge(order=order, broker_order_id=broker_order_id, source=SOURCE, now=clock.now())
    return None


def _may_leave(claimed: Claim, *, login: Login, sessions: Sessions, clock: Clock) -> bool:
    """Ask the broker what must be known before this attempt: whether an earlier one arrived, what is held."""
    order = claimed.order
    client = sessions.client(login)
    if order.look_first and _already_there(order, rows=client.orders(), clock=clock):
        return False
    if claimed.reduce_only and not _reduces(order, client.positions()):
        _deny_growth(claimed, clock=clock)
        return False
    return True


def _commit_sending(claimed: Claim, *, clock: Clock) -> bool:
    """Commit SENDING before any byte leaves; give the claim back where a halt came between."""
    with transaction.atomic():
        epoch = lock_halt_epoch()
        order = locked_order(claimed.order.pk)
        if State(order.state) is not State.CLAIMED or order.attempt != claimed.order.attempt:
            return False
        now = clock.now()
        if epoch != claimed.epoch:
            _reconsider(order, now=now)
            return False
        announce(order=order, now=now)
        return True


def _reconsider(order: Order, *, now: datetime) -> None:
    """A halt was engaged or released since the claim: what it forbids is denied, the rest is claimed anew."""
    denial = risk.denial_at_claim(order=order, standing=standing_of(order, now=now))
    if denial is not None:
        deny(order=order, denial=denial, now=now)
        return
    values = {"not_before": now, "lease_until": None}
    updates.apply(order=order, move=updates.Move(to=State.READY, source=SOURCE, values=values), now=now)


def _reduces(order: Order, positions: Positions) -> bool:
    wanted = (order.exchange, order.tradingsymbol, order.product)
    net = sum(row.quantity for row in positions.net if (row.exchange, row.tradingsymbol, row.product) == wanted)
    return risk.reduces(order=order, net_quantity=net, on_the_way=quantity_on_the_way(order=order))


def _already_there(order: Order, *, rows: Sequence[OrderRow], clock: Clock) -> bool:
    """After a refusal by rate one look at the book comes first: a sent order must not be sent again."""
    for row in rows:
        tag = tag_of(row)
        if tag is not None and tag.number == order.number and not is_part(row):
            reconciliation.hear(account_id=order.account_id, row=row, now=clock.now(), source="book")
            return True
    return False


def _accept_refusal(claimed: Claim, error: KiteError, login: Login, clock: Clock) -> float | None:
    """The broker said no, with proof: the attempt is over."""
    code = error.evidence.error_type or "REFUSED"
    if error.evidence.status == HTTPStatus.FORBIDDEN:
        # Not this order but the account or the address may not order: nobody should try on unnoticed.
        log.error("orders.submit.forbidden", account_id=login.account_id, error=error.message)
        stop(account_id=UUID(login.account_id), reason=f"its orders are refused: {error.message}", now=clock.now())
    with transaction.atomic():
        order = locked_order(claimed.order.pk)
        if _mine(order, claimed):
            move = updates.Move(
                to=State.REJECTED, source=SOURCE, code=code, text=error.message, detail=_evidence(error)
            )
            updates.apply(order=order, move=move, now=clock.now())
    return None


def _ask_for_login(claimed: Claim, error: KiteError, login: Login, clock: Clock) -> float | None:
    """The token is dead and nothing was placed: wait for a login until the deadline."""
    expire_token(
        account_id=UUID(login.account_id), version=login.version, now=clock.now(), reason=f"order: {error.message}"
    )
    wait = LOGIN_PAUSE.total_seconds()
    return _not_sent(claimed, code="LOGIN_NEEDED", text=error.message, wait=wait, clock=clock)


def _back_off(claimed: Claim, error: KiteError, login: Login, clock: Clock) -> float | None:
    """Too many requests: nothing was placed; wait, longer each time, and look into the book before the next try."""
    wait = back_off_seconds(attempt=claimed.order.attempt, number=claimed.order.number)
    return _not_sent(claimed, code="THROTTLED", text=error.message, wait=wait, clock=clock, look_first=True)


def _try_again(claimed: Claim, error: KiteError, login: Login, clock: Clock) -> float | None:
    """No byte of the request left."""
    wait = back_off_seconds(attempt=claimed.order.attempt, number=claimed.order.number)
    return _not_sent(claimed, code="BROKER_UNREACHABLE", text=error.message, wait=wait, clock=clock)


def _doubt(claimed: Claim, error: KiteError, login: Login, clock: Clock) -> float | None:
    with transaction.atomic():
        order = locked_order(claimed.order.pk)
        if _mine(order, claimed):
            reconciliation.doubt(
                order=order, source=SOURCE, text=error.message, now=clock.now(), detail=_evidence(error)
            )
    return None


# What each kind of broker error proves about the attempt. A kind that is not listed proves nothing.
Verdict = Callable[[Claim, KiteError, Login, Clock], float | None]
VERDICTS: Mapping[type[KiteError], Verdict] = {
    Refused: _accept_refusal,
    SessionExpired: _ask_for_login,
    Throttled: _back_off,
    Unavailable: _try_again,
    OutcomeUnknown: _doubt,
}


def back_off_seconds(*, attempt: int, number: int) -> float:
    """Return the pause before the next attempt: doubling, spread by the order's own number."""
    spread = 0.5 + (number % 1000) / 1000
    return float(min(2 ** (attempt - 1), LONGEST_BACK_OFF_SECONDS)) * spread


def _not_sent(
    claimed: Claim, *, code: str, text: str, wait: float, clock: Clock, look_first: bool = False
) -> float | None:
    with transaction.atomic():
        order = locked_order(claimed.order.pk)
        if not _mine(order, claimed):
            return None
        now = clock.now()
        values = {
            **knocked_again(now=now, seconds=wait),
            "lease_until": None,
            "look_first": look_first or order.look_first,
        }
        move = updates.Move(to=State.READY, source=SOURCE, code=code, text=text, values=values)
        updates.apply(order=order, move=move, now=now)
        return wait


def _deny_growth(claimed: Claim, *, clock: Clock) -> None:
    text = "only orders that reduce a position pass, and this one does not"
    with transaction.atomic():
        order = locked_order(claimed.order.pk)
        if _mine(order, claimed):
            deny(order=order, denial=Denial("REDUCING_ONLY", text), now=clock.now())


def _mine(order: Order, claimed: Claim) -> bool:
    """While this process waited, the sweeper or the book may have gone on with the order."""
    return order.attempt == claimed.order.attempt and State(order.state) in {State.CLAIMED, State.SENDING}


def _hold(order_id: UUID, held: Held, *, clock: Clock) -> float | None:
    with transaction.atomic():
        order = waiting_order_locked(order_id)
        if order is None:
            return None
        now = clock.now()
        if order.deadline_at is not None and order.deadline_at <= now:
            expire(order=order, now=now)
            return None
        values = knocked_again(now=now, seconds=held.seconds)
        if order.reason_code == held.code:
            update(order, values)
        else:
            move = updates.Move(to=State.READY, source=SOURCE, code=held.code, text=held.text, values=values)
            updates.apply(order=order, move=move, now=now)
        return held.seconds


def _evidence(error: KiteError) -> dict[str, object]:
    seen = error.evidence
    return {"status": seen.status, "error_type": seen.error_type, "body": seen.body[:500]}
