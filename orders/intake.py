"""Takes orders in: check, write the intent and its first event, and knock once it is committed."""

import contextlib
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from functools import partial
from uuid import UUID

import structlog
from django.db import IntegrityError, transaction
from django.db.models import Q

from accounts.commits import after_commit
from accounts.errors import PlatformError
from accounts.queries import Principal, account_by_label
from accounts.sessions import Sessions
from accounts.statements import first, insert, prepared
from kite.errors import KiteError
from kite.types import OrderType, Variety
from market_data.models import Instrument
from market_data.queries import instrument_by_symbol
from orders import changes, claims, hours, means, pricing, risk, tasks, updates
from orders.drafts import Source, Wanted, draft, fingerprint
from orders.errors import (
    ChangeForbidden,
    IdempotencyMismatch,
    MarginUnavailable,
    NothingToExit,
    OrderEnded,
    OrderUnknown,
    PriceUnavailable,
    ReplacementForbidden,
)
from orders.models import Order, OrderCommand
from orders.objections import Denial, Margin
from orders.parents import OrderGroup
from orders.queries import margin_is_limited, similar_exists
from orders.states import FINAL, State

log = structlog.get_logger(__name__)

ENDPOINT = "orders"
EARLIER = "client = %s AND account_id = %s AND endpoint = %s AND idempotency_key = %s"
DUPLICATE_WINDOW = timedelta(seconds=2)
# The broker allows 25 changes of one order; what remains is for hands in need.
MAX_MODIFICATIONS = 20
REPLACEABLE = frozenset({State.DENIED, State.EXPIRED_LOCAL, State.REJECTED, State.NOT_PLACED})


@dataclass(frozen=True, slots=True)
class Seen:
    """What an order is judged by and no transaction may wait for; the margin only where a limit needs it."""

    instrument: Instrument
    price: pricing.Price | None
    margin: Margin | None


@dataclass(frozen=True, slots=True)
class Judged:
    """A draft of an order, its instrument, and what the checks object to."""

    order: Order
    instrument: Instrument
    denial: Denial | None


@dataclass(frozen=True, slots=True)
class Placed:
    """The order of a request, and whether an earlier request had made it."""

    order: Order
    replayed: bool


@dataclass(frozen=True, slots=True)
class Asked:
    """The command of a request, None where the order was withdrawn at once; and whether an earlier one had made it."""

    order: Order
    command: OrderCommand | None
    replayed: bool


def place(*, principal: Principal, wanted: Wanted, idempotency_key: str, sessions: Sessions, now: datetime) -> Placed:
    """Return the order that the request makes, or made when it came before; a denied order is an order too."""
    account = account_by_label(label=wanted.account, principal=principal)
    source = Source(account=account, client=client_of(principal), endpoint=ENDPOINT, key=idempotency_key)
    return enter(wanted=wanted, source=source, sessions=sessions, now=now)


def enter(*, wanted: Wanted, source: Source, sessions: Sessions, now: datetime) -> Placed:
    """Take one order in, once for each key of its source."""
    order = draft(wanted, source=source, now=now)
    earlier = _earlier(order)
    if earlier is not None:
        return earlier
    seen = _look_up(order, sessions=sessions, now=now)
    try:
        with transaction.atomic():
            _write(order, wanted=wanted, seen=seen)
    except IntegrityError:
        # The same key came twice at once, and the other request was first.
        earlier = _earlier(order)
        if earlier is None:
            raise
        return earlier
    return Placed(order=order, replayed=False)


def judge(*, wanted: Wanted, source: Source, sessions: Sessions, now: datetime, ahead: Sequence[Order] = ()) -> Judged:
    """Say what the checks think of an order at this moment, behind others not yet made, and write nothing."""
    order = draft(wanted, source=source, now=now)
    seen = _look_up(order, sessions=sessions, now=now)
    facts = _facts(order, wanted=wanted, seen=seen)
    exposure = replace(
        facts.exposure,
        open_orders=facts.exposure.open_orders + len(ahead),
        day_notional=facts.exposure.day_notional + sum(each.notional for each in ahead),
    )
    facts = replace(facts, exposure=exposure)
    return Judged(order, seen.instrument, risk.denial_at_intake(order=order, facts=facts, sliced=wanted.autoslice))


