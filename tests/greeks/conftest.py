"""A market and an engine for the tests of this folder that ask for them."""

import pytest
from django.conf import settings
from redis import Redis

from greeks.chains import Engine
from market_data.bus import SyncBus
from tests.greeks.market import OptionMarket, build_market


@pytest.fixture
def market(db: None, clean_redis: Redis) -> OptionMarket:
    return build_market(redis=clean_redis)


@pytest.fixture
def bus() -> SyncBus:
    return SyncBus(url=settings.REDIS_URL, shards=1)


@pytest.fixture
def engine(bus: SyncBus) -> Engine:
    return Engine(bus=bus)
