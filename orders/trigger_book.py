"""Triggers as the broker's list shows them: our rows follow it, and it settles writes in doubt.

A trigger bears no tag. What was sent is recognised by what it says, and one write at a time for each account and symbol
keeps two of the same kind apart.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

import structlog
from django.db import transaction

from accounts.commits import after_commit
from accounts.queries import login_for
from accounts.sessions import Sessions
from kite.answers import GttLeg, GttRequest, GttRow
from orders.parents import Trigger, TriggerWrite
from orders.queries import accounts_to_reconcile
from orders.stream import publish
from webhooks.announcing import announce

log = structlog.get_logger(__name__)

Kind, State = TriggerWrite.Kind, TriggerWrite.State
OPEN: Final = (State.SENDING, State.UNKNOWN)
ACTIVE: Final = "active"
# The longest answer of the broker is 7 s; a process that died in between never says.
LONGEST_CARRY: Final = timedelta(seconds=30)
QUARANTINE: Final = timedelta(seconds=180)


@dataclass(frozen=True, slots=True, kw_only=True)
class WantedLeg:
    """One order a trigger places when it fires; LIMIT alone."""

    transaction_type: str
    quantity: int
    product: str
    price: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class WantedTrigger:
    """What a client wants to wait at the broker: one value and leg, or two of each, ascending."""

    exchange: str
    tradingsymbol: str
    trigger_values: tuple[Decimal, ...]
    legs: tuple[WantedLeg, ...]
    strategy: str = ""

    @property
    def type(self) -> str:
        """The broker's word for the number of legs."""
        return "single" if len(self.legs) == 1 else "two-leg"


def accounts_to_read() -> list[UUID]:
    """Return the accounts whose triggers are watched."""
    return [account.pk for account in accounts_to_reconcile()]


def reconcile(*, account_id: UUID, sessions: Sessions, now: datetime) -> int:
    """Make our rows what the broker's list shows, settle writes in doubt, and return how many rows changed."""
    login = login_for(account_id=account_id, now=now)
    rows = sessions.client(login).gtts()
    shown = {row.trigger_id: row for row in rows}
    doubtful = TriggerWrite.objects.select_related("trigger", "account").filter(account_id=account_id, state__in=OPEN)
    for write in doubtful:
        if write.state == State.UNKNOWN or now - write.created_at > LONGEST_CARRY:
            _look(write, shown, now=now)
    return sum(_mirror(account_id, row, now=now) for row in rows)


def body_of(wanted: WantedTrigger) -> dict[str, Any]:
    """Return the trigger as it is stored and compared: exact numbers as text."""
    legs = [
        {
            "transaction_type": leg.transaction_type,
            "quantity": leg.quantity,
            "product": leg.product,
            "price": _text(leg.price),
        }
        for leg in wanted.legs
    ]
    values = [_text(value) for value in wanted.trigger_values]
    return {
        "type": wanted.type,
        "exchange": wanted.exchange,
        "tradingsymbol": wanted.tradingsymbol,
        "trigger_values": values,
        "legs": legs,
    }


def request_of(body: Mapping[str, Any], last_price: Decimal) -> GttRequest:
    """Return the broker's parameters of a stored trigger."""
    return GttRequest(
        type=body["type"],
        exchange=body["exchange"],
        tradingsymbol=body["tradingsymbol"],
        trigger_values=tuple(Decimal(value) for value in body["trigger_values"]),
        last_price=last_price,
        legs=tuple(GttLeg(order_type="LIMIT", **{**leg, "price": Decimal(leg["price"])}) for leg in body["legs"]),
    )


def trigger_document(trigger: Trigger) -> dict[str, Any]:
    """Return the trigger as clients see it. Triggered is not filled: the results say what became of its orders."""
    return {
        "id": str(trigger.pk),
        "account": trigger.account.label,
        "origin": trigger.origin,
        "trigger_id": trigger.broker_trigger_id,
        "type": trigger.type,
        "exchange": trigger.exchange,
        "tradingsymbol": trigger.tradingsymbol,
        "trigger_values": [float(value) for value in trigger.trigger_values],
        "last_price": float(trigger.last_price),
        "legs": [{**leg, "price": float(leg["price"])} for leg in trigger.legs],
        "status": trigger.status,
        "results": trigger.results,
        "created_at": trigger.created_at.isoformat(),
        "expires_at": trigger.expires_at.isoformat() if trigger.expires_at else None,
        "seen_at": trigger.seen_at.isoformat() if trigger.seen_at else None,
    }


def settle(
    write: TriggerWrite,
    state: TriggerWrite.State,
    *,
    now: datetime,
    code: str = "",
    reason: str = "",
    broker_id: int = 0,
) -> None:
    """Write what became of a write, and what that makes of its trigger."""
    with transaction.atomic():
        held = TriggerWrite.objects.select_for_update().get(pk=write.pk)
        if held.settled_at is not None:
            return
        held.state, held.code, held.reason = state, code, reason[:500]
        held.settled_at = None if state in OPEN else now
        held.save(update_fields=["state", "code", "reason", "settled_at"])
        trigger = Trigger.objects.select_for_update(of=("self",)).select_related("account").get(pk=write.trigger_id)
        _follow(trigger, held, broker_id=broker_id)
        trigger.save()
        _tell(trigger, now=now)
    write.state, write.code, write.reason, write.settled_at = held.state, held.code, held.reason, held.settled_at
    log.info("orders.gtt.written", gtt=str(write.trigger_id), kind=write.kind, state=state)