def modify(
    *, principal: Principal, order_id: UUID, wanted: Mapping[str, object], idempotency_key: str, now: datetime
) -> Asked:
    """Ask for absolute new values of an order at the broker."""
    order = visible_order(principal=principal, order_id=order_id)
    ask = updates.Ask(
        kind=OrderCommand.Kind.MODIFY,
        client=client_of(principal),
        idempotency_key=idempotency_key,
        fingerprint=fingerprint(wanted),
        changes={name: str(value) if isinstance(value, Decimal) else value for name, value in wanted.items()},
    )
    earlier = _earlier_command(order, ask)
    if earlier is not None:
        return earlier
    _check_change(order, wanted, now=now)
    return put(order, ask, now=now)


def cancel(*, principal: Principal, order_id: UUID, idempotency_key: str | None, now: datetime) -> Asked:
    """Ask for the end of an order; one that has not left yet is withdrawn at once."""
    order = visible_order(principal=principal, order_id=order_id)
    ask = updates.Ask(
        kind=OrderCommand.Kind.CANCEL,
        client=client_of(principal),
        idempotency_key=idempotency_key,
        fingerprint=fingerprint({}),
    )
    earlier = _earlier_command(order, ask) if idempotency_key else None
    return earlier or put(order, ask, now=now)


def call_off(*, order: Order, client: str, now: datetime) -> None:
    """Ask for the end of an order on behalf of who made it; one that has ended is left as it is."""
    with contextlib.suppress(OrderEnded):
        put(order, updates.Ask(kind=OrderCommand.Kind.CANCEL, client=client), now=now)


def exit_cover(*, principal: Principal, order_id: UUID, idempotency_key: str | None, now: datetime) -> Asked:
    """Ask for the exit of a cover order: of its entry while that waits, else of the stop that it brought."""
    order = visible_order(principal=principal, order_id=order_id)
    if order.variety != Variety.CO:
        raise NothingToExit(f"order {order_id} is no cover order")
    pair = Order.objects.filter(account_id=order.account_id, variety=Variety.CO).exclude(state__in=FINAL)
    family = Q(pk=order.pk)
    if order.broker_order_id:
        family |= Q(parent_order_id=order.broker_order_id)
    part = pair.filter(family).order_by("created_at").first()
    if part is None:
        raise NothingToExit("neither the entry nor the stop of the cover order is open")
    return cancel(principal=principal, order_id=part.pk, idempotency_key=idempotency_key, now=now)


def acknowledge_orphan(*, order: Order, by: str, now: datetime) -> None:
    """Write down that somebody took note of an orphan; the caller holds its row lock."""
    values = {"acknowledged_at": now, "acknowledged_by": by}
    kind = "orders.order.acknowledged"
    updates.apply(
        order=order, move=updates.Move(to=State(order.state), source="api", kind=kind, values=values), now=now
    )


def visible_order(*, principal: Principal, order_id: UUID) -> Order:
    """Return the order, or raise OrderUnknown where it is absent or of an account that the principal does not see."""
    order = Order.objects.select_related("account").filter(pk=order_id).first()
    if order is None or not principal.sees(order.account_id):
        raise OrderUnknown(f"no order {order_id}")
    return order


