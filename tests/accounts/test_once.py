"""A write that is sent again under its key is done once."""

from datetime import UTC, datetime
from typing import Any

import pytest
from django.db import connection
from redis import Redis
from rest_framework.test import APIClient

from accounts.models import BrokerAccount, KeptAnswer, User
from accounts.once import KEPT_FOR, forget_answers
from accounts.queries import principal_of
from tests.factories import UserFactory, principal
from tests.webhooks.conftest import OTHER_SECRET, SECRET
from webhooks.models import Endpoint

NEW = {"label": "new", "broker_user_id": "AB1234"}
HOOK = {"url": "https://93.184.215.14/", "kinds": ["orders.order.*"], "secret": SECRET}


@pytest.fixture
def client(db: None, clean_redis: Redis) -> APIClient:
    return client_of(User.objects.get(pk=principal().user_id))


def client_of(user: User) -> APIClient:
    client = APIClient()
    client.force_authenticate(user=user, token=principal_of(user))  # type: ignore[arg-type]
    return client


def add(client: APIClient, body: dict[str, str], *, key: str = "k1") -> Any:
    return client.post("/api/v1/accounts", body, format="json", headers={"Idempotency-Key": key})


def test_the_second_time_the_first_answer_is_given(client: APIClient) -> None:
    first, again = add(client, NEW), add(client, NEW)

    assert (first.status_code, again.status_code) == (201, 201)
    assert (first["Idempotent-Replayed"], again["Idempotent-Replayed"]) == ("false", "true")
    assert again.json() == first.json()
    assert BrokerAccount.objects.count() == 1


def test_another_body_under_the_same_key_is_refused(client: APIClient) -> None:
    add(client, NEW)

    answer = add(client, {"label": "other", "broker_user_id": "CD1234"})

    assert (answer.status_code, answer.json()["code"]) == (422, "idempotency_key_reused")
    assert BrokerAccount.objects.count() == 1


def test_what_was_refused_may_be_tried_again(client: APIClient) -> None:
    assert add(client, {"label": "no spaces"}).status_code == 400

    assert add(client, NEW).status_code == 201


def test_a_repetition_while_the_first_is_at_work_is_told_so(client: APIClient) -> None:
    add(client, NEW)
    KeptAnswer.objects.update(status=None, body="")

    answer = add(client, NEW)

    assert (answer.status_code, answer.json()["code"]) == (409, "idempotency_unsettled")
    assert answer.json()["retryable"] is True


@pytest.mark.parametrize("key", ["", "a b", "k" * 129])
def test_an_unusable_key_is_named(client: APIClient, key: str) -> None:
    answer = add(client, NEW, key=key)

    assert (answer.status_code, answer.json()["field"]) == (400, "Idempotency-Key")
    assert not BrokerAccount.objects.exists()


def test_a_key_belongs_to_who_sent_it(client: APIClient) -> None:
    add(client, NEW)
    other = client_of(UserFactory(administrator=True))

    answer = add(other, {"label": "other", "broker_user_id": "CD1234"})

    assert answer.status_code == 201


def test_a_webhook_is_made_once_and_its_secret_is_not_kept_with_the_answer(client: APIClient) -> None:
    headers = {"Idempotency-Key": "hook"}

    first = client.post("/api/v1/webhooks", HOOK, format="json", headers=headers)
    again = client.post("/api/v1/webhooks", HOOK, format="json", headers=headers)

    assert again.json() == first.json()
    assert again["Location"] == first["Location"]
    assert Endpoint.objects.count() == 1
    with connection.cursor() as cursor:
        cursor.execute("SELECT kept::text FROM accounts_keptanswer kept")
        ((kept,),) = cursor.fetchall()
    assert SECRET not in kept


def test_another_secret_under_the_same_key_is_refused(client: APIClient) -> None:
    headers = {"Idempotency-Key": "hook"}
    client.post("/api/v1/webhooks", HOOK, format="json", headers=headers)

    answer = client.post("/api/v1/webhooks", {**HOOK, "secret": OTHER_SECRET}, format="json", headers=headers)

    assert (answer.status_code, answer.json()["code"]) == (422, "idempotency_key_reused")
    assert SECRET not in answer.content.decode()


def test_an_empty_answer_is_repeated(client: APIClient) -> None:
    headers = {"Idempotency-Key": "gone"}
    client.put("/api/v1/lists/mine", {"instruments": []}, format="json")

    first = client.delete("/api/v1/lists/mine", headers=headers)
    again = client.delete("/api/v1/lists/mine", headers=headers)

    assert (first.status_code, again.status_code) == (204, 204)


def test_answers_are_forgotten_after_a_day(client: APIClient) -> None:
    add(client, NEW)
    now = datetime.now(UTC)

    forget_answers(now=now)
    assert KeptAnswer.objects.count() == 1

    forget_answers(now=now + KEPT_FOR)
    assert not KeptAnswer.objects.exists()
