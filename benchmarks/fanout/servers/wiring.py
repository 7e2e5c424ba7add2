"""What each peer's web process needs of Django: settings without apps, and the channel layer under test."""

import os
from typing import Any, Final

from django.conf import settings

from ticker_site.redis_urls import channel_layer_host

BACKENDS: Final = {
    "core": "channels_redis.core.RedisChannelLayer",
    "pubsub": "channels_redis.pubsub.RedisPubSubChannelLayer",
}
# With its default of 100 the core layer loses half of a burst; raised, it is compared at its best.
CAPACITY: Final = 100_000
BATCH_GROUP: Final = "ticks"
SEED_CHANNEL: Final = "seed.ticks"


def configure() -> None:
    """Configure Django from FANOUT_LAYER (core, pubsub or nothing), FANOUT_PREFIX and REDIS_URL."""
    layers: dict[str, Any] = {}
    if kind := os.environ.get("FANOUT_LAYER"):
        layers["default"] = channel_layer(kind=kind, prefix=os.environ["FANOUT_PREFIX"], url=os.environ["REDIS_URL"])
    settings.configure(CHANNEL_LAYERS=layers, INSTALLED_APPS=[], DATABASES={}, USE_TZ=True, SECRET_KEY="benchmark")


def channel_layer(*, kind: str, prefix: str, url: str) -> dict[str, Any]:
    """Return the entry of CHANNEL_LAYERS."""
    config: dict[str, Any] = {"hosts": [channel_layer_host(url)], "prefix": prefix}
    if kind == "core":
        config["capacity"] = CAPACITY
    return {"BACKEND": BACKENDS[kind], "CONFIG": config}
