"""Orders and broker rows with the fewest fields."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

import factory
from factory.django import DjangoModelFactory

from kite.types import OrderRow, TradeRow
from orders.clock import trading_day
from orders.models import Order
from orders.states import State
from orders.tags import number_of
from tests.factories import BrokerAccountFactory

TOKEN = 408065


class OrderFactory(DjangoModelFactory[Order]):
    """An order that waits to be sent; `at_broker=True` is one that the broker has."""

    class Meta:
        model = Order

    id = factory.LazyFunction(uuid4)
    number = factory.LazyAttribute(lambda order: number_of(order.id))
    account = factory.SubFactory(BrokerAccountFactory)
    client = "user:1"
    idempotency_key = factory.LazyFunction(lambda: str(uuid4()))
    exchange = "NSE"
    tradingsymbol = "INFY"
    instrument_token = TOKEN
    transaction_type = "BUY"
    order_type = "LIMIT"
    product = "CNC"
    quantity = 10
    price = Decimal("1500.00")
    notional = factory.LazyAttribute(lambda order: (order.price or 0) * order.quantity)
    state = State.READY
    created_at = factory.LazyFunction(lambda: datetime.now(UTC))
    deadline_at = factory.LazyAttribute(lambda order: order.created_at + timedelta(seconds=60))
    trading_day = factory.LazyAttribute(lambda order: trading_day(order.created_at))

    class Params:
        at_broker = factory.Trait(
            state=State.ACKED,
            broker_order_id=factory.Sequence(lambda number: f"26112400{number:07}"),
            acked_at=factory.SelfAttribute("created_at"),
        )


def order_row(order_id: str, **values: Any) -> OrderRow:
    """Return a row of the broker's book."""
    fields: dict[str, Any] = {
        "exchange_order_id": None,
        "parent_order_id": None,
        "status": "OPEN",
        "status_message": "",
        "variety": "regular",
        "exchange": "NSE",
        "tradingsymbol": "INFY",
        "instrument_token": TOKEN,
        "transaction_type": "BUY",
        "order_type": "LIMIT",
        "product": "CNC",
        "validity": "DAY",
        "quantity": 10,
        "price": Decimal("1500.00"),
        "trigger_price": Decimal(0),
        "average_price": Decimal(0),
        "filled_quantity": 0,
        "pending_quantity": 10,
        "cancelled_quantity": 0,
        "tag": "",
        "order_at": None,
        "exchange_update_at": None,
        "raw": {},
    }
    return OrderRow(order_id=order_id, **{**fields, **values})


def trade_row(order_id: str, trade_id: str, **values: Any) -> TradeRow:
    """Return a row of the broker's trades."""
    fields: Mapping[str, Any] = {
        "exchange_order_id": "1300000001",
        "exchange": "NSE",
        "tradingsymbol": "INFY",
        "instrument_token": TOKEN,
        "transaction_type": "BUY",
        "product": "CNC",
        "quantity": 10,
        "average_price": Decimal("1500.00"),
        "filled_at": None,
        "raw": {},
    }
    return TradeRow(order_id=order_id, trade_id=trade_id, **{**fields, **values})
