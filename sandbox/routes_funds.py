"""Mutual fund endpoints: read-only at the broker today; a setting opens the old writes."""

from __future__ import annotations

from aiohttp import web

from sandbox.call import Call, Route
from sandbox.errors import input_error, permission_error
from sandbox.mutual_funds import funds_csv
from sandbox.routes_orders import form_of


def _check_writable(call: Call) -> None:
    if not call.site.settings.mutual_fund_orders:
        raise permission_error("That API call is not allowed for the authenticated user")


async def list_orders(call: Call) -> object:
    """Return the orders, those of `from` to `to` where dates are given."""
    first, last = call.request.query.get("from") or "", call.request.query.get("to") or "9999"
    rows = call.site.funds.orders.get(call.caller.user_id, {}).values()
    return [row for row in rows if first[:10] <= str(row["order_timestamp"])[:10] <= last[:10]]


async def show_order(call: Call) -> object:
    return call.site.funds.order(user_id=call.caller.user_id, order_id=call.arg("order_id"))


async def place_order(call: Call) -> object:
    _check_writable(call)
    order_id = call.site.funds.place(user_id=call.caller.user_id, form=form_of(call), now=call.site.clock.now())
    return {"order_id": order_id}


async def cancel_order(call: Call) -> object:
    _check_writable(call)
    order = call.site.funds.order(user_id=call.caller.user_id, order_id=call.arg("order_id"))
    if order["status"] != "OPEN":
        raise input_error("Order cannot be cancelled.")
    order["status"] = "CANCELLED"
    return {"order_id": order["order_id"]}


async def list_sips(call: Call) -> object:
    """Return the SIPs; where the money comes from is told of one alone."""
    rows = call.site.funds.sips.get(call.caller.user_id, {}).values()
    return [{name: value for name, value in row.items() if name != "fund_source"} for row in rows]


async def show_sip(call: Call) -> object:
    return call.site.funds.sip(user_id=call.caller.user_id, sip_id=call.arg("sip_id"))


async def place_sip(call: Call) -> object:
    _check_writable(call)
    return call.site.funds.place_sip(user_id=call.caller.user_id, form=form_of(call), now=call.site.clock.now())


async def modify_sip(call: Call) -> object:
    _check_writable(call)
    sip = call.site.funds.sip(user_id=call.caller.user_id, sip_id=call.arg("sip_id"))
    call.site.funds.modify_sip(sip, form_of(call))
    return {"sip_id": sip["sip_id"]}


async def cancel_sip(call: Call) -> object:
    _check_writable(call)
    sip = call.site.funds.sip(user_id=call.caller.user_id, sip_id=call.arg("sip_id"))
    sip["status"] = "CANCELLED"
    return {"sip_id": sip["sip_id"]}


async def holdings(call: Call) -> object:
    return call.site.funds.holdings(call.caller.user_id)


async def holding_trades(call: Call) -> object:
    return call.site.funds.trades(
        user_id=call.caller.user_id, tradingsymbol=call.arg("isin"), today=call.site.clock.today()
    )


async def allotments(call: Call) -> object:
    return [row["tradingsymbol"] for row in call.site.funds.holdings(call.caller.user_id)]


async def instruments(call: Call) -> object:
    return web.Response(body=funds_csv(call.site.clock.today()), content_type="text/csv")


ROUTES = (
    Route("GET", "/mf/orders", "mf.orders", list_orders),
    Route("POST", "/mf/orders", "mf.order.place", place_order),
    Route("GET", "/mf/orders/{order_id}", "mf.order.show", show_order),
    Route("DELETE", "/mf/orders/{order_id}", "mf.order.cancel", cancel_order),
    Route("GET", "/mf/sips", "mf.sips", list_sips),
    Route("POST", "/mf/sips", "mf.sip.place", place_sip),
    Route("GET", "/mf/sips/{sip_id}", "mf.sip.show", show_sip),
    Route("PUT", "/mf/sips/{sip_id}", "mf.sip.modify", modify_sip),
    Route("DELETE", "/mf/sips/{sip_id}", "mf.sip.cancel", cancel_sip),
    Route("GET", "/mf/holdings", "mf.holdings", holdings),
    Route("GET", "/mf/holdings/{isin}", "mf.holding.show", holding_trades),
    Route("GET", "/mf/allotments", "mf.allotments", allotments),
    Route("GET", "/mf/instruments", "mf.instruments", instruments, signed=False),
)
