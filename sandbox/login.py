"""The login page: user, password and code in, a redirect with a request_token out."""

from __future__ import annotations

import html
import time
from pathlib import Path
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from aiohttp import web

from sandbox.accounts import User
from sandbox.clock import stamp
from sandbox.journal import Entry, without_secrets
from sandbox.pipeline import SITE
from sandbox.site import Site

PAGES = Path(__file__).parent / "pages"


async def show_login(request: web.Request) -> web.StreamResponse:
    site = request.app[SITE]
    owner = site.logins.owner_of(request.query.get("api_key", ""))
    if owner is None:
        return _page("error.html", status=400, message="Invalid `api_key`.")
    return _form(request, owner, message="")


async def submit_login(request: web.Request) -> web.StreamResponse:
    site = request.app[SITE]
    form = await request.post()
    entry = site.journal.begin(at=stamp(site.clock.now()) or "", kind="login", source=request.remote or "")
    entry.method, entry.path, entry.route = "POST", request.path, "login"
    entry.params = without_secrets([*request.query.items(), *((name, str(value)) for name, value in form.items())])
    response = _check(site, request, {name: str(value) for name, value in form.items()}, entry)
    entry.status = response.status
    site.journal.close(entry)
    return response


def _check(site: Site, request: web.Request, form: dict[str, str], entry: Entry) -> web.StreamResponse:
    owner = site.logins.owner_of(request.query.get("api_key", ""))
    if owner is None:
        entry.verdict = "refused"
        return _page("error.html", status=400, message="Invalid `api_key`.")
    entry.user_id = owner.user_id
    if form.get("user_id", "") != owner.user_id:
        entry.verdict = "refused"
        return _form(request, owner, status=403, message="The user is not enabled for the app.")
    good = site.logins.check_password(
        user=owner, password=form.get("password", ""), code=form.get("totp", ""), epoch=time.time()
    )
    if not good:
        entry.verdict = "refused"
        return _form(request, owner, status=403, message="Invalid username, password or code.")
    entry.verdict = "accepted"
    token = site.logins.issue_request_token(user=owner, monotonic=time.monotonic())
    return _redirect(site, request, token)


def _redirect(site: Site, request: web.Request, token: str) -> web.StreamResponse:
    target = site.options.redirect or f"{request.scheme}://{request.host}/connect/done"
    extra = parse_qsl(request.query.get("redirect_params", ""))
    parts = urlsplit(target)
    query = [
        *parse_qsl(parts.query), ("action", "login"), ("type", "login"), ("status", "success"),
        ("request_token", token), *extra,
    ]  # fmt: skip
    location = urlunsplit((parts.scheme, parts.netloc, parts.path, urlencode(query), parts.fragment))
    return web.Response(status=302, headers={"Location": location})


async def show_done(request: web.Request) -> web.StreamResponse:
    return _page("done.html", message=request.query.get("request_token", ""))


def _form(request: web.Request, owner: User, *, message: str, status: int = 200) -> web.Response:
    users = request.app[SITE].logins.users
    options = "".join(
        f'<option value="{html.escape(user.user_id)}"{" selected" if user == owner else ""}>'
        f"{html.escape(user.user_id)} · {html.escape(user.user_name)}</option>"
        for user in users
    )
    code = '<label>TOTP<input name="totp" inputmode="numeric" autocomplete="one-time-code"></label>'
    text = (PAGES / "login.html").read_text(encoding="utf-8")
    text = text.replace("{{options}}", options).replace("{{totp}}", code if owner.totp_secret else "")
    text = text.replace("{{message}}", html.escape(message)).replace("{{query}}", html.escape(request.query_string))
    return web.Response(status=status, text=text, content_type="text/html")


def _page(name: str, *, message: str, status: int = 200) -> web.Response:
    text = (PAGES / name).read_text(encoding="utf-8").replace("{{message}}", html.escape(message))
    return web.Response(status=status, text=text, content_type="text/html")
