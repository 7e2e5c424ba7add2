"""What a route handler sees: the exchange, the caller and the parsed request."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from aiohttp import web
from multidict import MultiDict, MultiDictProxy, MultiMapping

from sandbox.accounts import Session, User
from sandbox.errors import input_error, token_error
from sandbox.journal import Entry
from sandbox.ledger import Account

if TYPE_CHECKING:
    from sandbox.site import Site


@dataclass(slots=True)
class Call:
    """One request on its way through the exchange."""

    site: Site
    request: web.Request
    entry: Entry
    form: MultiDictProxy[str] = field(default_factory=lambda: MultiDictProxy(MultiDict()))
    user: User | None = None
    session: Session | None = None

    @property
    def query(self) -> MultiMapping[str]:
        return self.request.query

    @property
    def account(self) -> Account:
        if self.user is None:
            raise token_error()
        return self.site.exchange.accounts[self.user.user_id]

    @property
    def caller(self) -> User:
        if self.user is None:
            raise token_error()
        return self.user

    def arg(self, name: str) -> str:
        return self.request.match_info[name]

    async def json_list(self) -> list[dict[str, object]]:
        try:
            body = json.loads(await self.request.text())
        except ValueError:
            raise input_error("Invalid JSON payload") from None
        if not isinstance(body, list) or not all(isinstance(item, dict) for item in body):
            raise input_error("Expected a JSON array of objects")
        return body


def credentials_of(request: web.Request) -> tuple[str, str]:
    """Return (api_key, access_token) of the Authorization header, or blanks."""
    scheme, _, pair = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "token":
        return "", ""
    api_key, _, access_token = pair.strip().partition(":")
    return api_key, access_token


def authenticate(call: Call) -> None:
    api_key, access_token = credentials_of(call.request)
    if not api_key or not access_token:
        raise token_error()
    call.user, call.session = call.site.logins.find(
        api_key=api_key, access_token=access_token, now=call.site.clock.now()
    )


Handler = Callable[[Call], Awaitable[object]]


@dataclass(frozen=True, slots=True)
class Route:
    """One endpoint: `limit` names its rate class, `signed` says whether it needs a session."""

    method: str
    path: str
    name: str
    handler: Handler
    limit: str = "other"
    signed: bool = True
