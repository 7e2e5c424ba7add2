"""The web process: Django over HTTP, one hub and the consumers over WebSocket."""

import os
from datetime import datetime
from typing import Any

import django
from channels.db import database_sync_to_async
from channels.routing import ProtocolTypeRouter, URLRouter
from django.urls import path

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "ticker_site.settings")
django.setup()

from django.conf import settings  # noqa: E402

from accounts.vault import installed  # noqa: E402
from greeks.consumers import ChainConsumer  # noqa: E402
from greeks.hub import ChainHub  # noqa: E402
from market_data.bus import AsyncBus  # noqa: E402
from market_data.consumers import TickConsumer  # noqa: E402
from market_data.hub import Hub  # noqa: E402
from market_data.hub_watch import Standards  # noqa: E402
from market_data.sockets import Door  # noqa: E402
from market_data.thresholds import ages_allowed, pressure_limits  # noqa: E402
from market_data.trading_days import read_calendar  # noqa: E402
from ops.consumers import AlertConsumer  # noqa: E402
from ops.panel import DeskConsumer  # noqa: E402
from orders.consumers import OrderConsumer  # noqa: E402
from ticker_site.bounded_body import BoundedBody  # noqa: E402
from ticker_site.draining import Drain  # noqa: E402
from ticker_site.one_thread import OneThread  # noqa: E402

installed.require()

bus = AsyncBus(url=settings.REDIS_URL)


async def standards_of(now: datetime) -> Standards:
    """Return what the hub judges by: the calendar from today on, and the limits in force."""

    def read() -> Standards:
        return Standards(calendar=read_calendar(since=now.date()), ages=ages_allowed(), pressure=pressure_limits())

    return await database_sync_to_async(read)()


hub = Hub(bus=bus, read_standards=standards_of)
chain_hub = ChainHub(bus=AsyncBus(url=settings.REDIS_URL))


def socket(route: str, consumer: Any) -> Any:
    """Return the route of a consumer; Django's and Channels' types do not meet."""
    return path(route, consumer)


door = Door()
router: Any = ProtocolTypeRouter(
    {
        "http": BoundedBody(OneThread()),
        "websocket": URLRouter(
            [
                socket("ws/v1/ticks", TickConsumer.as_asgi(hub=hub, door=door)),
                socket("ws/v1/orders", OrderConsumer.as_asgi(bus=bus, door=door)),
                socket("ws/v1/chains", ChainConsumer.as_asgi(hub=chain_hub, door=door)),
                socket("ws/v1/alerts", AlertConsumer.as_asgi(bus=bus, door=door)),
                socket("ws/v1/desk", DeskConsumer.as_asgi()),
            ]
        ),
    }
)
application = Drain(router, door=door, seconds=settings.DRAIN_SECONDS)
