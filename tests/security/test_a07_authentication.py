"""A07 and API2: who asks is proved by a header, a session or a ticket, and by nothing else."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from channels.testing import WebsocketCommunicator
from django.test import Client
from redis import Redis

from accounts.authentication import issue_api_key, revoke_api_key
from accounts.models import ApiKey, User
from tests.factories import UserFactory
from ticker_site.asgi import router

PARAMETERS = ("token", "access_token", "api_key", "apikey", "key", "jwt", "authorization", "ticket")
SOCKETS = ("/ws/v1/ticks", "/ws/v1/orders", "/ws/v1/chains", "/ws/v1/alerts", "/ws/v1/desk")


def key_of(user: User) -> str:
    now = datetime.now(UTC)
    return issue_api_key(
        user=user,
        name="suite",
        scopes=["accounts:read"],
        accounts=None,
        expires_at=now + timedelta(days=1),
        now=now,
    )[1]


@pytest.fixture
def key(db: None, clean_redis: Redis) -> str:
    return key_of(UserFactory(administrator=True))


@pytest.mark.parametrize("name", PARAMETERS)
def test_no_credential_is_read_from_an_address(key: str, name: str) -> None:
    assert Client().get("/api/v1/me", {name: key}).status_code == 401


@pytest.mark.parametrize("name", ["X-API-Key", "X-Api-Token", "Token", "Cookie"])
def test_no_credential_is_read_from_another_header(key: str, name: str) -> None:
    assert Client(headers={name: key}).get("/api/v1/me").status_code == 401


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("path", SOCKETS)
async def test_no_socket_reads_a_credential_from_its_address(clean_redis: Redis, path: str) -> None:
    text = await sync_to_async(lambda: key_of(UserFactory(administrator=True)))()
    for name in PARAMETERS:
        socket = WebsocketCommunicator(router, f"{path}?{name}={text}")
        accepted, _ = await socket.connect(timeout=10)
        assert not accepted


def test_a_revoked_key_is_refused_with_the_next_request(key: str) -> None:
    client = Client(headers={"Authorization": f"Bearer {key}"})
    before = client.get("/api/v1/me").status_code

    revoke_api_key(prefix=ApiKey.objects.get().prefix, actor="ops", reason="lost", now=datetime.now(UTC))

    assert (before, client.get("/api/v1/me").status_code) == (200, 401)


def test_there_is_no_user_before_somebody_makes_one(db: None) -> None:
    assert User.objects.count() == 0


@pytest.mark.parametrize(
    ("change", "body"),
    [
        (lambda user: setattr(user, "is_active", False), 401),
        (lambda user: setattr(user, "role", User.Role.NONE), 403),
    ],
    ids=["left", "lost their role"],
)
def test_what_its_owner_loses_the_key_loses_too(
    db: None, clean_redis: Redis, change: Callable[[Any], None], body: int
) -> None:
    user = UserFactory(role=User.Role.VIEWER, every_account=True)
    client = Client(headers={"Authorization": f"Bearer {key_of(user)}"})

    change(user)
    user.save()

    assert client.get("/api/v1/me").status_code == body
