"""The Desk's socket: a snapshot, then what changed."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from channels.db import database_sync_to_async
from channels.testing import WebsocketCommunicator
from django.db import connections
from django.test import Client

from accounts.models import User
from ops import panel
from ops.panel import DeskConsumer
from tests.factories import UserFactory
from tests.ops.test_halt import engage
from tests.ops.test_state import merged

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("clean_redis")]


@pytest.fixture(autouse=True)
async def closed_connections() -> AsyncIterator[None]:
    """Close the database connection of the thread that looked for the socket."""
    yield
    await database_sync_to_async(connections.close_all)()


def socket_of(client: Client, *, origin: str = "http://testserver", **options: Any) -> WebsocketCommunicator:
    """Return a socket that carries the browser's cookies."""
    cookies = "; ".join(f"{name}={morsel.value}" for name, morsel in client.cookies.items())
    headers = [(b"host", b"testserver"), (b"origin", origin.encode()), (b"cookie", cookies.encode())]
    return WebsocketCommunicator(DeskConsumer.as_asgi(**options), panel.SOCKET_PATH, headers=headers)


async def heard(socket: WebsocketCommunicator) -> Any:
    """Return the next frame."""
    return await socket.receive_json_from(timeout=20)


async def test_a_desk_first_hears_the_whole_state(desk: Client) -> None:
    socket = socket_of(desk)
    accepted, _ = await socket.connect(timeout=20)

    first = await heard(socket)

    assert accepted
    assert (first["t"], first["state"]["trading"]["state"]) == ("snap", "ACTIVE")
    await socket.disconnect()


async def test_a_desk_then_hears_only_what_changed(desk: Client) -> None:
    socket = socket_of(desk)
    await socket.connect(timeout=20)
    state = (await heard(socket))["state"]

    await sync_to_async(engage)()
    patch: dict[str, Any] = {}
    while "trading" not in patch:
        frame = await heard(socket)
        patch = frame["patch"]
        state = merged(state, patch)

    assert frame["t"] == "d"
    assert "broker" not in patch
    assert state["trading"]["state"] == "HALTED"
    await socket.disconnect()


async def test_a_socket_without_a_session_is_refused(client: Client) -> None:
    accepted, _ = await socket_of(client).connect(timeout=20)

    assert not accepted


async def test_a_session_does_not_count_from_a_foreign_page(desk: Client) -> None:
    accepted, _ = await socket_of(desk, origin="https://evil.example").connect(timeout=20)

    assert not accepted


async def test_a_socket_without_the_scope_is_refused(client: Client) -> None:
    person = await sync_to_async(UserFactory)(role=User.Role.TRADER, is_staff=True)
    await sync_to_async(client.force_login)(person)

    accepted, _ = await socket_of(client).connect(timeout=20)

    assert not accepted


async def test_a_desk_is_closed_when_its_session_ends(desk: Client) -> None:
    socket = socket_of(desk, recheck_seconds=0)
    await socket.connect(timeout=20)
    await heard(socket)

    await sync_to_async(desk.logout)()
    while (message := await socket.receive_output(timeout=20))["type"] != "websocket.close":
        continue

    assert message["code"] == panel.FORBIDDEN