def _write(order: Order, *, wanted: Wanted, seen: Seen) -> None:
    _serialise_content(order)
    if order.variety == Variety.ICEBERG and order.group is None:
        order.group, order.leg = _group_of_parts(order, wanted=wanted), 0
    order.replaces = _replaced(order, wanted.replaces)
    facts = _facts(order, wanted=wanted, seen=seen)
    denial = risk.denial_at_intake(order=order, facts=facts)
    # A long queue is not woken order by order: whoever leaves it wakes the next one.
    woken = denial is None and facts.exposure.waiting < tasks.WOKEN_AT_ONCE
    order.woken_at = order.created_at if woken else None
    if denial is not None:
        order.state = State.DENIED
        order.reason_code, order.reason = denial.code, denial.text
        order.finished_at = order.created_at
    insert(order)
    first = updates.Move(to=State(order.state), source="api", code=order.reason_code, text=order.reason)
    updates.record(order=order, before=None, move=first, now=order.created_at)
    if woken:
        transaction.on_commit(partial(tasks.knock, tasks.submit_order, order.pk))
    if seen.price is not None and not seen.price.band_known:
        after_commit(tasks.learn_soon, account_id=order.account_id, instrument_id=seen.instrument.pk)


def _facts(order: Order, *, wanted: Wanted, seen: Seen) -> risk.Facts:
    price = seen.price
    standing = claims.standing_of(order, now=order.created_at)
    return risk.Facts(
        account=standing.account,
        halts=standing.halts,
        bounds=standing.bounds,
        exposure=standing.exposure,
        stake=standing.stake,
        instrument=seen.instrument,
        similar=not wanted.allow_duplicate and similar_exists(order=order, within=DUPLICATE_WINDOW),
        last_price=price.rupees if price else None,
        price_age_seconds=price.age_seconds if price else 0.0,
        band=price.band if price else None,
        market=hours.market_at(exchange=order.exchange, at=order.created_at),
        margin=seen.margin,
    )


def _look_up(order: Order, *, sessions: Sessions, now: datetime) -> Seen:
    """Complete the draft with what the instrument says, and return it with what had to be asked of others."""
    instrument = instrument_by_symbol(exchange=order.exchange, tradingsymbol=order.tradingsymbol)
    order.instrument_token = instrument.instrument_token
    price = _last_price(order, instrument, sessions=sessions, now=now)
    reference = risk.reference_price(order=order, last_price=price.rupees if price else None)
    order.notional = (reference or Decimal(0)) * order.quantity
    margin = _margin(order, reference, sessions=sessions, now=now) if margin_is_limited(order=order) else None
    return Seen(instrument, price, margin)


def _margin(order: Order, price: Decimal | None, *, sessions: Sessions, now: datetime) -> Margin:
    """Return what the order would block; raise MarginUnavailable where nobody can tell."""
    try:
        return means.margin_for(order=order, price=price or Decimal(0), sessions=sessions, now=now)
    except (KiteError, PlatformError) as error:
        raise MarginUnavailable(f"the margin of the order is not known: {error}") from error


def _group_of_parts(order: Order, *, wanted: Wanted) -> OrderGroup:
    """The broker makes an order of each leg of an iceberg; what they reach together is the group's."""
    return OrderGroup.objects.create(
        account=order.account,
        kind=OrderGroup.Kind.PARTS,
        client=order.client,
        idempotency_key=f"{order.endpoint}:{order.idempotency_key}"[:128],
        fingerprint=order.fingerprint,
        strategy=order.strategy,
        plan=[{**asdict(wanted), "after": [], "sizes": [order.quantity]}],
        created_at=order.created_at,
        deadline_at=order.created_at + timedelta(seconds=wanted.deadline_seconds),
    )


def _serialise_content(order: Order) -> None:
    """Let orders of the same content through one at a time, so that two at once see each other."""
    content = f"{order.account_id}|{order.exchange}|{order.tradingsymbol}|{order.transaction_type}"
    number = int.from_bytes(hashlib.sha256(content.encode()).digest()[:8], signed=True)
    with prepared() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [number])


def _key_of(order: Order) -> tuple[object, ...]:
    return order.client, order.account_id, order.endpoint, order.idempotency_key


