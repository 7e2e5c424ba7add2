"""The exchange under test, and the official client logged in to it."""

from collections.abc import Iterator

import pytest
from kiteconnect import KiteConnect

from tests.sandbox_server import SandboxServer, sandbox, sandbox_server

__all__ = ["sandbox", "sandbox_server"]


@pytest.fixture(scope="session")
def shared_exchange() -> Iterator[SandboxServer]:
    """Return one exchange without rate limits for all tests of this process."""
    with SandboxServer("--no-limits", "--interval", "0.2") as server:
        yield server
        assert "Traceback" not in server.errors()


@pytest.fixture
def exchange(shared_exchange: SandboxServer) -> Iterator[SandboxServer]:
    """Return the exchange with no fault and its first settings."""
    before = shared_exchange.control("GET", "/settings")
    shared_exchange.clear_faults()
    yield shared_exchange
    shared_exchange.clear_faults()
    shared_exchange.settings(**before)
    if shared_exchange.state()["clock"]["paused"]:
        shared_exchange.clock(pause=False)


def connect(server: SandboxServer, user: int = 0) -> KiteConnect:
    """Log a user in with the official client."""
    who = server.user(user)
    client = KiteConnect(who.api_key, root=server.rest_root)
    client.generate_session(server.login(who), who.api_secret)
    return client


@pytest.fixture
def kite(exchange: SandboxServer) -> KiteConnect:
    return connect(exchange)
