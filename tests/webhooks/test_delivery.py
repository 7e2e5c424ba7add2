"""Messages arrive signed, are sent again when they fail, and end on the list of the dead when nobody hears them."""

import hashlib
import hmac
import json
import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection

from accounts.queries import Principal
from tests.factories import BrokerAccountFactory
from tests.webhooks.conftest import OTHER_SECRET, SECRET, added, told
from tests.webhooks.receiver import Receiver
from webhooks import delivery, keeping, queries
from webhooks.announcing import announce
from webhooks.errors import NotReplayable
from webhooks.models import Attempt, Delivery, Endpoint
from webhooks.signing import signature

NOW = datetime(2026, 11, 24, 6, 0, tzinfo=UTC)
State = Delivery.State


def sent(row: Delivery, *, now: datetime = NOW) -> Delivery:
    delivery.deliver(delivery_id=row.pk, now=now)
    row.refresh_from_db()
    return row


def test_a_message_arrives_signed(owner: Principal, receiver: Receiver) -> None:
    added(owner, receiver.url)
    (row,) = told(NOW, order={"id": "1"})

    sent(row)

    (heard,) = receiver.heard
    assert row.state == State.DELIVERED
    assert heard.path == "/hook?x=1"
    assert json.loads(heard.body) == {
        "type": "orders.order.complete",
        "timestamp": NOW.isoformat(),
        "data": {"order": {"id": "1"}},
    }
    assert heard.headers["webhook-id"] == row.message.wire_id
    assert heard.headers["webhook-timestamp"] == str(int(NOW.timestamp()))
    assert heard.headers["webhook-signature"] == signature(
        secret=SECRET, message_id=row.message.wire_id, timestamp=int(NOW.timestamp()), body=heard.body
    )


def test_every_try_is_in_the_log(owner: Principal, receiver: Receiver) -> None:
    added(owner, receiver.url)
    receiver.statuses = [500, 200]
    (row,) = told(NOW)
    sent(row)

    sent(row, now=NOW + timedelta(minutes=1))

    tries = list(Attempt.objects.order_by("id").values_list("number", "status", "address", "answer"))
    assert tries == [(1, 500, "127.0.0.1", "heard"), (2, 200, "127.0.0.1", "heard")]
    assert row.state == State.DELIVERED


@pytest.mark.parametrize("status", [302, 400, 404, 500, 503])
def test_what_is_not_heard_is_tried_again_later(owner: Principal, receiver: Receiver, status: int) -> None:
    added(owner, receiver.url)
    receiver.statuses = [status]
    receiver.extra = {"Location": "http://169.254.169.254/"} if status == 302 else {}
    (row,) = told(NOW)

    sent(row)

    assert row.state == State.WAITING
    assert row.next_at is not None
    assert NOW + timedelta(seconds=4) <= row.next_at <= NOW + timedelta(seconds=6)
    assert len(receiver.heard) == 1


def test_a_delivery_is_not_sent_before_its_time(owner: Principal, receiver: Receiver) -> None:
    added(owner, receiver.url)
    receiver.statuses = [500]
    (row,) = told(NOW)
    sent(row)

    sent(row, now=NOW + timedelta(seconds=1))

    assert len(receiver.heard) == 1


def test_the_receivers_wish_to_wait_is_honoured(owner: Principal, receiver: Receiver) -> None:
    added(owner, receiver.url)
    receiver.statuses, receiver.extra = [429], {"Retry-After": "120"}
    (row,) = told(NOW)

    sent(row)

    assert row.next_at == NOW + timedelta(seconds=120)


def test_after_the_last_try_a_delivery_is_dead(owner: Principal, receiver: Receiver) -> None:
    added(owner, receiver.url)
    receiver.statuses = [500]
    (row,) = told(NOW)
    now = NOW

    while row.state == State.WAITING:
        assert row.next_at is not None
        now = max(row.next_at, now) + timedelta(minutes=6)
        sent(row, now=now)

    assert row.state == State.DEAD
    assert row.attempts == len(receiver.heard) == len(delivery.PAUSES) + 1
    assert row.reason == "the receiver answered 500"
    assert now - NOW > timedelta(days=2)


def test_the_dead_may_be_sent_again_under_their_id(owner: Principal, receiver: Receiver) -> None:
    added(owner, receiver.url)
    (row,) = told(NOW)
    sent(row)

    sent(delivery.replay(delivery=row, now=NOW), now=NOW)

    assert len({heard.headers["webhook-id"] for heard in receiver.heard}) == 1
    assert len(receiver.heard) == 2


def test_what_is_on_its_way_is_not_sent_again(owner: Principal, receiver: Receiver) -> None:
    added(owner, receiver.url)
    (row,) = told(NOW)

    with pytest.raises(NotReplayable):
        delivery.replay(delivery=row, now=NOW)


