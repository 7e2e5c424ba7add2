"""What the account matrix says besides states: money, budgets, breakers, addresses, and the last error."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.conf import settings

from accounts import egress
from accounts.addresses import EgressCheck
from accounts.breaker import FAILURES, Breaker
from accounts.budget import CallBudget
from accounts.models import AccountGroup, BrokerAccount
from accounts.shared import SharedScripts
from kite.errors import Evidence, Unavailable
from kite.limits import CallClass
from ops import money, status
from ops.state import AccountRow
from orders import reconciliation
from portfolio.models import Reading
from tests.factories import BrokerAccountFactory, CredentialFactory
from tests.orders.conftest import Desk, desk  # noqa: F401
from tests.orders.factories import OrderFactory

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clean_redis")]


@pytest.fixture
def now() -> datetime:
    return datetime.now(UTC)


def row_of(label: str, *, now: datetime) -> AccountRow:
    return status.snapshot(now=now).accounts[label]


def reading(account: BrokerAccount, kind: str, answer: Any, *, at: datetime) -> None:
    Reading.objects.update_or_create(account=account, kind=kind, defaults={"answer": answer, "read_at": at})


def segment(*, debits: float, net: float, enabled: bool = True) -> dict[str, Any]:
    return {"enabled": enabled, "net": net, "utilised": {"debits": debits}, "available": {}}


def test_margin_is_the_sum_of_the_enabled_segments_with_its_age(now: datetime) -> None:
    account = BrokerAccountFactory(label="one")
    answer = {
        "equity": segment(debits=100.0, net=900.0),
        "commodity": segment(debits=7.0, net=3.0),
        "other": segment(debits=50.0, net=50.0, enabled=False),
    }
    reading(account, "margins", answer, at=now - timedelta(seconds=40))

    held = row_of("one", now=now).money

    assert held is not None
    assert (held.used, held.free, held.margin_at) == (107.0, 903.0, now - timedelta(seconds=40))
    assert held.result is None


def test_the_days_result_counts_positions_and_the_change_of_holdings(now: datetime) -> None:
    account = BrokerAccountFactory(label="one")
    reading(account, "positions", {"net": [{"m2m": 250.0}, {"m2m": -50.0}], "day": []}, at=now)
    reading(account, "holdings", [{"day_change": 2.5, "quantity": 10, "t1_quantity": 2}], at=now)

    held = row_of("one", now=now).money

    assert held is not None
    assert (held.result, held.result_at) == (230.0, now)


def test_money_follows_the_next_reading(now: datetime) -> None:
    account = BrokerAccountFactory(label="one")
    reading(account, "positions", {"net": [{"m2m": 1.0}], "day": []}, at=now - timedelta(minutes=1))
    row_of("one", now=now)

    reading(account, "positions", {"net": [{"m2m": 2.0}], "day": []}, at=now)

    held = row_of("one", now=now).money
    assert held is not None
    assert held.result == 2.0


def test_an_account_that_was_never_read_has_no_money_column(now: datetime) -> None:
    BrokerAccountFactory(label="one")

    assert row_of("one", now=now).money is None


def test_margins_and_holdings_are_read_from_the_broker_on_the_beat(desk: Desk, now: datetime) -> None:  # noqa: F811
    assert money.refresh(sessions=desk.sessions, now=now) == 2

    kinds = set(Reading.objects.values_list("account__label", "kind"))
    assert kinds == {(desk.account.label, "margins"), (desk.account.label, "holdings")}
    held = money.by_account()[desk.account.pk]
    assert (held.used is not None, held.margin_at) == (True, now)


def test_data_calls_that_are_booked_ahead_are_counted(now: datetime) -> None:
    held = CredentialFactory(account__label="one", live=True)
    budget = CallBudget(scripts=SharedScripts(url=settings.REDIS_URL), sleep=lambda _: None)
    budget.take(api_key=held.api_key, call_class=CallClass.QUOTE)

    parts = {part.window: (part.used, part.limit) for part in row_of("one", now=now).data_budget}

    assert parts == {"quote": (1, 1), "historical": (0, 2), "other": (0, 8)}


def test_an_open_breaker_is_shown_and_found(now: datetime) -> None:
    held = CredentialFactory(account__label="one", live=True)
    breaker = Breaker(scripts=SharedScripts(url=settings.REDIS_URL))
    silence = Unavailable("no answer", evidence=Evidence(method="GET", path="/orders"))
    for _ in range(FAILURES):
        breaker.enter(account_id=str(held.account_id), call_class=CallClass.ORDER)
        breaker.leave(account_id=str(held.account_id), call_class=CallClass.ORDER, error=silence)

    state = status.snapshot(now=now)

    (rest,) = state.accounts["one"].rests
    assert (rest.calls, rest.until > now) == ("order", True)
    assert ("breaker_open", "red") in {(found.code, found.severity) for found in state.findings}


def test_the_registered_address_stands_beside_the_one_that_was_seen(now: datetime) -> None:
    account = BrokerAccountFactory(label="one")
    egress.register(account_id=account.pk, addresses=["203.0.113.9"], actor="asha", reason="static", now=now)
    EgressCheck.objects.create(
        account=account,
        at=now,
        day=now.date(),
        route="any direct",
        observed="203.0.113.9",
        verdict="registered",
        why="",
    )

    seen = row_of("one", now=now).address

    assert seen is not None
    assert (seen.registered, seen.observed, seen.verdict, seen.at) == (
        ("203.0.113.9",),
        "203.0.113.9",
        "registered",
        now,
    )


def test_the_family_of_an_account_is_named(now: datetime) -> None:
    BrokerAccountFactory(label="one", group=AccountGroup.objects.create(name="Mehta"))

    assert row_of("one", now=now).group == "Mehta"


def test_the_last_error_is_the_youngest(now: datetime) -> None:
    account = BrokerAccountFactory(
        label="one", state_reason="slow", state="cordoned", state_changed_at=now - timedelta(hours=1)
    )
    OrderFactory(
        account=account, state="REJECTED", status_message="insufficient funds", finished_at=now - timedelta(minutes=1)
    )

    trouble = row_of("one", now=now).trouble

    assert trouble is not None
    assert (trouble.text, trouble.at) == ("order refused: insufficient funds", now - timedelta(minutes=1))


def test_books_that_cannot_be_read_are_the_error_until_they_can(now: datetime) -> None:
    account = BrokerAccountFactory(label="one")
    reconciliation.note_failure(account_id=account.pk, error="no answer", now=now)
    failed = row_of("one", now=now).trouble

    reconciliation.note_reading(account_id=account.pk, at=now)

    assert failed is not None
    assert failed.text == "books not read: no answer"
    assert row_of("one", now=now).trouble is None
    assert status.snapshot(now=now).reconciled_at == now
