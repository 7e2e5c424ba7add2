"""Channels as its tutorial has it: a group per instrument, one message a tick, JSON dumped for each client."""

from typing import Any

from channels.generic.websocket import AsyncJsonWebsocketConsumer
from channels.routing import ProtocolTypeRouter, URLRouter
from django.urls import path

from benchmarks.fanout.servers.wiring import configure

configure()


class TickConsumer(AsyncJsonWebsocketConsumer):
    """One client."""

    async def receive_json(self, content: dict[str, Any], **_: Any) -> None:
        """Join the group of every instrument asked for."""
        self.joined = [f"tick.{token}" for token in content["tokens"]]
        for group in self.joined:
            await self.channel_layer.group_add(group, self.channel_name)
        await self.send_json({"t": "ok"})

    async def tick(self, event: dict[str, Any]) -> None:
        """Pass one tick on."""
        await self.send_json(event["tick"])

    async def disconnect(self, _: int) -> None:
        """Leave every group."""
        for group in getattr(self, "joined", []):
            await self.channel_layer.group_discard(group, self.channel_name)


def route(address: str, consumer: Any) -> Any:
    """Return the route of a consumer; Django's and Channels' types do not meet."""
    return path(address, consumer)


application = ProtocolTypeRouter({"websocket": URLRouter([route("ws", TickConsumer.as_asgi())])})
