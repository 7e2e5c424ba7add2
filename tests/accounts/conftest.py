"""Accounts that exist at the sandbox too."""

import socket
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from accounts import credentials
from accounts.models import BrokerAccount, User
from tests.factories import BrokerAccountFactory, UserFactory
from tests.sandbox_server import SandboxServer


@pytest.fixture
def now() -> datetime:
    """Return the moment the test runs at."""
    return datetime.now(UTC)


@pytest.fixture
def broker(sandbox: SandboxServer, settings: Any) -> SandboxServer:
    """Return the sandbox, named by the settings as the broker."""
    settings.KITE_REST_ROOT = sandbox.rest_root
    settings.KITE_WS_ROOT = sandbox.ws_root
    settings.KITE_LOGIN_URL = sandbox.login_url
    return sandbox


@pytest.fixture
def keyed_account(broker: SandboxServer, now: datetime) -> Callable[[int], BrokerAccount]:
    """Return a maker of accounts that have a sandbox user's key and secret and are not logged in."""

    def make(number: int = 0) -> BrokerAccount:
        user = broker.user(number)
        account = BrokerAccountFactory(label=user.user_id.lower(), broker_user_id=user.user_id)
        credentials.rotate(
            account_id=account.pk,
            api_key=user.api_key,
            api_secret=user.api_secret,
            actor="test",
            reason="first",
            now=now,
        )
        return account

    return make


@pytest.fixture
def operator() -> User:
    """Return a person who runs the desk and sees every account."""
    return UserFactory(role=User.Role.OPERATOR, every_account=True, is_staff=True)


@pytest.fixture
def silent_server() -> Iterator[str]:
    """Return the address of a server that accepts and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"redis://127.0.0.1:{listener.getsockname()[1]}/0"
