"""The way of every REST call: journal, faults before, session, limits, handler, faults after, envelope."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable

from aiohttp import web

from sandbox.call import Call, Route, authenticate, credentials_of
from sandbox.clock import stamp
from sandbox.errors import KiteError, permission_error, token_error
from sandbox.faults import Fault
from sandbox.journal import without_secrets
from sandbox.site import Site

GZIP_ABOVE = 1_400
HTML = "<html><head><title>{status}</title></head><body><center><h1>{status}</h1></center><hr>nginx</body></html>"
SITE = web.AppKey("site", Site)
WebHandler = Callable[[web.Request], Awaitable[web.StreamResponse]]
BEFORE = ("latency", "connection_refused", "hang", "http_429", "http_5xx", "http_403", "ip_not_registered")
# What an app without the paid plan may not ask: rate classes.
MARKET_DATA = frozenset({"quote", "historical"})
SHAPES = ("accepted_then_5xx", "truncated_json", "no_content_type", "null_data", "no_data")


class Aborted(web.HTTPException):
    """The connection was cut on purpose; whatever is returned cannot be written."""

    status_code = 500


class Bare(web.Response):
    """An answer that will go out without a Content-Type."""


async def strip_bare(_request: web.Request, response: web.StreamResponse) -> None:
    if isinstance(response, Bare):
        response.headers.popall("Content-Type", None)


def handler_of(route: Route) -> WebHandler:
    async def serve(request: web.Request) -> web.StreamResponse:
        return await answer(route, request)

    return serve


async def answer(route: Route, request: web.Request) -> web.StreamResponse:
    site = request.app[SITE]
    now = stamp(site.clock.now()) or ""
    entry = site.journal.begin(at=now, kind="http", source=request.remote or "")
    entry.method, entry.path, entry.route = request.method, request.path, route.name
    call = Call(site, request, entry)
    try:
        return await _walk(route, call)
    finally:
        site.journal.close(entry)


async def _walk(route: Route, call: Call) -> web.StreamResponse:
    _identify(call)
    call.form = await call.request.post()  # type: ignore[assignment]
    call.entry.params = without_secrets([*call.query.items(), *call.form.items()])
    call.entry.tag = str(call.form["tag"]) if "tag" in call.form else None
    if (early := await _faults_before(route, call)) is not None:
        return early
    status, body, response = await _decide(route, call)
    if response is not None:
        return response
    return await _faults_after(route, call, status, body)


async def _decide(route: Route, call: Call) -> tuple[int, dict[str, object], web.StreamResponse | None]:
    """Run the handler and return the status and envelope, or a response that needs none."""
    entry = call.entry
    try:
        if route.signed:
            authenticate(call)
        if route.limit in MARKET_DATA and not call.site.settings.market_data:
            raise permission_error("That API call is not allowed for the authenticated user")
        if route.limit != "none" and call.user is not None:
            call.site.limits.check_call(kind=route.limit, api_key=call.user.api_key)
        result = await route.handler(call)
    except KiteError as error:
        entry.verdict, entry.status = "refused", error.status
        entry.error_type, entry.message = error.error_type, error.message
        return error.status, error.envelope(), None
    entry.verdict, entry.status = "accepted", 200
    if isinstance(result, web.StreamResponse):
        entry.status = result.status
        return result.status, {}, result
    return 200, {"status": "success", "data": result}, None


def _identify(call: Call) -> None:
    """Find whose app is calling, before anything is checked, so that faults can choose by user."""
    api_key = credentials_of(call.request)[0]
    call.user = call.site.logins.owner_of(api_key) if api_key else None
    call.entry.user_id = call.user.user_id if call.user else None


async def _faults_before(route: Route, call: Call) -> web.StreamResponse | None:
    """Let the faults that strike before the handler act; None lets the request through."""
    if call.site.faults.is_quiet:
        return None
    for kind in BEFORE:
        fault = call.site.faults.take(kind, user=call.entry.user_id, route=route.name)
        if fault is None:
            continue
        call.entry.faults.append(kind)
        if kind == "latency":
            await asyncio.sleep(fault.seconds() + call.site.faults.draw(fault.float_of("jitter")))
            continue
        if kind == "hang":
            await asyncio.sleep(fault.seconds(30.0))
        if kind in {"hang", "connection_refused"}:
            return _cut(call, verdict="not handled")
        return _refusal(kind, fault, call)
    return None


def _refusal(kind: str, fault: Fault, call: Call) -> web.Response:
    status, body, error_type, message = {
        "http_429": (429, "json", "NetworkException", "Too many requests"),
        "http_5xx": (502, "html", "NetworkException", "Gateway timed out"),
        "http_403": (403, "json", "TokenException", token_error().message),
        "ip_not_registered": (403, "json", "PermissionException", "No IPs configured for this app."),
    }[kind]
    status = fault.number_of("status", status)
    call.entry.verdict, call.entry.status, call.entry.answer = "not handled", status, "spoilt"
    shape = fault.text("body", body)
    return error_response(status, shape, fault.text("error_type", error_type), fault.text("message", message))


async def _faults_after(route: Route, call: Call, status: int, body: dict[str, object]) -> web.StreamResponse:
    faults, user = call.site.faults, call.entry.user_id
    if not faults.is_quiet:
        late = faults.take("late_answer", user=user, route=route.name)
        lost = faults.take("lost_answer", user=user, route=route.name)
        spoilt = None if lost else _shape(call, route)
        call.entry.faults += [fault.kind for fault in (late, lost, spoilt) if fault]
        await asyncio.sleep(late.seconds() if late else 0.0)
        if lost:
            await asyncio.sleep(lost.seconds(30.0) if lost.text("how", "drop") == "hang" else 0.0)
            return _cut(call, verdict=call.entry.verdict)
        if spoilt:
            call.entry.answer = "spoilt"
            return _misshapen(spoilt.kind, spoilt, status, body)
    return json_response(body, status=status)


def _shape(call: Call, route: Route) -> Fault | None:
    """Draw the fault of an answer's shape when the answer is ready: a late one must not take a later fault."""
    faults = call.site.faults
    found = (faults.take(kind, user=call.entry.user_id, route=route.name) for kind in SHAPES)
    return next((fault for fault in found if fault), None)


