"""The tick socket as an ASGI application of its own, for servers that are started by name."""

import os
from typing import Any

import django
from channels.routing import ProtocolTypeRouter, URLRouter
from django.core.asgi import get_asgi_application
from django.urls import path

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "ticker_site.settings")
django.setup()

from django.conf import settings  # noqa: E402

from market_data.bus import AsyncBus  # noqa: E402
from market_data.consumers import TickConsumer  # noqa: E402
from market_data.hub import Hub  # noqa: E402

hub = Hub(bus=AsyncBus(url=settings.REDIS_URL))
consumer: Any = TickConsumer.as_asgi(hub=hub)
ticks: Any = path("ws/v1/ticks", consumer)  # Django's and Channels' types do not meet
application = ProtocolTypeRouter(
    {
        "http": get_asgi_application(),
        "websocket": URLRouter([ticks]),
    }
)
