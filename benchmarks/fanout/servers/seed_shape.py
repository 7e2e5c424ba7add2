"""The common shape: one task reads a JSON tick from Redis and awaits each client's own copy, one after another."""

import asyncio
import json
import os
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import redis.asyncio

from benchmarks.fanout.servers.wiring import SEED_CHANNEL

Send = Callable[[Mapping[str, Any]], Awaitable[None]]


class Desk:
    """The clients by instrument, and the task that serves them."""

    def __init__(self) -> None:
        self.senders: dict[int, dict[int, Send]] = {}
        self._task: asyncio.Task[None] | None = None
        self._subscribed = asyncio.Event()

    async def listen(self) -> None:
        """Start to read, once, and return when nothing is missed any more."""
        if self._task is None:
            self._task = asyncio.create_task(self._deliver())
        await self._subscribed.wait()

    async def _deliver(self) -> None:
        pubsub = redis.asyncio.Redis.from_url(os.environ["REDIS_URL"], socket_timeout=None).pubsub()
        await pubsub.subscribe(SEED_CHANNEL)
        async for message in pubsub.listen():
            if message["type"] == "message":
                await self._pass_on(json.loads(message["data"]))
            else:
                self._subscribed.set()

    async def _pass_on(self, tick: dict[str, Any]) -> None:
        senders = self.senders.get(tick["instrument_token"], {})
        for key, send in list(senders.items()):
            try:
                await send({"type": "websocket.send", "text": json.dumps(tick)})
            except OSError:
                senders.pop(key, None)


desk = Desk()


async def application(
    scope: Mapping[str, Any], receive: Callable[[], Awaitable[Mapping[str, Any]]], send: Send
) -> None:
    """Serve one client."""
    if scope["type"] != "websocket":
        return
    await desk.listen()
    await receive()
    await send({"type": "websocket.accept"})
    wanted: list[int] = []
    while (message := await receive())["type"] == "websocket.receive":
        wanted = json.loads(message["text"])["tokens"]
        for token in wanted:
            desk.senders.setdefault(token, {})[id(send)] = send
        await send({"type": "websocket.send", "text": json.dumps({"t": "ok"})})
    for token in wanted:
        desk.senders[token].pop(id(send), None)
