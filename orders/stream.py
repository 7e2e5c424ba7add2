"""Events to clients: an order as a document, and its way into the account's event stream."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any
from uuid import UUID

import structlog

from market_data.bus import sync_bus
from market_data.errors import FeedDown
from orders.models import Order, OrderEvent, Trade

log = structlog.get_logger(__name__)


def stream_of(account_id: UUID) -> str:
    """Return the name of an account's event stream."""
    return f"orders:{account_id}"


def order_document(order: Order) -> dict[str, Any]:
    """Return the order as every client sees it, over HTTP and over the socket."""
    return {
        "id": str(order.pk),
        "sequence": order.sequence,
        "account": order.account.label,
        "origin": order.origin,
        "strategy": order.strategy,
        "state": order.state,
        "outcome": order.outcome.value,
        "reason_code": order.reason_code,
        "reason": order.reason,
        "variety": order.variety,
        "exchange": order.exchange,
        "tradingsymbol": order.tradingsymbol,
        "instrument_token": order.instrument_token,
        "transaction_type": order.transaction_type,
        "order_type": order.order_type,
        "product": order.product,
        "quantity": order.quantity,
        "price": _number(order.price),
        "trigger_price": _number(order.trigger_price),
        "validity": order.validity,
        "validity_ttl": order.validity_ttl,
        "disclosed_quantity": order.disclosed_quantity,
        "iceberg_legs": order.iceberg_legs,
        "iceberg_quantity": order.iceberg_quantity,
        "auction_number": order.auction_number or None,
        "algo_id": order.algo_id or None,
        "market_protection": _number(order.market_protection),
        "tag": order.tag or order.broker_tag,
        "order_id": order.broker_order_id,
        "parent_order_id": order.parent_order_id or None,
        "exchange_order_id": order.exchange_order_id or None,
        "status": order.status,
        "status_message": order.status_message,
        "filled_quantity": order.filled_quantity,
        "pending_quantity": order.pending_quantity,
        "cancelled_quantity": order.cancelled_quantity,
        "average_price": _number(order.average_price),
        "attempt": order.attempt,
        "replaces": str(order.replaces_id) if order.replaces_id else None,
        "group": str(order.group_id) if order.group_id else None,
        "leg": order.leg,
        "trading_day": order.trading_day.isoformat(),
        "created_at": order.created_at.isoformat(),
        "sent_at": order.sent_at.isoformat() if order.sent_at else None,
        "acked_at": order.acked_at.isoformat() if order.acked_at else None,
        "finished_at": order.finished_at.isoformat() if order.finished_at else None,
    }


def event_document(event: OrderEvent) -> dict[str, Any]:
    """Return an event as clients see it."""
    return {
        "sequence": event.sequence,
        "kind": event.kind,
        "at": event.at.isoformat(),
        "source": event.source,
        "before": event.before,
        "after": event.after,
        "detail": event.detail,
    }


def trade_document(trade: Trade) -> dict[str, Any]:
    """Return a trade as clients see it."""
    return {
        "id": trade.pk,
        "account": trade.account.label,
        "order": str(trade.order_id),
        "trade_id": trade.trade_id,
        "order_id": trade.broker_order_id,
        "exchange_order_id": trade.exchange_order_id,
        "exchange": trade.exchange,
        "tradingsymbol": trade.tradingsymbol,
        "instrument_token": trade.instrument_token,
        "transaction_type": trade.transaction_type,
        "product": trade.product,
        "quantity": trade.quantity,
        "average_price": _number(trade.average_price),
        "filled_at": trade.filled_at.isoformat() if trade.filled_at else None,
        "trading_day": trade.trading_day.isoformat(),
    }


def publish(*, account_id: UUID, message: dict[str, Any]) -> None:
    """Append a message to the account's stream; what a dead bus did not take is told again by the sweeper."""
    try:
        append(account_id=account_id, message=message, marks=_marks(message))
    except FeedDown as error:
        log.warning("orders.stream.unreachable", account_id=str(account_id), error=str(error))


def append(*, account_id: UUID, message: dict[str, Any], marks: Sequence[str]) -> None:
    """Append a message to the account's stream together with the marks of what it tells; raises FeedDown."""
    sync_bus().append_event(stream=stream_of(account_id), event=message, marks=marks)


def event_mark(event: OrderEvent) -> str:
    """Name an event in the set of those that were told."""
    return f"{event.order_id}:{event.sequence}"


def trade_mark(trade_id: int) -> str:
    """Name a trade in the set of those that were told."""
    return f"trade:{trade_id}"


def _marks(message: dict[str, Any]) -> list[str]:
    """Name what can be told again; a group and a trigger are told whole each time, so a lost message is made good."""
    if "trade" in message:
        return [trade_mark(message["trade"]["id"])]
    if "order" in message:
        return [f"{message['order']['id']}:{message['order']['sequence']}"]
    return []


def _number(value: Decimal | None) -> float | None:
    return None if value is None else float(value)
