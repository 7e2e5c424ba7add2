"""The exchange, for the tests that need more than one misbehaving answer."""

from collections.abc import Iterator

import pytest

from kite.rest import Rest, open_session
from kite.types import Login
from tests.sandbox_server import SandboxServer


@pytest.fixture(scope="session")
def shared_exchange() -> Iterator[SandboxServer]:
    """Return one exchange without rate limits for all tests of this process."""
    with SandboxServer("--no-limits", "--interval", "0.1") as server:
        yield server


@pytest.fixture
def exchange(shared_exchange: SandboxServer) -> Iterator[SandboxServer]:
    """Return the exchange with no fault."""
    shared_exchange.clear_faults()
    yield shared_exchange
    shared_exchange.clear_faults()


@pytest.fixture
def broker_login(exchange: SandboxServer) -> Login:
    """Return a login made through the exchange's own page."""
    user = exchange.user()
    session = open_session(
        rest_root=exchange.rest_root,
        api_key=user.api_key,
        api_secret=user.api_secret,
        request_token=exchange.login(user),
    )
    return Login("account", user.api_key, session.access_token, 1, exchange.rest_root, exchange.ws_root)


@pytest.fixture
def rest(broker_login: Login) -> Iterator[Rest]:
    client = Rest(broker_login, total_timeout=3)
    yield client
    client.close()
