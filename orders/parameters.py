"""An order of ours in the broker's words."""

from decimal import Decimal

from kite.types import Exchange, OrderRequest, OrderType, Product, TransactionType, Validity, Variety
from orders.models import Order


def request_of(order: Order) -> OrderRequest:
    """Return the broker's parameters of an order."""
    return OrderRequest(
        variety=Variety(order.variety),
        exchange=Exchange(order.exchange),
        tradingsymbol=order.tradingsymbol,
        transaction_type=TransactionType(order.transaction_type),
        quantity=order.quantity,
        product=Product(order.product),
        order_type=OrderType(order.order_type),
        tag=order.tag or "",
        price=order.price,
        trigger_price=order.trigger_price,
        validity=Validity(order.validity),
        validity_ttl=order.validity_ttl,
        disclosed_quantity=order.disclosed_quantity,
        iceberg_legs=order.iceberg_legs,
        iceberg_quantity=order.iceberg_quantity,
        auction_number=order.auction_number or None,
        market_protection=order.market_protection,
        algo_id=order.algo_id or None,
    )


def margin_of(order: Order, *, price: Decimal) -> dict[str, object]:
    """Return the order as the broker's calculators read it, which know neither tags nor validity."""
    return {
        "exchange": order.exchange,
        "tradingsymbol": order.tradingsymbol,
        "transaction_type": order.transaction_type,
        "variety": order.variety,
        "product": order.product,
        "order_type": order.order_type,
        "quantity": order.quantity,
        "price": price,
        "trigger_price": order.trigger_price or Decimal(0),
    }
