"""The control API: clock, market, settings, faults, journal; behind the key of the credentials file."""

from __future__ import annotations

import dataclasses
import hmac
import json
from collections.abc import Awaitable, Callable

import numpy as np
from aiohttp import web

from sandbox.calendar import EXCHANGES, change_calendar
from sandbox.control_actions import inject, jump_target, move_price
from sandbox.pipeline import SITE, json_response
from sandbox.quotes import quote_row
from sandbox.scenario import find_scenario, known_scenarios, play
from sandbox.site import Site
from sandbox.snapshot import state_row

PREFIX = "/_control"
Action = Callable[[Site, web.Request, dict[str, object]], Awaitable[object]]


def guarded(action: Action) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def serve(request: web.Request) -> web.StreamResponse:
        site = request.app[SITE]
        key = request.headers.get("X-Control-Key") or request.query.get("key", "")
        if not hmac.compare_digest(key.encode("utf-8", "replace"), site.control_key.encode()):
            return json_response({"status": "error", "message": "wrong control key"}, status=403)
        try:
            data = await action(site, request, await body_of(request))
        except (ValueError, TypeError, KeyError) as error:
            return json_response({"status": "error", "message": str(error)}, status=400)
        return json_response({"status": "success", "data": data})

    return serve


async def body_of(request: web.Request) -> dict[str, object]:
    """Return the body's object; an empty body and null are an empty one."""
    body = json.loads(await request.text() or "{}")
    if body is None:
        return {}
    if not isinstance(body, dict):
        raise TypeError("the body is no JSON object")
    return body


async def show_state(site: Site, _request: web.Request, _body: dict[str, object]) -> object:
    return state_row(site)


async def change_clock(site: Site, _request: web.Request, body: dict[str, object]) -> object:
    """Obey `jump`, `speed`, `pause`, in this order."""
    clock = site.clock
    if "jump" in body:
        site.jump(jump_target(site, str(body["jump"])))
    if "speed" in body:
        clock.set_speed(float(str(body["speed"])))
    if "pause" in body:
        (clock.pause if body["pause"] else clock.resume)()
    site.reap_sessions()
    return state_row(site)["clock"]


async def show_calendar(site: Site, request: web.Request, _body: dict[str, object]) -> object:
    """Return what each exchange does now and the odd days of one, NSE by default."""
    now = site.clock.now()
    phases = {name: site.sessions.phase(exchange=name, moment=now).value for name in EXCHANGES}
    return {"phases": phases, "days": site.sessions.calendar.rows(exchange=request.query.get("exchange", "NSE"))}


async def change_days(site: Site, _request: web.Request, body: dict[str, object]) -> object:
    """Mark a day: `{"date", "name"}` shuts it, `opens` and `closes` set its hours, `ordinary` takes the mark away."""
    change_calendar(site.sessions.calendar, body)
    return {"date": body["date"]}


async def step(site: Site, _request: web.Request, body: dict[str, object]) -> object:
    """Tick `count` times now, moving the clock by one interval each."""
    for _ in range(min(int(str(body.get("count", 1))), 100_000)):
        site.clock.advance(site.options.interval * site.clock.speed)
        site.tick()
    return {"step": site.market.step_number}


async def set_price(site: Site, _request: web.Request, body: dict[str, object]) -> object:
    return move_price(site, key=str(body["instrument"]), price=float(str(body["price"])))


async def show_book(site: Site, request: web.Request, _body: dict[str, object]) -> object:
    return quote_row(site.market, site.universe.by_key[request.query["i"]])


async def show_freezes(site: Site, _request: web.Request, _body: dict[str, object]) -> object:
    """Return exchange, underlying and the largest order it takes, as the exchanges publish it in files."""
    found: dict[str, dict[str, int]] = {}
    for instrument in site.universe.instruments:
        if instrument.freeze_quantity and instrument.expiry:
            found.setdefault(instrument.exchange, {})[instrument.name] = instrument.freeze_quantity
    return found


async def show_settings(site: Site, _request: web.Request, _body: dict[str, object]) -> object:
    return dataclasses.asdict(site.settings)


async def change_settings(site: Site, _request: web.Request, body: dict[str, object]) -> object:
    site.settings.change(body)
    return dataclasses.asdict(site.settings)


async def show_faults(site: Site, _request: web.Request, _body: dict[str, object]) -> object:
    return site.faults.rows()


