"""Write requests the way Kite reads them."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from datetime import datetime
from decimal import Decimal

from kite.answers import GttRequest, PositionRow
from kite.rows import IST
from kite.types import OrderChange, OrderRequest


def form(request: OrderRequest | OrderChange) -> dict[str, object]:
    """Return form fields: what is unset is left out, money is written without an exponent."""
    return {
        name: format(value, "f") if isinstance(value, Decimal) else value
        for name, value in asdict(request).items()
        if value is not None
    }


def json_orders(orders: Iterable[Mapping[str, object]]) -> list[dict[str, object]]:
    """Return orders for the endpoints that take JSON, where a price has to be a number."""
    return [
        {name: float(value) if isinstance(value, Decimal) else value for name, value in order.items()}
        for order in orders
    ]


def gtt_form(request: GttRequest) -> dict[str, object]:
    return {
        "trigger_type": request.type,
        "tradingsymbol": request.tradingsymbol,
        "exchange": request.exchange,
        "trigger_values": [float(value) for value in request.trigger_values],
        "last_price": float(request.last_price),
        "orders": [asdict(leg) for leg in request.legs],
    }


def conversion(position: PositionRow, *, quantity: int, new_product: str, day: bool) -> dict[str, object]:
    return {
        "exchange": position.exchange,
        "tradingsymbol": position.tradingsymbol,
        "transaction_type": "BUY" if position.quantity > 0 else "SELL",
        "position_type": "day" if day else "overnight",
        "quantity": quantity,
        "old_product": position.product,
        "new_product": new_product,
    }


def indian(moment: datetime) -> str:
    """Return an aware time as the Indian clock shows it."""
    return moment.astimezone(IST).strftime("%Y-%m-%d %H:%M:%S")
