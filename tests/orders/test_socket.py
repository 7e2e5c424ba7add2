"""The order socket: snapshot plus events is the state, and a client can come back where it left."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from channels.testing import WebsocketCommunicator
from django.conf import settings as django_settings

from accounts.authentication import issue_api_key, revoke_api_key
from market_data.bus import AsyncBus
from market_data.sockets import HEARTBEAT_SECONDS
from orders.consumers import OrderConsumer
from orders.models import Order
from orders.stream import order_document
from tests.factories import BrokerAccountFactory, UserFactory
from tests.orders.conftest import Desk


@pytest.fixture
def key(desk: Desk) -> str:
    """Return an API key that reads orders."""
    now = datetime.now(UTC)
    _, text = issue_api_key(
        user=UserFactory(administrator=True),
        name="socket",
        scopes=["orders:read"],
        accounts=None,
        expires_at=now + timedelta(days=1),
        now=now,
    )
    return text


@asynccontextmanager
async def connected(key: str, query: str = "") -> AsyncIterator[WebsocketCommunicator]:
    bus = AsyncBus(url=django_settings.REDIS_URL)
    application = OrderConsumer.as_asgi(bus=bus)
    headers = [(b"authorization", f"Bearer {key}".encode())]
    socket = WebsocketCommunicator(application, f"/ws/v1/orders?{query}", headers=headers)
    accepted, _ = await socket.connect()
    assert accepted
    try:
        yield socket
    finally:
        await socket.disconnect()
        await bus.close()


async def next_of(socket: WebsocketCommunicator, kind: str, **fields: Any) -> dict[str, Any]:
    """Return the next message of a kind, passing over a few others."""
    others: list[dict[str, Any]] = []
    while len(others) < 6:
        message: dict[str, Any] = await socket.receive_json_from(timeout=10)
        if message["t"] == kind and all(message.get(name) == value for name, value in fields.items()):
            return message
        others.append(message)
    raise AssertionError(f"no {kind} {fields} among {others}")


async def test_a_client_gets_today_and_then_every_change(desk: Desk, key: str) -> None:
    before = await sync_to_async(desk.place)()
    async with connected(key) as socket:
        welcome = await next_of(socket, "welcome")
        snap = await next_of(socket, "snap")
        after = await sync_to_async(desk.place)()
        await sync_to_async(desk.submit)(after)

        events = [await next_of(socket, "ev") for _ in range(4)]

    assert welcome["accounts"] == [desk.account.label]
    assert [row["id"] for row in snap["orders"]] == [str(before.pk)]
    assert [event["event"]["after"] for event in events] == ["READY", "CLAIMED", "SENDING", "ACKED"]
    fresh = await sync_to_async(Order.objects.select_related("account").get)(pk=after.pk)
    assert events[-1]["order"] == order_document(fresh)


async def test_a_client_comes_back_where_it_left(desk: Desk, key: str) -> None:
    async with connected(key) as socket:
        await next_of(socket, "snap")
        first = await sync_to_async(desk.place)()
        seen = await next_of(socket, "ev")
    missed = await sync_to_async(desk.place)()

    async with connected(key, "accounts=") as socket:
        await next_of(socket, "ok", id=0)
        after = {desk.account.label: seen["offset"]}
        await socket.send_json_to({"op": "sub", "id": 1, "accounts": [desk.account.label], "after": after})
        answers = [await socket.receive_json_from(timeout=5) for _ in range(2)]

    kinds = sorted(answer["t"] for answer in answers)
    event = next(answer for answer in answers if answer["t"] == "ev")
    assert seen["order"]["id"] == str(first.pk)
    assert kinds == ["ev", "ok"]
    assert event["order"]["id"] == str(missed.pk)


async def test_an_offset_that_is_gone_brings_a_snapshot(desk: Desk, key: str) -> None:
    async with connected(key, "accounts=") as socket:
        await next_of(socket, "ok", id=0)
        after = {desk.account.label: "1-0"}
        await socket.send_json_to({"op": "sub", "id": 1, "accounts": [desk.account.label], "after": after})

        snap = await next_of(socket, "snap")

    assert snap["orders"] == []


@pytest.mark.parametrize(
    ("message", "code", "field"),
    [
        ({"op": "dance"}, "op_unknown", "op"),
        ({"op": "sub", "accounts": "all"}, "accounts_invalid", "accounts"),
        ({"op": "sub", "accounts": ["nobody"]}, "account_unknown", "accounts"),
        ({"op": "sub", "after": []}, "after_invalid", "after"),
        ({"op": "sub", "after": {"nobody": "1-0"}}, "after_invalid", "after"),
        ({"op": "sub", "after": {"sbx001": "yesterday"}}, "after_invalid", "after"),
    ],
)
async def test_a_faulty_message_is_named(desk: Desk, key: str, message: dict[str, Any], code: str, field: str) -> None:
    async with connected(key, "accounts=") as socket:
        await socket.send_json_to({"id": 7, **message})

        error = await next_of(socket, "err")

    assert (error["id"], error["code"], error["field"]) == (7, code, field)
    assert error["detail"]


@pytest.mark.parametrize("text", ["nonsense", "[1]", "x" * 70_000])
async def test_what_is_no_message_is_named_and_survived(desk: Desk, key: str, text: str) -> None:
    async with connected(key, "accounts=") as socket:
        await socket.send_to(text_data=text)
        await next_of(socket, "err")
        await socket.send_json_to({"op": "ping", "id": 3})

        assert (await next_of(socket, "ok", id=3))["at"]


async def test_a_client_may_leave_an_account(desk: Desk, key: str) -> None:
    async with connected(key) as socket:
        await next_of(socket, "ok", id=0)
        await socket.send_json_to({"op": "unsub", "id": 1, "accounts": [desk.account.label]})
        answer = await next_of(socket, "ok", id=1)
        await sync_to_async(desk.place)()

        assert answer["accounts"] == []
        assert await socket.receive_nothing(timeout=0.3)


async def test_a_stranger_is_not_let_in(desk: Desk) -> None:
    application = OrderConsumer.as_asgi(bus=AsyncBus(url=django_settings.REDIS_URL))
    socket = WebsocketCommunicator(application, "/ws/v1/orders")

    accepted, _ = await socket.connect()

    assert not accepted


async def test_accounts_of_others_are_not_told(desk: Desk, key: str) -> None:
    now = datetime.now(UTC)
    own = await sync_to_async(BrokerAccountFactory)()
    _, narrow = await sync_to_async(issue_api_key)(
        user=await sync_to_async(UserFactory)(administrator=True),
        name="narrow",
        scopes=["orders:read"],
        accounts=[own],
        expires_at=now + timedelta(days=1),
        now=now,
    )
    async with connected(narrow) as socket:
        welcome = await next_of(socket, "welcome")
        await next_of(socket, "ok", id=0)
        await sync_to_async(desk.place)()

        assert welcome["accounts"] == [own.label]
        assert await socket.receive_nothing(timeout=0.3)


async def test_a_revoked_key_ends_the_connection(desk: Desk, key: str) -> None:
    async with connected(key) as socket:
        await next_of(socket, "ok", id=0)
        await sync_to_async(revoke_api_key)(
            prefix=key.split("_")[2], actor="ops", reason="leaked", now=datetime.now(UTC)
        )

        closed = await socket.receive_output(timeout=HEARTBEAT_SECONDS + 2)

    assert closed == {"type": "websocket.close", "code": 3500}
