"""What each variety makes of one request: one order, slices, iceberg legs or a cover pair."""

from __future__ import annotations

import dataclasses

from sandbox.checks import check_freeze
from sandbox.errors import KiteError, input_error
from sandbox.exchange import Exchange
from sandbox.ledger import Account
from sandbox.orders import Order
from sandbox.params import OrderParams

MAX_SLICES = 10


def place(*, exchange: Exchange, account: Account, params: OrderParams) -> tuple[object, list[Order]]:
    """Return the answer's data and the orders it created."""
    if params.autoslice:
        return place_slices(exchange=exchange, account=account, params=params)
    order = exchange.place(account=account, params=params)
    return {"order_id": order.order_id}, [order]


def place_slices(*, exchange: Exchange, account: Account, params: OrderParams) -> tuple[object, list[Order]]:
    """Split an order at the freeze quantity; slices fail one by one."""
    row = exchange.check(account=account, params=params)
    instrument = exchange.market.universe.instruments[row]
    quantities = slice_quantities(quantity=params.quantity, freeze=instrument.freeze_quantity, lot=instrument.lot_size)
    parent_id = exchange.ids.order(exchange.clock.now())
    children: list[dict[str, object]] = []
    orders: list[Order] = []
    for quantity in quantities:
        one = dataclasses.replace(params, quantity=quantity)
        try:
            check_freeze(quantity=quantity, instrument=instrument)
            order = exchange.enter(account=account, params=one, row=row, tags=("autoslice", f"autoslice:{parent_id}"))
        except KiteError as error:
            children.append({"error": slice_error(error)})
        else:
            orders.append(order)
            children.append({"order_id": order.order_id})
    if exchange.settings.autoslice_shape == "v1":
        return children, orders
    return {"order_id": parent_id, "children": children}, orders


def slice_quantities(*, quantity: int, freeze: int, lot: int) -> list[int]:
    largest = freeze // max(lot, 1) * max(lot, 1) if freeze else quantity
    whole, rest = divmod(quantity, largest)
    quantities = [largest] * whole + ([rest] if rest else [])
    if len(quantities) > MAX_SLICES:
        raise input_error(f"Order cannot be sliced into more than {MAX_SLICES} orders.")
    return quantities


def slice_error(error: KiteError) -> dict[str, object]:
    return {"code": error.status, "error_type": error.error_type, "message": error.message, "data": None}