async def add_fault(site: Site, _request: web.Request, body: dict[str, object]) -> object:
    return inject(site, body)


async def clear_faults(site: Site, request: web.Request, _body: dict[str, object]) -> object:
    number = request.match_info.get("number")
    if site.door is not None:
        site.door.reopen_now()
    return {"cleared": site.faults.clear(None if number is None else int(number))}


async def show_journal(site: Site, request: web.Request, _body: dict[str, object]) -> object:
    query = dict(request.query)
    query.pop("key", None)
    since, limit = int(query.pop("since", "0")), int(query.pop("limit", "100000"))
    return site.journal.find(since=since, limit=limit, **query)


async def change_user(site: Site, request: web.Request, body: dict[str, object]) -> object:
    """Set `cash` or `commodity_cash` of a user, or register `addresses`."""
    account = site.exchange.accounts[request.match_info["user_id"]]
    if "cash" in body:
        account.cash["equity"] = float(str(body["cash"]))
    if "commodity_cash" in body:
        account.cash["commodity"] = float(str(body["commodity_cash"]))
    addresses = body.get("addresses", ())
    if isinstance(addresses, list):
        site.settings.registered_addresses[account.user.user_id] = [str(address) for address in addresses]
    return {"user_id": account.user.user_id, "cash": account.cash}


async def say(site: Site, _request: web.Request, body: dict[str, object]) -> object:
    """Send a text of type `message` (or `type`) to every socket."""
    text = json.dumps({"type": str(body.get("type", "message")), "data": body.get("data", "")})
    for connection in site.streamer.connections:
        connection.say(text)
    return {"sockets": len(site.streamer.connections)}


async def list_scenarios(_site: Site, _request: web.Request, _body: dict[str, object]) -> object:
    return [{"name": one.name, "title": one.title, "steps": len(one.steps)} for one in known_scenarios()]


async def run_scenario(site: Site, request: web.Request, _body: dict[str, object]) -> object:
    scenario = find_scenario(request.match_info["name"])
    site.start(play(site, scenario))
    return {"name": scenario.name, "steps": len(scenario.steps)}


async def square_off(site: Site, _request: web.Request, _body: dict[str, object]) -> object:
    """Square off intraday positions now, as the broker does at the cut-off."""
    site.trading_day.square_off()
    return {"orders_accepted": site.exchange.accepted}


async def release_amo(site: Site, _request: web.Request, _body: dict[str, object]) -> object:
    """Send every waiting AMO to the exchange now."""
    site.trading_day.release_amo()
    return {"orders_accepted": site.exchange.accepted}


async def change_dump(site: Site, _request: web.Request, body: dict[str, object]) -> object:
    """Change rows of the published dump: `{"NSE:INFY": {"lot_size": 5}}`; what trades does not change."""
    changes = {key: fields for key, fields in body.items() if isinstance(fields, dict)}
    return {"changed": site.change_dump(changes)}


async def tick_all(site: Site, _request: web.Request, _body: dict[str, object]) -> object:
    """Publish every instrument once, whatever moved."""
    site.streamer.broadcast(np.arange(len(site.universe), dtype=np.int64))
    return {"instruments": len(site.universe)}


ACTIONS: tuple[tuple[str, str, Action], ...] = (
    ("GET", "/state", show_state),
    ("POST", "/clock", change_clock),
    ("GET", "/calendar", show_calendar),
    ("POST", "/calendar", change_days),
    ("POST", "/step", step),
    ("POST", "/tick", tick_all),
    ("POST", "/price", set_price),
    ("GET", "/book", show_book),
    ("GET", "/freezes", show_freezes),
    ("GET", "/settings", show_settings),
    ("POST", "/settings", change_settings),
    ("GET", "/faults", show_faults),
    ("POST", "/faults", add_fault),
    ("DELETE", "/faults", clear_faults),
    ("DELETE", "/faults/{number:[0-9]+}", clear_faults),
    ("GET", "/journal", show_journal),
    ("POST", "/users/{user_id}", change_user),
    ("POST", "/dump", change_dump),
    ("POST", "/say", say),
    ("POST", "/square_off", square_off),
    ("POST", "/release_amo", release_amo),
    ("GET", "/scenarios", list_scenarios),
    ("POST", "/scenarios/{name}", run_scenario),
)
