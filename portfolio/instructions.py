"""Changes of a portfolio: written down, sent once, and looked for where the answer was lost."""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import structlog
from django.db import IntegrityError, transaction

from accounts.audit import record
from accounts.models import BrokerAccount, TradingHalt
from accounts.queries import Principal, login_for, open_halts
from accounts.sessions import Sessions
from kite.answers import PositionRow
from kite.errors import KiteError, OutcomeUnknown, Refused
from kite.types import Login
from orders.errors import IdempotencyMismatch
from portfolio.errors import InstructionInFlight, InstructionRefused, PositionUnknown, TradingHalted
from portfolio.models import Instruction

log = structlog.get_logger(__name__)

Kind = Instruction.Kind
State = Instruction.State
ENDING: Final = frozenset({Kind.FUND_ORDER_CANCEL, Kind.SIP_CANCEL})
Body = dict[str, Any]
Send = Callable[[], str]


@dataclass(frozen=True, slots=True)
class Instructed:
    """An instruction, and whether its key was used before."""

    instruction: Instruction
    replayed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A change as a caller asks for it; the body is in the broker's words."""

    account: BrokerAccount
    kind: Instruction.Kind
    body: Body
    idempotency_key: str


def instruct(*, principal: Principal, wanted: Wanted, sessions: Sessions, now: datetime) -> Instructed:
    """Carry one change to the broker, once for each key of a caller.

    Raises TradingHalted, LoginNeeded, PositionUnknown and InstructionRefused before anything is written;
    IdempotencyMismatch where the key was used for another body, InstructionInFlight where it is being carried.
    The broker's own answer is never raised: it is the instruction's state.
    """
    instruction = Instruction(
        account=wanted.account,
        client=principal.label,
        idempotency_key=wanted.idempotency_key,
        fingerprint=fingerprint(wanted.body),
        kind=wanted.kind,
        body=wanted.body,
        created_at=now,
    )
    earlier = _earlier(instruction)
    if earlier is not None:
        return Instructed(earlier, replayed=True)
    _check(wanted.account, wanted.kind)
    login = login_for(account_id=wanted.account.pk, now=now)
    send = PREPARATIONS[wanted.kind](sessions, login, instruction)
    if not _claim(instruction, actor=principal.label, now=now):
        earlier = _earlier(instruction)
        if earlier is None:
            raise InstructionInFlight("the Idempotency-Key is being used", field="Idempotency-Key")
        return Instructed(earlier, replayed=True)
    _carry(instruction, send, now=now)
    return Instructed(instruction, replayed=False)


def fingerprint(body: Mapping[str, object]) -> str:
    """Return the digest of a body, the same for the same values in any order."""
    return hashlib.sha256(json.dumps(body, sort_keys=True, default=str).encode()).hexdigest()


def settle(*, instruction: Instruction, state: Instruction.State, code: str, reason: str, now: datetime) -> bool:
    """Write what became of an instruction in doubt; False where somebody settled it before."""
    final = state in {State.DONE, State.REFUSED, State.NOT_DONE}
    changed = Instruction.objects.filter(pk=instruction.pk, settled_at__isnull=True).update(
        state=state,
        code=code,
        reason=reason[:500],
        broker_id=instruction.broker_id,
        settled_at=now if final else None,
    )
    instruction.refresh_from_db()
    return bool(changed)


def _earlier(instruction: Instruction) -> Instruction | None:
    held = (
        Instruction.objects.select_related("account")
        .filter(
            client=instruction.client,
            account_id=instruction.account_id,
            kind=instruction.kind,
            idempotency_key=instruction.idempotency_key,
        )
        .first()
    )
    if held is None:
        return None
    if held.fingerprint != instruction.fingerprint:
        raise IdempotencyMismatch("the Idempotency-Key was used for another body", field="Idempotency-Key")
    if held.state == State.SENDING:
        raise InstructionInFlight("the same request is being carried to the broker", field="Idempotency-Key")
    return held


def _check(account: BrokerAccount, kind: Instruction.Kind) -> None:
    if account.state == BrokerAccount.State.RETIRED:
        raise InstructionRefused(f"{account} is retired", field="account")
    if kind in ENDING:
        return
    if not account.places_orders:
        raise InstructionRefused(f"{account} does not place orders", field="account")
    for halt in open_halts():
        if halt.scope == TradingHalt.Scope.PLATFORM or (
            halt.scope == TradingHalt.Scope.ACCOUNT and halt.target == account.label
        ):
            raise TradingHalted(f"trading is {halt.level}: {halt.reason}", field="account")


