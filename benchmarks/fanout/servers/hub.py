"""The product's hub, clients and frames behind a receive loop without sign-in: what is measured is the fan-out."""

import asyncio
import contextlib
import os
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import orjson
from channels.routing import ProtocolTypeRouter, URLRouter
from django.urls import path

from benchmarks.fanout.servers.wiring import configure
from kite.types import Mode
from market_data.bus import AsyncBus
from market_data.frames import Format
from market_data.hub import Hub
from market_data.hub_clients import Client

SUBPROTOCOLS = {"ticker.v1.bin": Format.BINARY, "ticker.v1.json": Format.JSON}

configure()
hub = Hub(bus=AsyncBus(url=os.environ["REDIS_URL"]), shards=1)


async def ticks(
    scope: Mapping[str, Any],
    receive: Callable[[], Awaitable[Mapping[str, Any]]],
    send: Callable[[Mapping[str, Any]], Awaitable[None]],
) -> None:
    """Serve one client: every command is a subscription."""
    await receive()
    chosen = scope["subprotocols"][0]
    await send({"type": "websocket.accept", "subprotocol": chosen})
    client = Client(send=send, form=SUBPROTOCOLS[chosen])
    client.task = asyncio.current_task()
    hub.join(client)
    try:
        await converse(client, receive)
    finally:
        hub.leave(client)


async def converse(client: Client, receive: Callable[[], Awaitable[Mapping[str, Any]]]) -> None:
    """Obey the client until it goes, or until the hub finds it too slow."""
    with contextlib.suppress(asyncio.CancelledError):
        while (message := await receive())["type"] == "websocket.receive":
            wanted = orjson.loads(message["text"])
            await client.send({"type": "websocket.send", "text": '{"t":"ok"}'})
            hub.subscribe(client, mode=Mode(wanted["mode"]), tokens=wanted["tokens"])


def route(address: str, consumer: Any) -> Any:
    """Return the route of a consumer; Django's and Channels' types do not meet."""
    return path(address, consumer)


application = ProtocolTypeRouter({"websocket": URLRouter([route("ws", ticks)])})
