"""The web application: every route, the socket on any path, the page, and the listener's door."""

from __future__ import annotations

from aiohttp import hdrs, web

from sandbox import routes_funds, routes_market, routes_orders, routes_portfolio, routes_session, routes_triggers
from sandbox.accounts import User
from sandbox.call import Route
from sandbox.clock import stamp
from sandbox.control import ACTIONS, PREFIX, guarded
from sandbox.errors import KiteError, permission_error, token_error
from sandbox.login import show_done, show_login, submit_login
from sandbox.page import show_page
from sandbox.pipeline import SITE, Aborted, WebHandler, cut, handler_of, json_response, strip_bare
from sandbox.site import Site

ROUTES: tuple[Route, ...] = (
    *routes_session.ROUTES,
    *routes_market.ROUTES,
    *routes_orders.ROUTES,
    *routes_portfolio.ROUTES,
    *routes_triggers.ROUTES,
    *routes_funds.ROUTES,
)


def build_app(site: Site) -> web.Application:
    app = web.Application(middlewares=[doorman], client_max_size=4 << 20)
    app[SITE] = site
    for route in sorted(ROUTES, key=lambda one: one.path.count("{")):
        app.router.add_route(route.method, route.path, handler_of(route))
        if route.method == hdrs.METH_GET:
            app.router.add_route(hdrs.METH_HEAD, route.path, handler_of(route))
    for method, path, action in ACTIONS:
        app.router.add_route(method, PREFIX + path, guarded(action))
    app.router.add_get("/connect/login", show_login)
    app.router.add_post("/connect/login", submit_login)
    app.router.add_get("/connect/done", show_done)
    app.router.add_get("/", show_page)
    app.on_response_prepare.append(strip_bare)
    return app


@web.middleware
async def doorman(request: web.Request, handler: WebHandler) -> web.StreamResponse:
    """Send sockets to the stream, whatever their path, and dress routing errors as Kite does."""
    door = request.app[SITE].door
    if door is not None and door.closed and not request.path.startswith(PREFIX):
        return cut(request)
    if request.headers.get(hdrs.UPGRADE, "").lower() == "websocket":
        return await open_socket(request)
    try:
        return await handler(request)
    except Aborted:
        raise
    except web.HTTPException as error:
        names = {404: "Route not found", 405: "Method not allowed", 413: "Request entity too large"}
        message = names.get(error.status, error.reason)
        refusal = KiteError(error.status, "GeneralException", message).envelope()
        response = json_response(refusal, status=error.status)
        if "Allow" in error.headers:
            response.headers["Allow"] = error.headers["Allow"]
        return response


async def open_socket(request: web.Request) -> web.StreamResponse:
    site = request.app[SITE]
    entry = site.journal.begin(at=stamp(site.clock.now()) or "", kind="socket", source=request.remote or "")
    entry.method, entry.path, entry.route = "GET", request.path, "ws"
    api_key, access_token = request.query.get("api_key", ""), request.query.get("access_token", "")
    owner = site.logins.owner_of(api_key)
    entry.user_id = owner.user_id if owner else None
    if site.faults.take("connection_refused", user=entry.user_id, route="ws"):
        entry.verdict, entry.answer = "not handled", "lost"
        return cut(request)
    try:
        user = _admit(site, api_key=api_key, access_token=access_token)
    except KiteError as error:
        entry.verdict, entry.status, entry.error_type = "refused", error.status, error.error_type
        site.journal.close(entry)
        return json_response(error.envelope(), status=error.status)
    entry.verdict, entry.status = "accepted", 101
    site.journal.close(entry)
    return await site.streamer.serve(request=request, user=user, access_token=access_token)


def _admit(site: Site, *, api_key: str, access_token: str) -> User:
    user, _ = site.logins.find(api_key=api_key, access_token=access_token, now=site.clock.now())
    if not site.settings.market_data:
        raise permission_error("That API call is not allowed for the authenticated user")
    if site.faults.take("socket_refused", user=user.user_id, route="ws"):
        raise token_error()
    full = len(site.streamer.of_user(user.user_id)) >= site.settings.sockets_per_key
    if full and site.settings.refuse_fourth_socket:
        raise KiteError(429, "NetworkException", "Too many connections")
    return user
