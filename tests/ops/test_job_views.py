"""The state of the floor, and jobs started by hand, over the API."""

from typing import Any

import pytest
from redis import Redis
from rest_framework.test import APIClient

from accounts.models import AuditEntry, User
from accounts.queries import principal_of
from ops.tasks import JOBS
from tests.factories import BrokerAccountFactory, UserFactory, principal
from tests.panel_client import PanelClient
from tests.security.conftest import client_of
from ticker_site.celery import app


@pytest.fixture
def operator(db: None, clean_redis: Redis) -> APIClient:
    return client_of(principal(role=User.Role.OPERATOR))


def queued(queue: str) -> int:
    channel: Any = app.connection_for_read().channel()
    return int(channel.client.llen(queue))


@pytest.mark.parametrize("name", JOBS)
def test_a_job_is_put_into_its_queue_and_on_record(operator: APIClient, clean_redis: Redis, name: str) -> None:
    answer = operator.post(f"/api/v1/jobs/{name}")

    assert answer.status_code == 202
    assert answer.json()["job"] == name
    assert AuditEntry.objects.filter(action="ops.job.started", subject=name).count() == 1
    assert sum(queued(queue) for queue in ("orders", "default", "greeks")) == 1


def test_somebody_loads_the_instruments_from_their_page(db: None, clean_redis: Redis) -> None:
    browser = PanelClient()
    browser.force_login(UserFactory(role=User.Role.OPERATOR, is_staff=True))

    answer: Any = browser.post("/admin/market_data/instrumentsync/refresh/", {"reason": "a new contract"})

    assert answer.status_code == 302, answer.text
    assert AuditEntry.objects.get(action="ops.job.started", subject="instruments").reason == "a new contract"
    assert queued("default") == 1


def test_an_unknown_job_is_named(operator: APIClient) -> None:
    answer = operator.post("/api/v1/jobs/coffee")

    assert answer.status_code == 404
    assert answer.json()["code"] == "job_unknown"


def test_a_viewer_starts_nothing(db: None, clean_redis: Redis) -> None:
    assert client_of(principal(role=User.Role.VIEWER)).post("/api/v1/jobs/books").status_code == 403


def test_the_state_leaves_out_accounts_of_others(db: None, clean_redis: Redis) -> None:
    own, other = BrokerAccountFactory(), BrokerAccountFactory()
    user = UserFactory(role=User.Role.OPERATOR)
    user.accounts.add(own)

    answer: Any = client_of(principal_of(user)).get("/api/v1/status")

    assert answer.status_code == 200
    assert own.label in answer.json()["accounts"]
    assert other.label not in answer.json()["accounts"]
