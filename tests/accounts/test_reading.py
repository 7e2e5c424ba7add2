"""Reads go to the account with room, and to another one where it fails; orders have no such path."""

import ast
from collections import Counter
from collections.abc import Callable
from dataclasses import fields
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from accounts import credentials
from accounts.errors import BudgetSpent, LoginNeeded
from accounts.health import cordon
from accounts.models import AuditEntry, BrokerAccount
from accounts.reading import RESTS, Reads
from accounts.sessions import DataClient, Sessions
from kite.errors import Refused, Unavailable
from kite.limits import CallClass
from kite.rest import Rest
from tests.accounts.held import held_credential
from tests.architecture.sources import code_files, short
from tests.sandbox_server import SandboxServer

ORDER_WRITES = {"place_order", "modify_order", "cancel_order"}


@pytest.fixture
def desks(
    db: None, broker: SandboxServer, keyed_account: Callable[[int], BrokerAccount], now: datetime, clean_redis: Redis
) -> list[BrokerAccount]:
    """Return three logged-in accounts."""
    broker.settings(limits=False)
    accounts = [keyed_account(number) for number in range(3)]
    for number, account in enumerate(accounts):
        credentials.complete_login(account_id=account.pk, request_token=broker.login(number), actor="test", now=now)
    return accounts


def price(reads: Reads) -> Any:
    return reads.ask(CallClass.QUOTE, lambda client: client.ltp(["NSE:INFY"]))["NSE:INFY"].last_price


def readers(broker: SandboxServer, since: int) -> list[str]:
    """Return whom the exchange was asked by, in order."""
    return [row["user_id"].lower() for row in broker.journal(since=since) if "ltp" in row["route"]]


def moves() -> list[tuple[str, str]]:
    rows = AuditEntry.objects.filter(action="accounts.reads.moved").order_by("id")
    return [(row.subject, row.reason.partition(":")[0]) for row in rows]


def test_accounts_take_turns(desks: list[BrokerAccount], broker: SandboxServer, now: datetime) -> None:
    since = broker.journal_end()

    for _ in range(6):
        price(Reads(sessions=Sessions(), now=now))

    assert Counter(readers(broker, since)) == {account.label: 2 for account in desks}


def test_an_account_without_room_is_passed_over(
    desks: list[BrokerAccount], broker: SandboxServer, now: datetime
) -> None:
    sessions = Sessions()
    reads = Reads(sessions=sessions, now=now)
    busy = reads.order(CallClass.QUOTE)[0]
    sessions.client(busy).ltp(["NSE:INFY"])
    since = broker.journal_end()

    for _ in range(2):
        price(reads)

    label = BrokerAccount.objects.get(pk=busy.account_id).label
    assert label not in readers(broker, since)
    assert moves() == []


@pytest.mark.parametrize(
    ("fault", "code"), [("http_5xx", "unavailable"), ("http_429", "throttled"), ("token_killed", "session_expired")]
)
def test_a_read_that_fails_is_answered_by_another_account_within_five_seconds(
    desks: list[BrokerAccount], broker: SandboxServer, now: datetime, fault: str, code: str
) -> None:
    victim = desks[0]
    broker.fault(fault, user=victim.broker_user_id)

    answers = [price(Reads(sessions=Sessions(), now=now)) for _ in range(4)]

    assert all(answers)
    assert moves() == [(f"account:{victim.label}", code)]
    assert held_credential(account_id=victim.pk).is_live(now=now) == (fault != "token_killed")