def _claim(instruction: Instruction, *, actor: str, now: datetime) -> bool:
    """Write the instruction down before it leaves; False where another request with its key did."""
    try:
        with transaction.atomic():
            instruction.save(force_insert=True)
            record(
                actor=actor,
                action=f"portfolio.{instruction.kind}.asked",
                subject=instruction.account.label,
                detail={"instruction": str(instruction.pk)},
                now=now,
            )
    except IntegrityError:
        return False
    return True


def quantity_of(rows: tuple[PositionRow, ...], *, body: Body, product: str) -> int:
    """Return the net quantity of the body's instrument under a product, 0 where there is none."""
    wanted = (body["exchange"], body["tradingsymbol"], product)
    return sum(row.quantity for row in rows if (row.exchange, row.tradingsymbol, row.product) == wanted)


def _carry(instruction: Instruction, send: Send, *, now: datetime) -> None:
    try:
        instruction.broker_id = send()
    except OutcomeUnknown as error:
        settle(instruction=instruction, state=State.UNKNOWN, code=error.code, reason=error.message, now=now)
    except KiteError as error:
        state = State.REFUSED if isinstance(error, Refused) else State.NOT_DONE
        settle(instruction=instruction, state=state, code=f"broker_{error.code}", reason=error.message, now=now)
    else:
        settle(instruction=instruction, state=State.DONE, code="", reason="", now=now)
    log.info("portfolio.instruction.carried", id=str(instruction.pk), kind=instruction.kind, state=instruction.state)


def tag_of(instruction: Instruction) -> str:
    """Return the tag by which the broker's list shows the instruction: twenty characters of its id."""
    return instruction.pk.hex[:20]


def _conversion(sessions: Sessions, login: Login, instruction: Instruction) -> Send:
    """Check the position, and keep what its loss could be told from success by."""
    net, body = sessions.client(login).positions().net, instruction.body
    wanted = (body["exchange"], body["tradingsymbol"], body["old_product"])
    position = next((row for row in net if (row.exchange, row.tradingsymbol, row.product) == wanted), None)
    if position is None or abs(position.quantity) < body["quantity"]:
        held = 0 if position is None else position.quantity
        text = f"the account holds {held} of {wanted[0]}:{wanted[1]} as {wanted[2]}, less than {body['quantity']}"
        raise PositionUnknown(text, field="quantity")
    instruction.before = {
        "old": position.quantity,
        "new": quantity_of(net, body=body, product=body["new_product"]),
    }

    def send() -> str:
        sessions.client(login).convert_position(
            position, quantity=body["quantity"], new_product=body["new_product"], day=body["position_type"] == "day"
        )
        return ""

    return send


def _fund_order(sessions: Sessions, login: Login, instruction: Instruction) -> Send:
    return lambda: sessions.client(login).funds.place_order(**instruction.body, tag=tag_of(instruction))


def _fund_order_cancel(sessions: Sessions, login: Login, instruction: Instruction) -> Send:
    return lambda: sessions.client(login).funds.cancel_order(**instruction.body)


def _sip(sessions: Sessions, login: Login, instruction: Instruction) -> Send:
    return lambda: sessions.client(login).funds.place_sip(**instruction.body, tag=tag_of(instruction))


def _sip_change(sessions: Sessions, login: Login, instruction: Instruction) -> Send:
    return lambda: sessions.client(login).funds.modify_sip(**instruction.body)


def _sip_cancel(sessions: Sessions, login: Login, instruction: Instruction) -> Send:
    return lambda: sessions.client(login).funds.cancel_sip(**instruction.body)


PREPARATIONS: Final[Mapping[Instruction.Kind, Callable[[Sessions, Login, Instruction], Send]]] = {
    Kind.CONVERSION: _conversion,
    Kind.FUND_ORDER: _fund_order,
    Kind.FUND_ORDER_CANCEL: _fund_order_cancel,
    Kind.SIP: _sip,
    Kind.SIP_CHANGE: _sip_change,
    Kind.SIP_CANCEL: _sip_cancel,
}
