"""Takes baskets and sliced orders in: every leg is judged before the first one leaves."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

import structlog
from django.db import IntegrityError, transaction

from accounts.errors import PlatformError
from accounts.models import BrokerAccount
from accounts.queries import Principal, account_by_label
from accounts.sessions import Sessions
from kite.errors import KiteError
from kite.types import TransactionType
from market_data.queries import instrument_by_symbol
from orders import groups, intake, pricing
from orders.drafts import Source, Wanted, fingerprint
from orders.errors import BasketDenied, BasketUnknown, IdempotencyMismatch, LegDenial
from orders.models import Order
from orders.parents import OrderGroup

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class WantedLeg:
    """A leg and the legs that must be complete before it leaves."""

    wanted: Wanted
    after: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class WantedBasket:
    """What a client wants ordered together, checked for form."""

    account: str
    legs: tuple[WantedLeg, ...]
    kind: OrderGroup.Kind = OrderGroup.Kind.BASKET
    hedge_first: bool = True
    on_failure: str = OrderGroup.OnFailure.KEEP.value
    strategy: str = ""
    deadline_seconds: int = 300


@dataclass(frozen=True, slots=True)
class Grouped:
    """The group of a request, and whether an earlier request had made it."""

    group: OrderGroup
    replayed: bool


def place(
    *, principal: Principal, wanted: WantedBasket, idempotency_key: str, sessions: Sessions, now: datetime
) -> Grouped:
    """Return the group that the request makes, or made when it came before.

    Raises BasketDenied with every objection where one leg would be denied: then nothing is written and nothing leaves.
    """
    account = account_by_label(label=wanted.account, principal=principal)
    group = _draft(wanted, account=account, client=intake.client_of(principal), key=idempotency_key, now=now)
    earlier = _earlier(group)
    if earlier is not None:
        return earlier
    _ask_prices(wanted, account=account, sessions=sessions, now=now)
    _judge(wanted, group, sessions=sessions, now=now)
    group.plan = _plan(wanted)
    try:
        with transaction.atomic():
            group.save(force_insert=True)
    except IntegrityError:
        earlier = _earlier(group)
        if earlier is None:
            raise
        return earlier
    groups.advance(group_id=group.pk, sessions=sessions, now=now)
    group.refresh_from_db()
    return Grouped(group, replayed=False)


def sliced(wanted: Wanted) -> WantedBasket:
    """Return a group of one leg that is sent in slices below the freeze quantity."""
    return WantedBasket(
        account=wanted.account,
        legs=(WantedLeg(wanted),),
        kind=OrderGroup.Kind.SLICES,
        strategy=wanted.strategy,
        deadline_seconds=wanted.deadline_seconds,
    )


def visible_group(*, principal: Principal, group_id: Any) -> OrderGroup:
    """Return the group; raises BasketUnknown where it is absent or of an account that the principal does not see."""
    found = OrderGroup.objects.select_related("account").filter(pk=group_id).first()
    if found is None or not principal.sees(found.account_id):
        raise BasketUnknown(f"no basket {group_id}")
    return found


def dependencies(legs: Sequence[WantedLeg], *, hedge_first: bool) -> list[tuple[int, ...]]:
    """Return what each leg waits for: what it names, and every buy before a sell where hedges come first."""
    buys = {number for number, leg in enumerate(legs) if leg.wanted.transaction_type == TransactionType.BUY}
    found = []
    for number, leg in enumerate(legs):
        sells = number not in buys
        found.append(tuple(sorted({*leg.after, *(buys if hedge_first and sells else ())})))
    return found


def circle_in(after: Sequence[Sequence[int]]) -> bool:
    """Say whether legs wait for each other in a circle."""
    done: set[int] = set()
    while ready := {number for number in range(len(after)) if number not in done and set(after[number]) <= done}:
        done |= ready
    return len(done) < len(after)


def _draft(wanted: WantedBasket, *, account: BrokerAccount, client: str, key: str, now: datetime) -> OrderGroup:
    return OrderGroup(
        account=account,
        kind=wanted.kind,
        client=client,
        idempotency_key=key,
        fingerprint=fingerprint(asdict(wanted)),
        strategy=wanted.strategy,
        on_failure=wanted.on_failure,
        created_at=now,
        deadline_at=now + timedelta(seconds=wanted.deadline_seconds),
    )


def _earlier(group: OrderGroup) -> Grouped | None:
    held = (
        OrderGroup.objects.select_related("account")
        .filter(
            client=group.client, account_id=group.account_id, kind=group.kind, idempotency_key=group.idempotency_key
        )
        .first()
    )
    if held is None:
        return None
    if held.fingerprint != group.fingerprint:
        raise IdempotencyMismatch("the Idempotency-Key was used for another body", field="Idempotency-Key")
    return Grouped(held, replayed=True)


def _ask_prices(wanted: WantedBasket, *, account: BrokerAccount, sessions: Sessions, now: datetime) -> None:
    """Quotes are one a second: those of all legs come in one."""
    keys = {(leg.wanted.exchange, leg.wanted.tradingsymbol) for leg in wanted.legs}
    listed = [instrument_by_symbol(exchange=exchange, tradingsymbol=symbol) for exchange, symbol in sorted(keys)]
    unknown = [instrument for instrument in listed if pricing.known_price(instrument=instrument, now=now) is None]
    if len(unknown) <= 1:
        return
    try:
        pricing.ask(instruments=unknown, account_id=account.pk, sessions=sessions, now=now)
    except (KiteError, PlatformError) as error:
        # Each leg asks for itself, and says what is missing.
        log.warning("orders.basket.no_quotes", error=str(error))


def _judge(wanted: WantedBasket, group: OrderGroup, *, sessions: Sessions, now: datetime) -> None:
    denials: list[LegDenial] = []
    ahead: list[Order] = []
    for number, leg in enumerate(wanted.legs):
        source = Source(account=group.account, client=group.client, endpoint=groups.LEG, key="", leg=number)
        judged = intake.judge(wanted=leg.wanted, source=source, sessions=sessions, now=now, ahead=ahead)
        ahead.append(judged.order)
        if judged.denial is not None:
            denials.append(LegDenial(number, judged.denial.code, judged.denial.text, judged.denial.field))
    if denials:
        raise BasketDenied(denials)


def _plan(wanted: WantedBasket) -> list[dict[str, Any]]:
    after = dependencies(wanted.legs, hedge_first=wanted.hedge_first)
    return [
        {**asdict(leg.wanted), "after": list(waits), "sizes": groups.sizes_of(leg.wanted)}
        for leg, waits in zip(wanted.legs, after, strict=True)
    ]
