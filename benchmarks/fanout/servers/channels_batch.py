"""Channels at its best by the book: one group, and one binary frame a batch that was encoded by the publisher."""

from typing import Any

from channels.generic.websocket import AsyncWebsocketConsumer
from channels.routing import ProtocolTypeRouter, URLRouter
from django.urls import path

from benchmarks.fanout.servers.wiring import BATCH_GROUP, configure

configure()


class BatchConsumer(AsyncWebsocketConsumer):
    """One client."""

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        """Join the group."""
        await self.channel_layer.group_add(BATCH_GROUP, self.channel_name)
        await self.send(text_data='{"t":"ok"}')

    async def batch(self, event: dict[str, Any]) -> None:
        """Pass one frame on."""
        await self.send(bytes_data=event["frame"])

    async def disconnect(self, _: int) -> None:
        """Leave the group."""
        await self.channel_layer.group_discard(BATCH_GROUP, self.channel_name)


def route(address: str, consumer: Any) -> Any:
    """Return the route of a consumer; Django's and Channels' types do not meet."""
    return path(address, consumer)


application = ProtocolTypeRouter({"websocket": URLRouter([route("ws", BatchConsumer.as_asgi())])})
