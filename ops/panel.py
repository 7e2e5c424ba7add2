"""The Desk: one page inside the admin that shows the floor live, and the verbs of those who run it."""

import asyncio
import hashlib
from collections.abc import Callable
from functools import wraps
from typing import Any

import orjson
import structlog
from channels.db import database_sync_to_async
from channels.generic.websocket import AsyncWebsocketConsumer
from csp.decorators import csp
from django.contrib import admin
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.http.response import HttpResponseNotModified
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_GET, require_http_methods

from accounts.authentication import authenticate_socket
from accounts.errors import Forbidden, PlatformError
from accounts.gate import sign_in_of
from accounts.models import User
from accounts.page_policy import OWN_PAGE
from accounts.queries import Principal, principal_of
from accounts.sign_ins import require_fresh
from ops import status, verbs
from ops.state import Json, difference

log = structlog.get_logger(__name__)

READ, WRITE = "ops:read", "ops:write"
SOCKET_PATH = "/ws/v1/desk"
PERIOD_SECONDS = 1.0
# A right taken away closes an open Desk within this time.
RECHECK_SECONDS = 4.0
FORBIDDEN = 4403
BROKEN = 1011
View = Callable[..., HttpResponseBase]


def answer(body: object, *, code: int = 200) -> HttpResponse:
    """Return JSON that no cache keeps."""
    return HttpResponse(
        orjson.dumps(body), status=code, content_type="application/json", headers={"Cache-Control": "no-store"}
    )


def operator(scope: str) -> Callable[[View], View]:
    """Let staff with the scope in and hand the view their principal; errors become problem documents."""

    def decorate(view: View) -> View:
        @wraps(view)
        def guarded(request: HttpRequest, **kwargs: Any) -> HttpResponseBase:
            try:
                return view(request, principal=_principal(request, scope), **kwargs)
            except PlatformError as error:
                problem = {"code": error.code, "detail": str(error), "field": error.field}
                return answer(problem, code=error.status)

        return admin.site.admin_view(guarded)

    return decorate


@csp(dict(OWN_PAGE))
@require_GET
@operator(READ)
def desk(request: HttpRequest, *, principal: Principal) -> HttpResponseBase:
    """The page; everything that moves on it comes over the socket."""
    context = {
        "may_act": principal.may(WRITE),
        "socket_path": SOCKET_PATH,
        "verbs_path": reverse("desk-verb", args=["-"]).removesuffix("-"),
        "orders_url": reverse("admin:orders_order_changelist"),
        "audit_url": reverse("admin:accounts_auditentry_changelist"),
    }
    return render(request, "ops/desk.html", context)


@require_GET
@operator(READ)
def state(request: HttpRequest, *, principal: Principal) -> HttpResponseBase:
    """The whole state, for a Desk whose socket is down; answers 304 where nothing but the clock moved."""
    seen = status.recent(now=timezone.now(), principal=principal)
    etag = f'"{hashlib.sha256(orjson.dumps({**seen, "at": None})).hexdigest()[:32]}"'
    if request.headers.get("If-None-Match") == etag:
        return HttpResponseNotModified(headers={"ETag": etag})
    response = answer(seen)
    response["ETag"] = etag
    return response


@require_http_methods(["GET", "POST"])
@operator(WRITE)
def verb(request: HttpRequest, *, principal: Principal, name: str) -> HttpResponseBase:
    """GET says what a verb would touch; POST does it."""
    now = timezone.now()
    if request.method == "GET":
        return answer(verbs.preview(name=name, target=request.GET.get("target", ""), principal=principal, now=now))
    if verbs.is_stepped_up(name=name):
        require_fresh(sign_in_of(request), now=now)
    form = {key: value for key, value in request.POST.items() if isinstance(value, str)}
    done = verbs.perform(name=name, form=form, principal=principal, now=now)
    return answer({"done": done})


def _principal(request: HttpRequest, scope: str) -> Principal:
    if not isinstance(request.user, User):
        raise Forbidden("sign in first")
    principal = principal_of(request.user)
    if not principal.may(scope):
        raise Forbidden(f"the scope {scope} is missing")
    return principal


class DeskConsumer(AsyncWebsocketConsumer):
    """Sends the state once, then what changed, each second; a slow reader gets fewer and larger changes."""

    def __init__(self, *args: Any, recheck_seconds: float = RECHECK_SECONDS, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._recheck_seconds = recheck_seconds
        self._teller: asyncio.Task[None] | None = None

    async def connect(self) -> None:
        """Let in who may read, before anything is accepted."""
        try:
            principal = await self._authenticate()
        except PlatformError as error:
            log.info("ops.desk.refused", code=error.code)
            await self.close(code=FORBIDDEN)
            return
        await self.accept()
        self._teller = asyncio.create_task(self._tell(principal))

    async def disconnect(self, code: int) -> None:
        """Stop telling."""
        if self._teller is not None:
            self._teller.cancel()

    async def _authenticate(self) -> Principal:
        principal = await authenticate_socket(self.scope)
        if not principal.may(READ):
            raise Forbidden(f"the scope {READ} is missing")
        return principal

    async def _tell(self, principal: Principal) -> None:
        try:
            await self._tell_until_forbidden(principal)
        except Exception:
            # The outermost loop of this socket: whatever broke, the page must reconnect.
            log.exception("ops.desk.broken")
            await self.close(code=BROKEN)

    async def _tell_until_forbidden(self, principal: Principal) -> None:
        clock = asyncio.get_running_loop().time
        checked = clock()
        told: Json = None
        while True:
            seen = await database_sync_to_async(status.recent)(now=timezone.now(), principal=principal)
            frame = {"t": "d", "patch": difference(before=told, after=seen)} if told else {"t": "snap", "state": seen}
            await self.send(text_data=orjson.dumps(frame).decode())
            told = seen
            await asyncio.sleep(PERIOD_SECONDS)
            if clock() - checked > self._recheck_seconds:
                checked = clock()
                try:
                    principal = await self._authenticate()
                except PlatformError:
                    await self.close(code=FORBIDDEN)
                    return