def _misshapen(kind: str, fault: Fault, status: int, body: dict[str, object]) -> web.Response:
    text = json.dumps(body)
    if kind == "accepted_then_5xx":
        error_type, message = fault.text("error_type", "NetworkException"), fault.text("message", "Gateway timed out")
        return error_response(fault.number_of("status", 502), fault.text("body", "html"), error_type, message)
    if kind == "truncated_json":
        half = text[: len(text) // 2].encode()
        return web.Response(status=status, body=half, content_type="application/json")
    if kind == "no_content_type":
        return Bare(status=status, body=text.encode())
    changed: dict[str, object] = {**body, "data": None} if kind == "null_data" else {"status": body["status"]}
    return json_response(changed, status=status)


def error_response(status: int, body: str, error_type: str, message: str) -> web.Response:
    """Return an error as `json`, `untyped` JSON, `html` or `empty`."""
    if body == "html":
        return web.Response(status=status, body=HTML.format(status=status).encode(), content_type="text/html")
    if body == "empty":
        return web.Response(status=status)
    if body == "untyped":
        return json_response({"status": "error"}, status=status)
    return json_response(KiteError(status, error_type, message).envelope(), status=status)


def _cut(call: Call, *, verdict: str) -> web.StreamResponse:
    call.entry.verdict, call.entry.answer = verdict, "lost"
    return cut(call.request)


def cut(request: web.Request) -> web.StreamResponse:
    """End the connection without an answer."""
    if request.transport is not None:
        request.transport.abort()
    raise Aborted


def json_response(body: object, *, status: int = 200) -> web.Response:
    payload = json.dumps(body, separators=(",", ":")).encode()
    response = web.Response(status=status, body=payload, content_type="application/json")
    if len(payload) > GZIP_ABOVE:
        response.enable_compression()
    return response
