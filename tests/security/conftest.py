"""Callers of the security suite."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from django.test import Client
from redis import Redis
from rest_framework.test import APIClient

from accounts.authentication import issue_api_key
from accounts.models import User
from accounts.queries import EVERY_SCOPE, Principal, scopes_of
from tests.factories import UserFactory, principal


@pytest.fixture
def administrator(db: None, clean_redis: Redis) -> APIClient:
    """Return a client who may do everything on every account."""
    return client_of(principal())


@pytest.fixture
def keyed(db: None, clean_redis: Redis) -> Callable[..., Client]:
    """Return a maker of clients that send an API key, as a program does."""

    def make(role: str = User.Role.ADMINISTRATOR) -> Client:
        now = datetime.now(UTC)
        user = UserFactory(role=role, every_account=True)
        _, text = issue_api_key(
            user=user,
            name="suite",
            scopes=scopes_of(user) & EVERY_SCOPE,
            accounts=None,
            expires_at=now + timedelta(days=1),
            now=now,
        )
        return Client(headers={"Authorization": f"Bearer {text}"})

    return make


def client_of(caller: Principal) -> APIClient:
    """Return a client that is authenticated as the principal."""
    client = APIClient()
    client.force_authenticate(user=User.objects.get(pk=caller.user_id), token=caller)  # type: ignore[arg-type]
    return client
