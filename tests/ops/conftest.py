"""People at the Desk, and a look that starts fresh in every test."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.test import Client

from accounts.models import User
from ops import chains, status
from tests.factories import UserFactory
from tests.sandbox_server import SandboxServer


@pytest.fixture(autouse=True)
def fresh_look() -> Iterator[None]:
    """Forget what another test saw."""
    status.glance.cache_clear()
    chains.keys_of_minute.cache_clear()
    yield
    status.glance.cache_clear()


@pytest.fixture
def operator(db: None) -> User:
    """Return a person who runs the floor and sees every account."""
    user: User = UserFactory(username="asha", role=User.Role.OPERATOR, every_account=True, is_staff=True)
    return user


@pytest.fixture
def desk(client: Client, operator: User) -> Client:
    """Return a browser in which the operator is signed in."""
    client.force_login(operator)
    return client


@pytest.fixture
def broker(sandbox: SandboxServer, settings: Any) -> SandboxServer:
    """Return the sandbox, named by the settings as the broker."""
    settings.KITE_REST_ROOT = sandbox.rest_root
    settings.KITE_WS_ROOT = sandbox.ws_root
    settings.KITE_LOGIN_URL = sandbox.login_url
    return sandbox
