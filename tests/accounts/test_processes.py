"""Sessions where they live: the request and the worker."""

import asyncio
import os

from asgiref.sync import iscoroutinefunction
from django.http import HttpRequest, HttpResponse

from accounts.middleware import KiteSessionsMiddleware
from accounts.sessions import Sessions
from accounts.worker import Worker


def test_a_request_carries_the_sessions_of_its_process() -> None:
    seen: list[object] = []

    def view(request: HttpRequest) -> HttpResponse:
        seen.append(vars(request)["kite"])
        return HttpResponse()

    middleware = KiteSessionsMiddleware(view)
    middleware(HttpRequest())
    middleware(HttpRequest())

    assert isinstance(seen[0], Sessions)
    assert seen[0] is seen[1]
    assert not iscoroutinefunction(middleware)


def test_an_asynchronous_request_carries_them_too() -> None:
    async def view(request: HttpRequest) -> HttpResponse:
        return HttpResponse(type(vars(request)["kite"]).__name__)

    middleware = KiteSessionsMiddleware(view)

    assert iscoroutinefunction(middleware)
    assert asyncio.run(middleware(HttpRequest())).content == b"Sessions"


def test_a_worker_keeps_its_sessions() -> None:
    app = Worker("test")

    assert app.sessions is app.sessions


def test_a_forked_child_starts_sessions_of_its_own() -> None:
    app = Worker("test")
    parents = app.sessions
    read, write = os.pipe()

    if (child := os.fork()) == 0:
        os.write(write, b"own" if app.sessions is not parents else b"shared")
        os._exit(0)
    os.waitpid(child, 0)

    assert os.read(read, 10) == b"own"
