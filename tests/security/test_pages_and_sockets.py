"""A01 for what is no API route: every page of the panel and every socket, by role."""

from typing import Any

import pytest
from asgiref.sync import sync_to_async
from channels.testing import WebsocketCommunicator
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver
from redis import Redis
from rest_framework.views import APIView

from accounts.models import User
from accounts.queries import ROLE_SCOPES
from tests.factories import UserFactory
from tests.panel_client import PanelClient
from ticker_site.asgi import application, bus, hub, router

SOCKETS = {
    "ws/v1/ticks": "market:read",
    "ws/v1/orders": "orders:read",
    "ws/v1/chains": "greeks:read",
    "ws/v1/alerts": "ops:read",
    "ws/v1/desk": "ops:read",
}
ROLES = [role.value for role in User.Role]
# Who is not signed in may see these: they sign people in, or say whether the process lives.
OPEN_PAGES = {
    "/",
    "/admin/login/",
    "/admin/logout/",
    "/admin/second-factor/",
    "/admin/confirm/",
    "/admin/jsi18n/",
    "/healthz",
    "/readyz",
}


def pages(patterns: list[Any] | None = None, prefix: str = "/") -> list[str]:
    """Return every page that is no API route, with something in place of its arguments."""
    found = []
    for pattern in get_resolver().url_patterns if patterns is None else patterns:
        shape = prefix + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            found += pages(pattern.url_patterns, shape)
        elif isinstance(pattern, URLPattern) and not _is_api(pattern):
            found.append(_filled(shape))
    return sorted(set(found))


def _is_api(pattern: URLPattern) -> bool:
    view = getattr(pattern.callback, "view_class", None)
    return view is not None and issubclass(view, APIView)


def _filled(shape: str) -> str:
    parts = [("1" if part.startswith(("<", "(")) else part) for part in shape.split("/")]
    return "/".join(parts).replace("^", "").replace("$", "").replace("\\.", ".")


@pytest.mark.parametrize("path", [path for path in pages() if path not in OPEN_PAGES])
def test_a_stranger_is_sent_to_the_sign_in(db: None, path: str) -> None:
    answer = Client().get(path)

    assert answer.status_code in {302, 403, 404, 405}
    assert answer.status_code != 302 or "/admin/login/" in answer["Location"] or answer["Location"] == f"{path}/"


@pytest.mark.parametrize("route", sorted(SOCKETS))
async def test_a_socket_without_a_caller_is_refused(db: None, clean_redis: Redis, route: str) -> None:
    accepted, _ = await WebsocketCommunicator(application, f"/{route}").connect(timeout=10)

    assert not accepted


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("route", sorted(SOCKETS))
async def test_a_socket_opens_for_the_roles_that_hold_its_scope(clean_redis: Redis, route: str, role: str) -> None:
    cookie = await sync_to_async(_cookie_of)(role)
    headers = [(b"cookie", cookie), (b"origin", b"http://testserver"), (b"host", b"testserver")]
    socket = WebsocketCommunicator(application, f"/{route}", headers=headers)

    accepted, _ = await socket.connect(timeout=10)

    assert accepted == (SOCKETS[route] in ROLE_SCOPES[User.Role(role)])
    await socket.disconnect()
    # What the process keeps running and its connections belong to this test's loop: the next test has another.
    await hub.stop()
    await bus.close()


def test_every_socket_is_tried() -> None:
    sockets: Any = router.application_mapping["websocket"]

    assert {str(route.pattern) for route in sockets.routes} == set(SOCKETS)


def _cookie_of(role: str) -> bytes:
    browser = PanelClient()
    browser.force_login(UserFactory(role=role, is_staff=True))
    return f"sessionid={browser.cookies['sessionid'].value}".encode()
