"""Order endpoints: place, modify, cancel, the books."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from sandbox.call import Call, Route
from sandbox.errors import KiteError, permission_error
from sandbox.exchange import Change
from sandbox.orders import Order, order_row, trade_row
from sandbox.params import ORDER_TYPES, VALIDITIES, check_variety, choice, decimal, parse_order, whole
from sandbox.varieties import place as place_variety
from sandbox.varieties import requests_of


def form_of(call: Call) -> dict[str, str]:
    return {name: str(value) for name, value in call.form.items()}


async def place(call: Call) -> object:
    variety = call.arg("variety")
    check_variety(variety)
    _check_address(call)
    call.site.limits.check_order(user_id=call.caller.user_id, today=call.site.clock.today())
    params = parse_order(form_of(call), variety=variety)
    more = requests_of(exchange=call.site.exchange, params=params) - 1
    call.site.limits.check_day(user_id=call.caller.user_id, today=call.site.clock.today(), count=more)
    data, orders = place_variety(exchange=call.site.exchange, account=call.account, params=params)
    call.entry.order_ids = [order.order_id for order in orders]
    return data


async def modify(call: Call) -> object:
    check_variety(call.arg("variety"))
    _check_address(call)
    order = call.site.exchange.modify(
        account=call.account, order_id=call.arg("order_id"), change=parse_change(form_of(call))
    )
    call.entry.order_ids = [order.order_id]
    return {"order_id": order.order_id}


async def cancel(call: Call) -> object:
    check_variety(call.arg("variety"))
    _check_address(call)
    order = call.site.exchange.cancel(account=call.account, order_id=call.arg("order_id"))
    call.entry.order_ids = [order.order_id]
    return {"order_id": order.order_id}


def parse_change(form: Mapping[str, str]) -> Change:
    given = {name for name, value in form.items() if value != ""}
    return Change(
        order_type=choice(form, "order_type", ORDER_TYPES) if "order_type" in given else None,
        quantity=whole(form, "quantity") if "quantity" in given else None,
        price=decimal(form, "price") if "price" in given else None,
        trigger_price=decimal(form, "trigger_price") if "trigger_price" in given else None,
        disclosed_quantity=whole(form, "disclosed_quantity") if "disclosed_quantity" in given else None,
        validity=choice(form, "validity", VALIDITIES) if "validity" in given else None,
        market_protection=decimal(form, "market_protection", default=0.0, minimum=-1.0),
    )


def _check_address(call: Call) -> None:
    allowed = call.site.settings.registered_addresses.get(call.caller.user_id)
    if allowed is not None and (call.request.remote or "") not in allowed:
        raise permission_error("No IPs configured for this app.")


def visible_orders(call: Call) -> list[Order]:
    """Return the account's orders that the book shows; a visibility fault hides the young ones."""
    orders = list(call.account.orders.values())
    lag = call.site.faults.holds("visibility_lag", user=call.caller.user_id)
    if lag is None:
        return orders
    newest = call.site.clock.now() - timedelta(seconds=lag.seconds())
    return [order for order in orders if order.history[0].ordered_at <= newest]


async def order_book(call: Call) -> object:
    return [order_row(order) for order in visible_orders(call)]


def _visible(call: Call) -> Order:
    wanted = call.arg("order_id")
    for order in visible_orders(call):
        if order.order_id == wanted:
            return order
    raise KiteError(404, "GeneralException", "Couldn't find that `order_id`.")


async def order_history(call: Call) -> object:
    return [order_row(state) for state in _visible(call).history]


async def order_trades(call: Call) -> object:
    order = _visible(call)
    return [trade_row(order, trade) for trade in order.trades]


async def trades(call: Call) -> object:
    return [trade_row(order, trade) for order in visible_orders(call) for trade in order.trades]


ROUTES = (
    Route("GET", "/orders", "order.book", order_book),
    Route("GET", "/trades", "trade.book", trades),
    Route("GET", "/orders/{order_id}", "order.history", order_history),
    Route("GET", "/orders/{order_id}/trades", "order.trades", order_trades),
    Route("POST", "/orders/{variety}", "order.place", place, limit="none"),
    Route("PUT", "/orders/{variety}/{order_id}", "order.modify", modify),
    Route("DELETE", "/orders/{variety}/{order_id}", "order.cancel", cancel),
)
