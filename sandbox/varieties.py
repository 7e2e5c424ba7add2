"""What each variety makes of one request: one order, slices, iceberg legs or a cover pair."""

from __future__ import annotations

import dataclasses

from sandbox.checks import MAX_ICEBERG_LEGS, check_freeze
from sandbox.errors import KiteError, input_error
from sandbox.exchange import Exchange
from sandbox.instruments import Instrument
from sandbox.ledger import Account
from sandbox.orders import Order, Plan, Status
from sandbox.params import OrderParams

MAX_SLICES = 10


def place(*, exchange: Exchange, account: Account, params: OrderParams) -> tuple[object, list[Order]]:
    """Return the answer's data and the orders it created."""
    if params.autoslice:
        return place_slices(exchange=exchange, account=account, params=params)
    if params.variety == "iceberg":
        order = place_iceberg(exchange=exchange, account=account, params=params)
    elif params.variety == "co":
        order = place_cover(exchange=exchange, account=account, params=params)
    elif params.variety == "auction":
        order = place_auction(exchange=exchange, account=account, params=params)
    else:
        order = exchange.place(account=account, params=params)
    return {"order_id": order.order_id}, [order]


def place_slices(*, exchange: Exchange, account: Account, params: OrderParams) -> tuple[object, list[Order]]:
    """Split an order at the freeze quantity; slices fail one by one."""
    row = exchange.check(account=account, params=params)
    instrument = exchange.market.universe.instruments[row]
    quantities = slice_quantities(quantity=params.quantity, instrument=instrument)
    parent_id = exchange.ids.order(exchange.clock.now())
    children: list[dict[str, object]] = []
    orders: list[Order] = []
    for quantity in quantities:
        one = dataclasses.replace(params, quantity=quantity)
        tags = ("autoslice", f"autoslice:{parent_id}")
        try:
            order = exchange.enter(account=account, params=one, row=row, tags=tags)
        except KiteError as error:
            children.append({"error": slice_error(error)})
        else:
            orders.append(order)
            children.append({"order_id": order.order_id})
    if exchange.settings.autoslice_shape == "v1":
        return children, orders
    return {"order_id": parent_id, "children": children}, orders


def slice_quantities(*, quantity: int, instrument: Instrument) -> list[int]:
    lot = max(instrument.lot_size, 1)
    largest = instrument.freeze_quantity // lot * lot if instrument.freeze_quantity else quantity
    whole, rest = divmod(quantity, largest)
    quantities = [largest] * whole + ([rest] if rest else [])
    if len(quantities) > MAX_SLICES:
        raise input_error(f"Order cannot be sliced into more than {MAX_SLICES} orders.")
    return quantities


def slice_error(error: KiteError) -> dict[str, object]:
    return {"code": error.status, "error_type": error.error_type, "message": error.message, "data": None}


def place_iceberg(*, exchange: Exchange, account: Account, params: OrderParams) -> Order:
    """Enter the first leg; each finished leg brings the next."""
    legs = params.iceberg_legs
    if not 2 <= legs <= MAX_ICEBERG_LEGS:
        raise input_error(f"Iceberg legs should be between 2 and {MAX_ICEBERG_LEGS}.")
    if params.order_type != "LIMIT":
        raise input_error("Iceberg orders are LIMIT orders.")
    leg_quantity = params.iceberg_quantity or -(-params.quantity // legs)
    if leg_quantity * legs < params.quantity or leg_quantity * (legs - 1) >= params.quantity:
        raise input_error("Invalid `iceberg_quantity`.")
    row = exchange.check(account=account, params=dataclasses.replace(params, quantity=leg_quantity))
    check_freeze(quantity=leg_quantity, instrument=exchange.market.universe.instruments[row])
    return _enter_leg(exchange, account, params, row, leg=1, leg_quantity=leg_quantity)


def _enter_leg(
    exchange: Exchange, account: Account, params: OrderParams, row: int, *, leg: int, leg_quantity: int
) -> Order:
    done = leg_quantity * (leg - 1)
    quantity = min(leg_quantity, params.quantity - done)
    order = exchange.enter(account=account, params=dataclasses.replace(params, quantity=quantity), row=row)
    order.meta = {
        "iceberg": {
            "leg": leg,
            "legs": params.iceberg_legs,
            "leg_quantity": leg_quantity,
            "total_quantity": params.quantity,
            "remaining_quantity": params.quantity - done - quantity,
        }
    }

    if params.quantity > done + quantity:
        order.plan = Plan("iceberg", dataclasses.asdict(params), leg, leg_quantity)
        watch_plan(exchange=exchange, account=account, order=order)
    return order


def watch_plan(*, exchange: Exchange, account: Account, order: Order) -> None:
    """Let what the order's plan says happen when it ends."""
    plan = order.plan
    if plan is None:
        return
    params = OrderParams(**plan.params)  # type: ignore[arg-type]

    def follow(done: Order) -> None:
        if plan.kind == "cover" and done.filled:
            _enter_stop(exchange, account, params, done.row, done)
        elif plan.kind == "iceberg" and done.status is Status.COMPLETE:
            _enter_leg(exchange, account, params, done.row, leg=plan.leg + 1, leg_quantity=plan.leg_quantity)

    exchange.followers[order.order_id] = follow


def requests_of(*, exchange: Exchange, params: OrderParams) -> int:
    """Return how many orders a request counts for in a day: every iceberg leg and every slice is one."""
    if params.variety == "iceberg":
        return min(max(params.iceberg_legs, 1), MAX_ICEBERG_LEGS)
    row = exchange.market.universe.by_key.get(f"{params.exchange}:{params.tradingsymbol}")
    if not params.autoslice or row is None:
        return 1
    freeze = exchange.market.universe.instruments[row].freeze_quantity or params.quantity
    return min(max(-(-params.quantity // max(freeze, 1)), 1), MAX_SLICES)


def place_cover(*, exchange: Exchange, account: Account, params: OrderParams) -> Order:
    """Enter the first leg; when it fills, its stop follows with parent_order_id."""
    if params.order_type not in {"MARKET", "LIMIT"} or params.trigger_price <= 0:
        raise input_error("Cover orders are MARKET or LIMIT orders with a trigger price.")
    if params.product not in {"MIS", "CO"}:
        raise input_error("Cover orders are placed in MIS.")
    cover = dataclasses.replace(params, product="CO")
    row = exchange.check(account=account, params=cover)
    last, is_buy = exchange.market.last_price(row), params.transaction_type == "BUY"
    if (params.trigger_price >= last) if is_buy else (params.trigger_price <= last):
        raise input_error("Trigger price of a cover order should be on the losing side of the last price.")
    order = exchange.enter(account=account, params=cover, row=row)
    order.plan = Plan("cover", dataclasses.asdict(cover))
    watch_plan(exchange=exchange, account=account, order=order)
    return order


def _enter_stop(exchange: Exchange, account: Account, params: OrderParams, row: int, parent: Order) -> None:
    opposite = "SELL" if params.transaction_type == "BUY" else "BUY"
    stop = dataclasses.replace(
        params, transaction_type=opposite, order_type="SL-M", quantity=parent.filled, price=0.0, market_protection=-1.0
    )
    exchange.enter(account=account, params=stop, row=row, parent=parent.order_id)


def place_auction(*, exchange: Exchange, account: Account, params: OrderParams) -> Order:
    """Sell into the auction session what the account holds."""
    if not params.auction_number or params.transaction_type != "SELL" or params.order_type != "LIMIT":
        raise input_error("Auction orders are LIMIT SELL orders with an `auction_number`.")
    return exchange.place(account=account, params=params)