def test_gone_means_no_more(owner: Principal, receiver: Receiver) -> None:
    kept = added(owner, receiver.url)
    receiver.statuses = [410]
    (row,) = told(NOW)

    sent(row)

    kept.refresh_from_db()
    assert row.state == State.DEAD
    assert kept.state == Endpoint.State.DISABLED
    assert told(NOW + timedelta(seconds=1)) == []


def test_a_failing_receiver_is_left_alone_by_other_messages_too(owner: Principal, receiver: Receiver) -> None:
    added(owner, receiver.url)
    receiver.statuses = [500]
    rows = [told(NOW, kind=f"orders.order.{name}")[0] for name in ("open", "partial", "complete")]
    sent(rows[0])
    sent(rows[1])

    sent(rows[2])

    assert len(receiver.heard) == 2
    assert rows[2].attempts == 0
    assert queries.due(now=NOW) == []


def test_a_name_that_moved_inside_is_not_followed(owner: Principal, receiver: Receiver, settings: Any) -> None:
    added(owner, receiver.url)
    (row,) = told(NOW)
    settings.WEBHOOK_ALLOWED_NETWORKS = []

    sent(row)

    assert receiver.heard == []
    assert row.state == State.WAITING
    assert "not a public address" in row.reason


def test_a_receiver_that_drips_is_given_up(owner: Principal, receiver: Receiver) -> None:
    added(owner, receiver.url)
    receiver.stall = threading.Event()
    (row,) = told(NOW)

    sent(row)
    receiver.stall.set()

    assert row.state == State.WAITING
    assert row.reason == "no whole answer within 5 s"


def test_nobody_listening_is_a_failure_like_another(owner: Principal, receiver: Receiver) -> None:
    added(owner, "http://127.0.0.1:1/")
    (row,) = told(NOW)

    sent(row)

    assert row.state == State.WAITING
    assert "refused" in row.reason.lower()


def test_a_delivery_whose_worker_died_is_found_again(owner: Principal, receiver: Receiver) -> None:
    added(owner, receiver.url)
    (row,) = told(NOW)
    Delivery.objects.update(state=State.SENDING, lease_until=NOW, next_at=None)
    later = NOW + timedelta(seconds=1)

    freed = delivery.recover(now=later)

    assert freed == 1
    assert queries.due(now=later) == [row.pk]


def test_a_new_secret_signs_beside_the_former_for_a_day(owner: Principal, receiver: Receiver) -> None:
    kept = added(owner, receiver.url)
    keeping.rotate_secret(principal=owner, endpoint=kept, secret=OTHER_SECRET, now=NOW)
    (row,) = told(NOW)
    sent(row)

    sent(delivery.replay(delivery=row, now=NOW + timedelta(days=2)), now=NOW + timedelta(days=2))

    both, one = (heard.headers["webhook-signature"].split(" ") for heard in receiver.heard)
    assert len(both) == 2
    assert len(one) == 1
    assert both[1] != one[0]
    assert both[0] != both[1]


@pytest.mark.parametrize(
    ("asked", "kind", "told_of"),
    [
        ("*", "orders.order.complete", True),
        ("orders.*", "orders.order.complete", True),
        ("orders.order.*", "orders.order.complete", True),
        ("orders.order.complete", "orders.order.complete", True),
        ("orders.order.open", "orders.order.complete", False),
        ("orders.gtt.*", "orders.order.complete", False),
        ("orders", "orders.order.complete", False),
    ],
)
def test_an_endpoint_hears_of_what_it_asked_for(
    owner: Principal, receiver: Receiver, asked: str, kind: str, told_of: bool
) -> None:
    added(owner, receiver.url, asked)

    assert bool(told(NOW, kind=kind)) is told_of


def test_an_endpoint_hears_of_its_accounts_alone(owner: Principal, receiver: Receiver) -> None:
    mine, other = BrokerAccountFactory(label="mine"), BrokerAccountFactory()
    added(owner, receiver.url, accounts=["mine"])

    counts = [announce(account_id=row.pk, kind="orders.order.open", data={}, now=NOW) for row in (mine, other)]

    assert counts == [1, 0]


def test_an_event_nobody_asked_for_costs_one_question(owner: Principal, django_assert_num_queries: Any) -> None:
    account = BrokerAccountFactory()

    with django_assert_num_queries(1):
        announce(account_id=account.pk, kind="orders.order.open", data={}, now=NOW)


def test_secrets_are_sealed_where_they_lie(owner: Principal, receiver: Receiver) -> None:
    kept = added(owner, receiver.url)
    with connection.cursor() as cursor:
        cursor.execute("SELECT secret FROM webhooks_endpoint")
        stored = bytes(cursor.fetchone()[0])

    assert SECRET.encode() not in stored
    assert hmac.compare_digest(kept.secret.reveal(), SECRET)
    assert hashlib.sha256(stored).digest() != hashlib.sha256(SECRET.encode()).digest()
