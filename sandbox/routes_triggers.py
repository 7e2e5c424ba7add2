"""GTT and alert endpoints."""

from __future__ import annotations

from sandbox.call import Call, Route
from sandbox.checks import find_instrument
from sandbox.errors import input_error
from sandbox.gtt import GttRequest, parse_gtt
from sandbox.routes_orders import form_of


def _request(call: Call) -> tuple[GttRequest, int]:
    request = parse_gtt(form_of(call))
    row = find_instrument(market=call.site.market, exchange=request.exchange, tradingsymbol=request.tradingsymbol)
    return request, row


async def list_gtts(call: Call) -> object:
    shown = call.site.gtts.shown(user_id=call.caller.user_id, now=call.site.clock.now())
    return [gtt.as_row() for gtt in shown]


async def place_gtt(call: Call) -> object:
    request, row = _request(call)
    gtt = call.site.gtts.place(
        user_id=call.caller.user_id, request=request, instrument=call.site.universe.instruments[row], row=row,
        now=call.site.clock.now(),
    )  # fmt: skip
    return {"trigger_id": gtt.number}


async def show_gtt(call: Call) -> object:
    return call.site.gtts.find(user_id=call.caller.user_id, number_text=call.arg("trigger_id")).as_row()


async def modify_gtt(call: Call) -> object:
    gtt = call.site.gtts.find(user_id=call.caller.user_id, number_text=call.arg("trigger_id"))
    request, _ = _request(call)
    call.site.gtts.modify(gtt, request=request, now=call.site.clock.now())
    return {"trigger_id": gtt.number}


async def delete_gtt(call: Call) -> object:
    gtt = call.site.gtts.find(user_id=call.caller.user_id, number_text=call.arg("trigger_id"))
    call.site.gtts.delete(gtt, now=call.site.clock.now())
    return {"trigger_id": gtt.number}


async def list_alerts(call: Call) -> object:
    """Return the alerts whose fields are as asked: the Go client sends filters, which no page of the broker names."""
    rows = [alert.as_row() for alert in call.site.alerts.shown(user_id=call.caller.user_id)]
    return [row for row in rows if all(str(row[name]) == text for name, text in call.query.items() if name in row)]


async def create_alert(call: Call) -> object:
    alert = call.site.alerts.create(user_id=call.caller.user_id, form=form_of(call), now=call.site.clock.now())
    return {name: value for name, value in alert.as_row().items() if name != "basket"}


async def show_alert(call: Call) -> object:
    return call.site.alerts.find(user_id=call.caller.user_id, name=call.arg("uuid")).as_row()


async def modify_alert(call: Call) -> object:
    alert = call.site.alerts.find(user_id=call.caller.user_id, name=call.arg("uuid"))
    return call.site.alerts.modify(alert, form=form_of(call), now=call.site.clock.now()).as_row()


async def delete_alerts(call: Call) -> None:
    names = call.query.getall("uuid", [])
    if not names:
        raise input_error("Missing or empty field `uuid`")
    for alert in [call.site.alerts.find(user_id=call.caller.user_id, name=name) for name in names]:
        alert.status = "deleted"


async def alert_history(call: Call) -> object:
    return call.site.alerts.find(user_id=call.caller.user_id, name=call.arg("uuid")).history


ROUTES = (
    Route("GET", "/gtt/triggers", "gtt.list", list_gtts),
    Route("POST", "/gtt/triggers", "gtt.place", place_gtt),
    Route("GET", "/gtt/triggers/{trigger_id}", "gtt.show", show_gtt),
    Route("PUT", "/gtt/triggers/{trigger_id}", "gtt.modify", modify_gtt),
    Route("DELETE", "/gtt/triggers/{trigger_id}", "gtt.delete", delete_gtt),
    Route("GET", "/alerts", "alert.list", list_alerts),
    Route("POST", "/alerts", "alert.create", create_alert),
    Route("DELETE", "/alerts", "alert.delete", delete_alerts),
    Route("GET", "/alerts/{uuid}", "alert.show", show_alert),
    Route("PUT", "/alerts/{uuid}", "alert.modify", modify_alert),
    Route("GET", "/alerts/{uuid}/history", "alert.history", alert_history),
)
