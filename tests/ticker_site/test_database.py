"""The database says no in time, and lists cost the same however long they are."""

import os
import subprocess
import sys
from typing import Any

import pytest
from django.db import OperationalError, connection, connections
from redis import Redis
from rest_framework.test import APIClient

from accounts.models import BrokerAccount, User
from tests.architecture.sources import ROOT
from tests.factories import principal

FEW, MANY = 2, 20


def api() -> APIClient:
    caller = principal()
    client = APIClient(raise_request_exception=False)
    client.force_authenticate(user=User.objects.get(pk=caller.user_id), token=caller)  # type: ignore[arg-type]
    return client


def test_a_statement_ends_in_time(db: None) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_setting('statement_timeout'), current_setting('lock_timeout')")
        assert cursor.fetchone() == ("15s", "5s")


def test_a_statement_that_takes_too_long_is_ended(db: None) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL statement_timeout = 50")
        with pytest.raises(OperationalError, match="statement timeout"):
            cursor.execute("SELECT pg_sleep(5)")


@pytest.mark.django_db(transaction=True)
def test_a_lock_that_is_held_too_long_is_a_503_to_repeat(clean_redis: Redis) -> None:
    client, table = api(), BrokerAccount._meta.db_table
    holder = connections.create_connection("default")
    with holder.cursor() as cursor, connection.cursor() as own:
        cursor.execute("BEGIN")
        cursor.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
        own.execute("SET lock_timeout = 50")
        answer: Any = client.get("/api/v1/accounts")
        own.execute("RESET lock_timeout")
    holder.close()

    assert answer.status_code == 503
    assert answer.json()["code"] == "database_unavailable"
    assert answer.json()["retryable"] is True
    assert answer["Retry-After"] == "1"
    assert table not in answer.content.decode()


POOL_OF_TWO = """
import threading, django
django.setup()
from concurrent.futures import ThreadPoolExecutor
from django.db import OperationalError, connection

def ask(_):
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1 FROM pg_sleep(0.01)")
        found = cursor.fetchone()[0]
    connection.close()
    return found

full, over = threading.Barrier(3), threading.Event()

def hold(_):
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
        full.wait(30)
        over.wait(30)
    connection.close()

with ThreadPoolExecutor(12) as pool:
    print("served", sum(pool.map(ask, range(12))))
    holders = [pool.submit(hold, number) for number in range(2)]
    full.wait(30)
    try:
        ask(0)
    except OperationalError as error:
        print("refused", type(error.__cause__).__name__)
    over.set()
connection.close_pool()
"""


def test_a_pool_serves_more_than_it_holds_and_refuses_in_time() -> None:
    """Two connections serve twelve threads; while both are held, a third asker is told after five seconds."""
    done = subprocess.run(
        [sys.executable, "-c", POOL_OF_TWO],
        cwd=ROOT,
        env={**os.environ, "DATABASE_POOL": "2"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert done.stdout.split("\n")[:2] == ["served 12", "refused PoolTimeout"], done.stderr[-1000:]
