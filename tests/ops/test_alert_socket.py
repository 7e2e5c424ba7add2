"""The alert socket: what is wrong, every change of it, and a way back to where a client was."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from channels.testing import WebsocketCommunicator
from django.conf import settings
from redis import Redis

from market_data.bus import AsyncBus
from ops import alerts
from ops.consumers import AlertConsumer
from ops.state import Finding
from tests.market_data.live import api_key

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("clean_redis")]
NOW = datetime(2026, 11, 24, 5, 0, tzinfo=UTC)


def wrong(code: str) -> Finding:
    return Finding(code=code, severity="red", subject="sbx001", text=f"{code} it is", mend="mend it")


async def look(*codes: str) -> None:
    """See what is wrong, and nothing but that."""
    await sync_to_async(alerts.watch)(findings=[wrong(code) for code in codes], now=NOW)


@asynccontextmanager
async def connected(query: str = "", scope: str = "ops:read") -> AsyncIterator[WebsocketCommunicator]:
    bus = AsyncBus(url=settings.REDIS_URL)
    key = await sync_to_async(api_key)(scopes=(scope,))
    headers = [(b"authorization", f"Bearer {key}".encode())]
    socket = WebsocketCommunicator(AlertConsumer.as_asgi(bus=bus), f"/ws/v1/alerts?{query}", headers=headers)
    try:
        yield socket
    finally:
        await socket.disconnect()
        await bus.close()


async def next_of(socket: WebsocketCommunicator, kind: str) -> dict[str, Any]:
    while True:
        message: dict[str, Any] = await socket.receive_json_from(timeout=20)
        if message["t"] == kind:
            return message


async def test_a_client_gets_what_is_wrong_and_then_every_change() -> None:
    await look("feed_down")
    async with connected() as socket:
        await socket.connect(timeout=20)
        snap = await next_of(socket, "snap")
        await look("feed_down", "recorder_behind")
        opened = await next_of(socket, "ev")
        while opened["alert"]["code"] != "recorder_behind":
            opened = await next_of(socket, "ev")
        await sync_to_async(alerts.acknowledge)(alert_id=opened["alert"]["id"], actor="asha", reason="on it", now=NOW)
        taken = await next_of(socket, "ev")
        await sync_to_async(alerts.resolve)(alert_id=opened["alert"]["id"], actor="asha", reason="done", now=NOW)
        over = await next_of(socket, "ev")

    assert [row["code"] for row in snap["alerts"]] == ["feed_down"]
    assert [event["kind"] for event in (opened, taken, over)] == ["opened", "acknowledged", "resolved"]
    assert (taken["alert"]["owner"], over["alert"]["resolved_at"]) == ("asha", NOW.isoformat())


async def test_a_client_comes_back_to_its_position_and_misses_nothing() -> None:
    async with connected() as socket:
        await socket.connect(timeout=20)
        await next_of(socket, "snap")
        await look("a")
        seen = await next_of(socket, "ev")
    await look("a", "b")
    await look("a", "b", "c")

    async with connected(f"after={seen['offset']}") as socket:
        await socket.connect(timeout=20)
        told: list[dict[str, Any]] = []
        while len(told) < 3:
            message = await socket.receive_json_from(timeout=20)
            told += [message] if message["t"] in {"snap", "ev", "ok"} else []

    assert sorted(message["t"] for message in told) == ["ev", "ev", "ok"]
    assert [message["alert"]["code"] for message in told if message["t"] == "ev"] == ["b", "c"]


async def test_a_position_that_is_gone_brings_what_is_wrong_now(clean_redis: Redis) -> None:
    async with connected() as socket:
        await socket.connect(timeout=20)
        before = await next_of(socket, "snap")
        clean_redis.flushall()
        await look("a")

        await socket.send_json_to({"op": "sub", "id": 1, "after": before["offset"]})

        assert [row["code"] for row in (await next_of(socket, "snap"))["alerts"]] == ["a"]


@pytest.mark.parametrize(
    ("message", "code", "field"),
    [
        ({"op": "dance"}, "op_unknown", "op"),
        ({"op": "sub", "after": "yesterday"}, "after_invalid", "after"),
        ({"op": "sub", "after": 5}, "after_invalid", "after"),
    ],
)
async def test_a_faulty_message_is_named_and_survived(message: dict[str, Any], code: str, field: str) -> None:
    async with connected() as socket:
        await socket.connect(timeout=20)
        await socket.send_json_to({"id": 7, **message})
        error = await next_of(socket, "err")
        await socket.send_json_to({"op": "ping", "id": 8})

        assert (error["id"], error["code"], error["field"]) == (7, code, field)
        while (answer := await next_of(socket, "ok"))["id"] != 8:
            continue
        assert answer["at"]


async def test_who_may_not_run_the_desk_hears_no_alert() -> None:
    async with connected(scope="market:read") as socket:
        accepted, _ = await socket.connect(timeout=20)

    assert not accepted
