"""What a client wants ordered, as a value, and the order that it would make."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from uuid import UUID, uuid4

from accounts.models import BrokerAccount
from orders.clock import trading_day
from orders.models import Order
from orders.parents import OrderGroup
from orders.risk import UNPRICED
from orders.states import State
from orders.tags import number_of

AUTOMATIC_PROTECTION = Decimal(-1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What a client wants ordered, checked for form."""

    account: str
    exchange: str
    tradingsymbol: str
    transaction_type: str
    order_type: str
    product: str
    quantity: int
    variety: str = "regular"
    price: Decimal | None = None
    trigger_price: Decimal | None = None
    validity: str = "DAY"
    validity_ttl: int | None = None
    disclosed_quantity: int | None = None
    iceberg_legs: int | None = None
    iceberg_quantity: int | None = None
    market_protection: Decimal | None = None
    auction_number: str = ""
    algo_id: str = ""
    strategy: str = ""
    deadline_seconds: int = 60
    allow_duplicate: bool = False
    autoslice: bool = False
    replaces: UUID | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where an order comes from: whose it is, the key it is known by, and what it belongs to."""

    account: BrokerAccount
    client: str
    endpoint: str
    key: str
    group: OrderGroup | None = None
    leg: int | None = None


def fingerprint(body: Mapping[str, object]) -> str:
    """Return the digest by which a repeated body is recognised."""
    text = json.dumps({name: str(body[name]) for name in sorted(body)})
    return hashlib.sha256(text.encode()).hexdigest()


def draft(wanted: Wanted, *, source: Source, now: datetime) -> Order:
    """Return the order, not saved."""
    order_id = uuid4()
    protection = wanted.market_protection
    if protection is None and wanted.order_type in UNPRICED:
        protection = AUTOMATIC_PROTECTION
    return Order(
        pk=order_id,
        number=number_of(order_id),
        account=source.account,
        client=source.client,
        endpoint=source.endpoint,
        idempotency_key=source.key,
        fingerprint=fingerprint(asdict(wanted)),
        group=source.group,
        leg=source.leg,
        strategy=wanted.strategy,
        variety=wanted.variety,
        exchange=wanted.exchange,
        tradingsymbol=wanted.tradingsymbol,
        transaction_type=wanted.transaction_type,
        order_type=wanted.order_type,
        product=wanted.product,
        quantity=wanted.quantity,
        price=wanted.price,
        trigger_price=wanted.trigger_price,
        validity=wanted.validity,
        validity_ttl=wanted.validity_ttl,
        disclosed_quantity=wanted.disclosed_quantity,
        iceberg_legs=wanted.iceberg_legs,
        iceberg_quantity=wanted.iceberg_quantity,
        market_protection=protection,
        auction_number=wanted.auction_number,
        algo_id=wanted.algo_id,
        state=State.READY,
        sequence=1,
        trading_day=trading_day(now),
        created_at=now,
        woken_at=now,
        deadline_at=now + timedelta(seconds=wanted.deadline_seconds),
    )