def _earlier(order: Order) -> Placed | None:
    held = first(Order, EARLIER, *_key_of(order), along="account")
    if held is None:
        return None
    if held.fingerprint != order.fingerprint:
        raise IdempotencyMismatch("the Idempotency-Key was used for another body", field="Idempotency-Key")
    return Placed(order=held, replayed=True)


def _replaced(order: Order, replaced_id: UUID | None) -> Order | None:
    if replaced_id is None:
        return None
    old = Order.objects.select_for_update().filter(pk=replaced_id, account_id=order.account_id).first()
    if old is None or State(old.state) not in REPLACEABLE:
        text = "only an order of the same account that is DENIED, EXPIRED_LOCAL, REJECTED or NOT_PLACED can be replaced"
        raise ReplacementForbidden(text, field="replaces")
    if Order.objects.filter(replaces=old).exists():
        raise ReplacementForbidden("the order was replaced before", field="replaces")
    return old


def _last_price(order: Order, instrument: Instrument, *, sessions: Sessions, now: datetime) -> pricing.Price | None:
    """Return the last price; raise PriceUnavailable where a market order's worth cannot be known at this moment."""
    try:
        return pricing.last_price(instrument=instrument, account_id=order.account_id, sessions=sessions, now=now)
    except (KiteError, PlatformError) as error:
        if order.order_type == OrderType.MARKET:
            raise PriceUnavailable(f"no last price of {instrument}: {error}") from error
        log.warning("orders.intake.no_quote", instrument=str(instrument), error=str(error))
        return None


def _check_change(order: Order, wanted: Mapping[str, object], *, now: datetime) -> None:
    if State(order.state) in FINAL:
        # The command's own check would say the same a moment later.
        raise OrderEnded(f"the order is {order.state}")
    made = OrderCommand.objects.filter(order=order, kind=OrderCommand.Kind.MODIFY, attempt__gt=0).count()
    if made >= MAX_MODIFICATIONS:
        raise ChangeForbidden(f"the order was modified {made} times, {MAX_MODIFICATIONS} is the bound")
    changed = _changed(order, wanted)
    instrument = instrument_by_symbol(exchange=order.exchange, tradingsymbol=order.tradingsymbol)
    standing = claims.standing_of(order, now=now)
    denial = risk.denial_of_values(order=changed, instrument=instrument, standing=standing)
    if denial is not None:
        error = ChangeForbidden(f"{denial.code}: {denial.text}", field=denial.field)
        raise error


def _changed(order: Order, wanted: Mapping[str, object]) -> Order:
    """Return the order as it would be, not saved."""
    changed = Order.objects.select_related("account").get(pk=order.pk)
    for name, value in wanted.items():
        setattr(changed, name, value)
    price = risk.reference_price(order=changed, last_price=None)
    changed.notional = (price or Decimal(0)) * changed.quantity
    return changed


def put(order: Order, ask: updates.Ask, *, now: datetime) -> Asked:
    """Write a wish about an order down; raises OrderEnded."""
    try:
        with transaction.atomic():
            command = changes.ask(order_id=order.pk, ask=ask, now=now)
            if command is not None:
                transaction.on_commit(partial(tasks.knock, tasks.carry_command, command.pk))
    except IntegrityError:
        earlier = _earlier_command(order, ask)
        if earlier is None:
            raise
        return earlier
    order.refresh_from_db()
    return Asked(order=order, command=command, replayed=False)


def _earlier_command(order: Order, ask: updates.Ask) -> Asked | None:
    held = OrderCommand.objects.filter(
        client=ask.client, order=order, kind=ask.kind, idempotency_key=ask.idempotency_key
    ).first()
    if held is None:
        return None
    if held.fingerprint != ask.fingerprint:
        raise IdempotencyMismatch("the Idempotency-Key was used for another body", field="Idempotency-Key")
    return Asked(order=order, command=held, replayed=True)


def client_of(principal: Principal) -> str:
    """A person keeps their keys' past when a key is exchanged."""
    return f"user:{principal.user_id}"
