"""A market and an engine for the tests of this folder that ask for them."""

import pytest
from django.conf import settings
from redis import Redis

from greeks.chains import Engine
from market_data.bus import SyncBus
from tests.greeks.market import OptionMarket, build_market


@pytest.fixture
def market(request: pytest.FixtureRequest, clean_redis: Redis) -> OptionMarket:
    request.getfixturevalue("transactional_db" if request.node.get_closest_marker("django_db") else "db")
    return build_market(redis=clean_redis)


@pytest.fixture
def bus() -> SyncBus:
    return SyncBus(url=settings.REDIS_URL, shards=1)


@pytest.fixture
def engine(bus: SyncBus) -> Engine:
    return Engine(bus=bus)