def _follow(trigger: Trigger, write: TriggerWrite, *, broker_id: int) -> None:
    kind, state = Kind(write.kind), State(write.state)
    if kind is Kind.PLACE:
        words = {State.DONE: ACTIVE, State.REFUSED: "rejected", State.NOT_DONE: "not_placed", State.UNKNOWN: "unknown"}
        trigger.status = words[state]
        trigger.broker_trigger_id = broker_id or trigger.broker_trigger_id
    elif state is State.DONE and kind is Kind.MODIFY:
        take_over(trigger, write.body)
    elif state is State.DONE:
        trigger.status = "deleted"


def _look(write: TriggerWrite, shown: Mapping[int, GttRow], *, now: datetime) -> None:
    """Judge a write in doubt by the broker's list."""
    found = LOOKS[Kind(write.kind)](write, shown)
    if found is not None:
        settle(write, State.DONE, broker_id=found, reason="found at the broker", now=now)
    elif now - write.created_at > QUARANTINE:
        reason = f"the broker does not show it {QUARANTINE.total_seconds():.0f} s later"
        settle(write, State.NOT_DONE, code="not_found", reason=reason, now=now)
    elif write.state == State.SENDING:
        settle(write, State.UNKNOWN, code="outcome_unknown", reason="the process that sent it fell silent", now=now)


def _placed(write: TriggerWrite, shown: Mapping[int, GttRow]) -> int | None:
    taken = set(
        Trigger.objects.filter(account_id=write.account_id, broker_trigger_id__in=shown).values_list(
            "broker_trigger_id", flat=True
        )
    )
    new = (row for key, row in sorted(shown.items()) if key not in {*write.known_before, *taken})
    return next((row.trigger_id for row in new if _says(row) == write.body), None)


def _modified(write: TriggerWrite, shown: Mapping[int, GttRow]) -> int | None:
    row = shown.get(write.trigger.broker_trigger_id or 0)
    return row.trigger_id if row is not None and _says(row) == write.body else None


def _cancelled(write: TriggerWrite, shown: Mapping[int, GttRow]) -> int | None:
    row = shown.get(write.trigger.broker_trigger_id or 0)
    gone = row is None or row.status in {"deleted", "cancelled"}
    return write.trigger.broker_trigger_id if gone else None


LOOKS: Final[Mapping[TriggerWrite.Kind, Callable[[TriggerWrite, Mapping[int, GttRow]], int | None]]] = {
    Kind.PLACE: _placed,
    Kind.MODIFY: _modified,
    Kind.CANCEL: _cancelled,
}


def _mirror(account_id: UUID, row: GttRow, *, now: datetime) -> bool:
    """Take over what the broker shows of one trigger, and say whether it was news."""
    says = _says(row)
    with transaction.atomic():
        trigger = (
            Trigger.objects.select_for_update(of=("self",))
            .select_related("account")
            .filter(account_id=account_id, broker_trigger_id=row.trigger_id)
            .first()
        )
        if trigger is None and _may_be_ours(account_id, row):
            return False
        news = trigger is None or trigger.status != row.status or _held(trigger) != says
        if trigger is None:
            trigger = Trigger(account_id=account_id, origin=Trigger.Origin.EXTERNAL, created_at=row.created_at or now)
        take_over(trigger, says)
        trigger.broker_trigger_id, trigger.status, trigger.last_price = row.trigger_id, row.status, row.last_price
        trigger.expires_at, trigger.seen_at = row.expires_at, now
        orders = row.raw.get("orders")
        trigger.results = [leg.get("result") for leg in orders] if isinstance(orders, list) else []
        trigger.save()
        if news:
            _tell(trigger, now=now)
        return news


def _may_be_ours(account_id: UUID, row: GttRow) -> bool:
    """A write in doubt is settled before a row that says the same is taken for somebody else's."""
    return TriggerWrite.objects.filter(
        account_id=account_id, exchange=row.exchange, tradingsymbol=row.tradingsymbol, kind=Kind.PLACE, state__in=OPEN
    ).exists()


def _says(row: GttRow) -> dict[str, Any]:
    wanted = WantedTrigger(
        exchange=row.exchange,
        tradingsymbol=row.tradingsymbol,
        trigger_values=row.trigger_values,
        legs=tuple(
            WantedLeg(
                transaction_type=leg.transaction_type, quantity=leg.quantity, product=leg.product, price=leg.price
            )
            for leg in row.legs
        ),
    )
    return body_of(wanted)


def _held(trigger: Trigger) -> dict[str, Any]:
    names = ("type", "exchange", "tradingsymbol", "trigger_values", "legs")
    return {name: getattr(trigger, name) for name in names}


def take_over(trigger: Trigger, body: Mapping[str, Any]) -> None:
    """Give the trigger the stored values."""
    for name in ("type", "exchange", "tradingsymbol", "trigger_values", "legs"):
        setattr(trigger, name, body[name])


def _tell(trigger: Trigger, *, now: datetime) -> None:
    message = {"gtt": trigger_document(trigger)}
    announce(account_id=trigger.account_id, kind=f"orders.gtt.{trigger.status}", data=message, now=now)
    after_commit(publish, account_id=trigger.account_id, message=message)


def _text(value: Decimal) -> str:
    return format(value.normalize(), "f")
