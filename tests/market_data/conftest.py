"""What the tests of market data may ask for."""

from collections.abc import Iterator

import pytest

from tests.market_data.live import Publisher, TickClient, WebProcess, api_key, client
from tests.sandbox_server import sandbox, sandbox_server

__all__ = ["sandbox", "sandbox_server"]


@pytest.fixture
def web(transactional_db: None, clean_redis: object) -> Iterator[WebProcess]:
    """Return a web process with nothing but the tick socket."""
    with WebProcess() as process:
        yield process


@pytest.fixture
def publisher(clean_redis: object) -> Iterator[Publisher]:
    """Return what a feed's batches come from."""
    opened = Publisher()
    yield opened
    opened.close()


@pytest.fixture
def tick_client(web: WebProcess) -> Iterator[TickClient]:
    """Return a program that may read market data."""
    with client(web, api_key()) as opened:
        yield opened