def test_an_account_that_failed_is_left_alone_for_a_minute_and_not_longer(
    desks: list[BrokerAccount], broker: SandboxServer, now: datetime, clean_redis: Redis
) -> None:
    victim = desks[0]
    broker.fault("http_5xx", user=victim.broker_user_id)
    for _ in range(3):
        price(Reads(sessions=Sessions(), now=now))
    broker.clear_faults()
    since = broker.journal_end()

    for _ in range(6):
        price(Reads(sessions=Sessions(), now=now))
    assert victim.label not in readers(broker, since)
    left = clean_redis.pttl(f"reads:rest:{victim.pk}:quote")
    assert 0 < left <= RESTS / timedelta(milliseconds=1) == 60_000

    clean_redis.delete(f"reads:rest:{victim.pk}:quote")
    for _ in range(3):
        price(Reads(sessions=Sessions(), now=now))
    assert victim.label in readers(broker, since)


def test_a_refusal_is_not_tried_elsewhere(desks: list[BrokerAccount], broker: SandboxServer, now: datetime) -> None:
    since = broker.journal_end()
    reads = Reads(sessions=Sessions(), now=now)

    with pytest.raises(Refused):
        reads.ask(CallClass.HISTORICAL, lambda client: client.historical(1, "never", now, now))

    assert len([row for row in broker.journal(since=since) if "historical" in row["route"]]) == 1
    assert moves() == []


def test_where_all_fail_the_last_failure_is_raised(
    desks: list[BrokerAccount], broker: SandboxServer, now: datetime
) -> None:
    broker.fault("http_5xx")

    with pytest.raises(Unavailable):
        price(Reads(sessions=Sessions(), now=now))

    assert {subject for subject, _ in moves()} == {f"account:{account.label}" for account in desks}


def test_a_spent_budget_goes_on_to_the_next_and_rests_nobody(
    desks: list[BrokerAccount], now: datetime, clean_redis: Redis
) -> None:
    for account in desks:
        key = held_credential(account_id=account.pk).api_key
        clean_redis.set(f"budget:{key}:quote", str(int((now.timestamp() + 60) * 1_000_000)))

    with pytest.raises(BudgetSpent):
        price(Reads(sessions=Sessions(), now=now))

    assert moves() == []
    assert not clean_redis.keys("reads:rest:*")


def test_cordoned_and_orders_only_accounts_are_not_asked(desks: list[BrokerAccount], now: datetime) -> None:
    cordon(account_id=desks[0].pk, reason="drain", actor="test", now=now)
    BrokerAccount.objects.filter(pk=desks[1].pk).update(streams_data=False)

    asked = Reads(sessions=Sessions(), now=now).order(CallClass.QUOTE)

    assert [login.account_id for login in asked] == [str(desks[2].pk)]


@pytest.mark.django_db
def test_without_an_account_nobody_can_be_asked(now: datetime) -> None:
    with pytest.raises(LoginNeeded):
        price(Reads(sessions=Sessions(), now=now))


def test_without_redis_reads_still_move_on(
    desks: list[BrokerAccount], broker: SandboxServer, now: datetime, settings: Any
) -> None:
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    sessions = Sessions()
    broker.fault("http_5xx", user=desks[0].broker_user_id)

    assert all(price(Reads(sessions=sessions, now=now)) for _ in range(3))


def test_what_reads_are_given_can_move_nothing() -> None:
    given = {field.name for field in fields(DataClient)}

    assert given == {"quote", "ohlc", "ltp", "historical", "instruments"}
    assert set(dir(Rest)) >= ORDER_WRITES


def calls_in(path: Path) -> set[str]:
    tree = ast.parse(path.read_text())
    return {
        node.func.attr for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
    }


def test_order_calls_are_made_where_the_orders_own_account_is_and_nowhere_else() -> None:
    callers = {
        short(path)
        for path in code_files()
        if not short(path).startswith(("tests/", "sandbox/", "benchmarks/", "kite/", "clients/"))
        and calls_in(path) & ORDER_WRITES
    }

    assert callers <= {"orders/execution.py", "orders/changes.py", "portfolio/instructions.py"}
    for name in ("orders/execution.py", "orders/changes.py", "orders/departure.py"):
        text = (Path(__file__).resolve().parents[2] / name).read_text()
        assert "streaming_logins" not in text
        assert "accounts.reading" not in text
        assert "failover" not in text
