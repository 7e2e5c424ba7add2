"""Good-till-triggered orders: checked, written down, sent once; `orders.trigger_book` settles what stays in doubt."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

import structlog
from django.db import IntegrityError, transaction

from accounts.audit import record
from accounts.credentials import expire_token
from accounts.models import BrokerAccount
from accounts.queries import Principal, account_by_label, login_for
from accounts.sessions import Sessions
from kite.errors import KiteError, OutcomeUnknown, Refused, SessionExpired
from kite.types import Login, OrderType
from market_data.queries import instrument_by_symbol
from orders import claims, intake, pricing, risk
from orders.clock import trading_day
from orders.drafts import fingerprint
from orders.errors import IdempotencyMismatch, TriggerBusy, TriggerDenied, TriggerEnded, TriggerUnknown
from orders.models import Order
from orders.parents import Trigger, TriggerWrite
from orders.tags import number_of
from orders.trigger_book import Kind, State, WantedLeg, WantedTrigger, body_of, request_of, settle, take_over

log = structlog.get_logger(__name__)

ENDED: Final = frozenset({"triggered", "disabled", "expired", "cancelled", "rejected", "deleted", "not_placed"})


@dataclass(frozen=True, slots=True)
class Written:
    """A write, its trigger, and whether its key was used before."""

    write: TriggerWrite
    trigger: Trigger
    replayed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ask:
    account: BrokerAccount
    principal: Principal
    kind: TriggerWrite.Kind
    key: str
    body: dict[str, Any]


def place(
    *, principal: Principal, account_label: str, wanted: WantedTrigger, key: str, sessions: Sessions, now: datetime
) -> Written:
    """Place a trigger, once for each key; raises TriggerDenied, TriggerBusy and LoginNeeded before anything leaves."""
    account = account_by_label(label=account_label, principal=principal)
    ask = _Ask(account=account, principal=principal, kind=Kind.PLACE, key=key, body=body_of(wanted))
    earlier = _earlier(ask)
    if earlier is not None:
        return earlier
    last = _check(wanted, account=account, sessions=sessions, now=now)
    login = login_for(account_id=account.pk, now=now)
    client = sessions.client(login)
    known = [row.trigger_id for row in client.gtts()]
    trigger = Trigger(
        account=account, origin=Trigger.Origin.PLATFORM, status="sending", created_at=now, last_price=last
    )
    take_over(trigger, ask.body)
    return _carry(
        ask, trigger, send=lambda: client.place_gtt(request_of(ask.body, last)), login=login, now=now, known=known
    )


def modify(
    *, principal: Principal, trigger_id: UUID, wanted: WantedTrigger, key: str, sessions: Sessions, now: datetime
) -> Written:
    """Give a waiting trigger other values and legs."""
    trigger = visible_trigger(principal=principal, trigger_id=trigger_id)
    ask = _Ask(account=trigger.account, principal=principal, kind=Kind.MODIFY, key=key, body=body_of(wanted))
    earlier = _earlier(ask, trigger=trigger)
    if earlier is not None:
        return earlier
    broker_id = _changeable(trigger)
    if (trigger.type, trigger.exchange, trigger.tradingsymbol) != (wanted.type, wanted.exchange, wanted.tradingsymbol):
        raise TriggerDenied("a trigger keeps its type and its symbol: cancel it and place another", field="legs")
    last = _check(wanted, account=trigger.account, sessions=sessions, now=now)
    login = login_for(account_id=trigger.account_id, now=now)
    client = sessions.client(login)
    return _carry(
        ask, trigger, send=lambda: client.modify_gtt(broker_id, request_of(ask.body, last)), login=login, now=now
    )


def cancel(*, principal: Principal, trigger_id: UUID, key: str, sessions: Sessions, now: datetime) -> Written:
    """Take a waiting trigger back; no halt stops this."""
    trigger = visible_trigger(principal=principal, trigger_id=trigger_id)
    ask = _Ask(account=trigger.account, principal=principal, kind=Kind.CANCEL, key=key, body={"id": str(trigger_id)})
    earlier = _earlier(ask, trigger=trigger)
    if earlier is not None:
        return earlier
    broker_id = _changeable(trigger)
    login = login_for(account_id=trigger.account_id, now=now)
    client = sessions.client(login)
    return _carry(ask, trigger, send=lambda: client.delete_gtt(broker_id), login=login, now=now)


def visible_trigger(*, principal: Principal, trigger_id: UUID) -> Trigger:
    """Return the trigger; raises TriggerUnknown."""
    found = Trigger.objects.select_related("account").filter(pk=trigger_id).first()
    if found is None or not principal.sees(found.account_id):
        raise TriggerUnknown(f"no trigger {trigger_id}")
    return found


def _check(wanted: WantedTrigger, *, account: BrokerAccount, sessions: Sessions, now: datetime) -> Decimal:
    """Return the last price; raises TriggerDenied where an order of the trigger would not pass."""
    instrument = instrument_by_symbol(exchange=wanted.exchange, tradingsymbol=wanted.tradingsymbol)
    price = pricing.last_price(instrument=instrument, account_id=account.pk, sessions=sessions, now=now)
    for number, leg in enumerate(wanted.legs):
        order = _leg_order(wanted, leg, account=account, now=now)
        standing = claims.standing_of(order, now=now)
        denial = risk.denial_of_trigger(order=order, instrument=instrument, standing=standing)
        if denial is not None:
            field = f"legs.{number}.{denial.field}" if denial.field else None
            raise TriggerDenied(f"{denial.code}: {denial.text}", field=field)
    values, last = wanted.trigger_values, price.rupees
    if any(value % instrument.tick_size for value in values):
        raise TriggerDenied(f"a trigger value is off the tick of {instrument.tick_size:f}", field="trigger_values")
    if last in values or (len(values) > 1 and not values[0] < last < values[1]):
        raise TriggerDenied(f"the last price {last:f} would fire it at once", field="trigger_values")
    return last


def _leg_order(wanted: WantedTrigger, leg: WantedLeg, *, account: BrokerAccount, now: datetime) -> Order:
    order = Order(
        account=account,
        strategy=wanted.strategy,
        exchange=wanted.exchange,
        tradingsymbol=wanted.tradingsymbol,
        transaction_type=leg.transaction_type,
        order_type=OrderType.LIMIT,
        product=leg.product,
        quantity=leg.quantity,
        price=leg.price,
        notional=leg.price * leg.quantity,
        trading_day=trading_day(now),
        created_at=now,
    )
    order.number = number_of(order.pk)
    return order


def _changeable(trigger: Trigger) -> int:
    if trigger.broker_trigger_id is None or trigger.status in ENDED:
        raise TriggerEnded(f"the trigger is {trigger.status}")
    return trigger.broker_trigger_id


def _earlier(ask: _Ask, *, trigger: Trigger | None = None) -> Written | None:
    held = (
        TriggerWrite.objects.select_related("trigger", "trigger__account")
        .filter(client=intake.client_of(ask.principal), account=ask.account, kind=ask.kind, idempotency_key=ask.key)
        .first()
    )
    if held is None:
        return None
    other = trigger is not None and held.trigger_id != trigger.pk
    if held.fingerprint != fingerprint(ask.body) or other:
        raise IdempotencyMismatch("the Idempotency-Key was used for another body", field="Idempotency-Key")
    return Written(held, held.trigger, replayed=True)


def _carry(
    ask: _Ask, trigger: Trigger, *, send: Callable[[], int], login: Login, now: datetime, known: Sequence[int] = ()
) -> Written:
    write = _claim(ask, trigger, known=known, now=now)
    if write is None:
        earlier = _earlier(ask, trigger=trigger if ask.kind != Kind.PLACE else None)
        if earlier is None:
            raise TriggerBusy("another write for this symbol is on its way or in doubt", field="tradingsymbol")
        return earlier
    try:
        broker_id = send()
    except OutcomeUnknown as error:
        settle(write, State.UNKNOWN, code=error.code, reason=error.message, now=now)
    except KiteError as error:
        if isinstance(error, SessionExpired):
            expire_token(account_id=ask.account.pk, version=login.version, now=now, reason=error.message)
        state = State.REFUSED if isinstance(error, Refused) else State.NOT_DONE
        settle(write, state, code=f"broker_{error.code}", reason=error.message, now=now)
    else:
        settle(write, State.DONE, broker_id=broker_id, now=now)
    write.trigger.refresh_from_db()
    return Written(write, write.trigger, replayed=False)


def _claim(ask: _Ask, trigger: Trigger, *, known: Sequence[int], now: datetime) -> TriggerWrite | None:
    """Write down what is asked before it leaves; None where the key or the symbol is taken."""
    write = TriggerWrite(
        account=ask.account,
        trigger=trigger,
        kind=ask.kind,
        client=intake.client_of(ask.principal),
        idempotency_key=ask.key,
        fingerprint=fingerprint(ask.body),
        exchange=trigger.exchange,
        tradingsymbol=trigger.tradingsymbol,
        body=ask.body,
        known_before=list(known),
        created_at=now,
    )
    try:
        with transaction.atomic():
            if ask.kind == Kind.PLACE:
                trigger.save(force_insert=True)
            write.save(force_insert=True)
            record(
                actor=ask.principal.label,
                action=f"orders.gtt.{ask.kind}",
                subject=f"gtt:{trigger.pk}",
                detail={"account": ask.account.label, "write": str(write.pk)},
                now=now,
            )
    except IntegrityError:
        return None
    return write
