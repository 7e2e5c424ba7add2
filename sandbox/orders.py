"""An order, its states and its trades, and how each is written as a row of Kite's books."""

from __future__ import annotations

import copy
import itertools
import time
import uuid
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from sandbox.clock import stamp

SNOWFLAKE_EPOCH_MS = 1_288_834_974_657


class Status(StrEnum):
    RECEIVED = "PUT ORDER REQ RECEIVED"
    AMO_RECEIVED = "AMO REQ RECEIVED"
    VALIDATION_PENDING = "VALIDATION PENDING"
    OPEN_PENDING = "OPEN PENDING"
    OPEN = "OPEN"
    TRIGGER_PENDING = "TRIGGER PENDING"
    MODIFY_VALIDATION_PENDING = "MODIFY VALIDATION PENDING"
    MODIFY_PENDING = "MODIFY PENDING"
    MODIFIED = "MODIFIED"
    CANCEL_PENDING = "CANCEL PENDING"
    COMPLETE = "COMPLETE"
    REJECTED = "REJECTED"
    CANCELLED = "CANCELLED"
    UPDATE = "UPDATE"


TERMINAL = frozenset({Status.COMPLETE, Status.REJECTED, Status.CANCELLED})
AT_EXCHANGE = frozenset({Status.OPEN, Status.TRIGGER_PENDING})


class Ids:
    """Order, exchange and trade numbers; unique across restarts because they grow from the wall clock."""

    def __init__(self, *, digits: int = 19) -> None:
        self._digits = digits
        started = int(time.time())
        self._orders = itertools.count(1)
        self._exchange = itertools.count(1_000_000_000_000_000 + started * 100_000)
        self._trades = itertools.count(started % 100_000_000 * 1_000)
        self._last = 0

    def order(self, now: datetime) -> str:
        if self._digits == 15:
            second = now.hour * 3600 + now.minute * 60 + now.second
            return f"{now:%y%m%d}{second:05d}{next(self._orders) % 10_000:04d}"
        number = (time.time_ns() // 1_000_000 - SNOWFLAKE_EPOCH_MS) << 22
        self._last = max(self._last + 1, number)
        return str(self._last)

    def exchange(self) -> str:
        return str(next(self._exchange))

    def trade(self) -> str:
        return str(next(self._trades))


@dataclass(frozen=True, slots=True)
class Trade:
    """One execution."""

    trade_id: str
    price: float
    quantity: int
    at: datetime


@dataclass(frozen=True, slots=True)
class Plan:
    """What follows an order when it ends: the next iceberg leg or a cover order's stop; plain values, to be saved."""

    kind: str
    params: dict[str, object]
    leg: int = 0
    leg_quantity: int = 0


@dataclass(slots=True)
class Order:
    """One order; prices in rupees, times in exchange time."""

    user_id: str
    order_id: str
    row: int
    exchange: str
    tradingsymbol: str
    instrument_token: int
    transaction_type: str
    order_type: str
    variety: str
    product: str
    quantity: int
    validity: str
    status: Status
    ordered_at: datetime
    price: float = 0.0
    trigger_price: float = 0.0
    disclosed_quantity: int = 0
    validity_ttl: int = 0
    market_protection: float = 0.0
    exchange_order_id: str | None = None
    parent_order_id: str | None = None
    status_message: str | None = None
    status_message_raw: str | None = None
    updated_at: datetime | None = None
    exchanged_at: datetime | None = None
    modified: bool = False
    filled: int = 0
    pending: int = 0
    cancelled: int = 0
    spent: float = 0.0
    auction_number: str | None = None
    algo_id: str | None = None
    meta: dict[str, object] = field(default_factory=dict)
    tag: str | None = None
    tags: list[str] = field(default_factory=list)
    guid: str = field(default_factory=lambda: uuid.uuid4().hex[:16])
    sequence: int = 0
    queue_ahead: int = 0
    modifications: int = 0
    margin: float = 0.0
    triggered: bool = False
    plan: Plan | None = None
    history: list[Order] = field(default_factory=list, repr=False)
    trades: list[Trade] = field(default_factory=list, repr=False)

    @property
    def is_buy(self) -> bool:
        return self.transaction_type == "BUY"

    @property
    def is_open(self) -> bool:
        return self.status not in TERMINAL

    @property
    def average_price(self) -> float:
        return round(self.spent / self.filled, 6) if self.filled else 0.0

    def enter(self, status: Status, *, ordered_at: datetime | None = None) -> None:
        """Move to `status` and record the state in the order's history."""
        self.status = status
        if ordered_at is not None:
            self.ordered_at = ordered_at
        state = copy.copy(self)
        state.history = []
        self.history.append(state)


def order_row(order: Order) -> dict[str, object]:
    row: dict[str, object] = {
        "account_id": order.user_id,
        "placed_by": order.user_id,
        "order_id": order.order_id,
        "exchange_order_id": order.exchange_order_id,
        "parent_order_id": order.parent_order_id,
        "status": order.status.value,
        "status_message": order.status_message,
        "status_message_raw": order.status_message_raw,
        "order_timestamp": stamp(order.ordered_at),
        "exchange_update_timestamp": stamp(order.updated_at),
        "exchange_timestamp": stamp(order.exchanged_at),
        "variety": order.variety,
        "modified": order.modified,
        "exchange": order.exchange,
        "tradingsymbol": order.tradingsymbol,
        "instrument_token": order.instrument_token,
        "order_type": order.order_type,
        "transaction_type": order.transaction_type,
        "validity": order.validity,
        "validity_ttl": order.validity_ttl,
        "product": order.product,
        "quantity": order.quantity,
        "disclosed_quantity": order.disclosed_quantity,
        "price": number(order.price),
        "trigger_price": number(order.trigger_price),
        "average_price": number(order.average_price),
        "filled_quantity": order.filled,
        "pending_quantity": order.pending,
        "cancelled_quantity": order.cancelled,
        "market_protection": number(order.market_protection),
        "meta": order.meta,
        "tag": order.tag,
        "guid": order.guid,
    }
    if order.tags:
        row["tags"] = list(order.tags)
    if order.auction_number is not None:
        row["auction_number"] = order.auction_number
    return row


def update_row(order: Order, *, app_id: int, status: Status | None, checksum: str) -> dict[str, object]:
    """Return the body of a postback or of an order update on the socket."""
    row = order_row(order)
    del row["modified"]
    row["status"] = (status or order.status).value
    return {
        "user_id": order.user_id,
        "unfilled_quantity": order.pending if order.is_open else order.quantity - order.filled,
        "app_id": app_id,
        "checksum": checksum,
        **row,
    }


def trade_row(order: Order, trade: Trade) -> dict[str, object]:
    return {
        "trade_id": trade.trade_id,
        "order_id": order.order_id,
        "exchange": order.exchange,
        "tradingsymbol": order.tradingsymbol,
        "instrument_token": order.instrument_token,
        "product": order.product,
        "average_price": number(trade.price),
        "quantity": trade.quantity,
        "exchange_order_id": order.exchange_order_id,
        "transaction_type": order.transaction_type,
        "fill_timestamp": stamp(trade.at),
        "order_timestamp": f"{order.ordered_at:%H:%M:%S}",
        "exchange_timestamp": stamp(trade.at),
    }


def number(value: float) -> float | int:
    """Write whole prices as integers, as Kite's encoder does."""
    return int(value) if value == int(value) else value
