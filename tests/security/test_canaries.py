"""What looks for leaked secrets in all these tests finds one wherever it is planted."""

from collections.abc import Callable
from pathlib import Path

import pytest
from django.db import connection
from django.test import Client
from redis import Redis

from tests.canaries import PLANTED, TAPS, canary, pytest_runtest_makereport
from tests.journeys.leaks import secret_of
from ticker_site.celery import app

SECRET = f"{PLANTED}-on-purpose"


def in_a_statement(_redis: Redis) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT %s::text", [SECRET])


def in_bytes_of_a_statement(_redis: Redis) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT %s::bytea", [b"\1" + SECRET.encode()])


def in_redis(redis: Redis) -> None:
    redis.hset("planted", "field", f"x{SECRET}")


def in_many_commands_at_once(redis: Redis) -> None:
    pipeline = redis.pipeline(transaction=False)
    pipeline.get("nothing")
    pipeline.publish("planted", SECRET)
    pipeline.execute()


def in_a_message_of_celery(_redis: Redis) -> None:
    app.send_task("nobody.listens", args=[SECRET], queue="planted")


def in_an_answer(_redis: Redis) -> None:
    Client().get(f"/admin/desk/?next={SECRET}")


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("plant", "place"),
    [
        (in_a_statement, "a statement to PostgreSQL, SELECT %s::text"),
        (in_bytes_of_a_statement, "a statement to PostgreSQL, SELECT %s::bytea"),
        (in_redis, "a command to Redis"),
        (in_many_commands_at_once, "a command to Redis"),
        (in_a_message_of_celery, "a command to Redis"),
        (in_an_answer, "the answer to GET /admin/desk/"),
    ],
)
def test_a_planted_secret_is_found(clean_redis: Redis, plant: Callable[[Redis], None], place: str) -> None:
    plant(clean_redis)

    assert TAPS.take() == [place]


def test_a_test_that_logs_a_secret_fails(request: pytest.FixtureRequest) -> None:
    report = pytest.TestReport("a test", ("", 0, ""), {}, "passed", None, "teardown")
    report.sections = [("Captured log call", f"token={SECRET}")]
    judging = pytest_runtest_makereport(request.node)
    next(judging)

    with pytest.raises(StopIteration):
        judging.send(report)

    assert report.failed
    assert "let a secret out: Captured log call" in str(report.longrepr)


def test_a_secret_is_found_in_a_file_of_a_server(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "segment").write_bytes(b"\0" * 9_000_000 + canary(1).encode().hex().encode())

    TAPS.look_into_files(tmp_path)

    assert TAPS.take() == ["the file folder/segment"]


@pytest.mark.parametrize("secret", ["a" * 43, "_" * 43, f"{'a' * 38}_-_bc"])
def test_the_whole_secret_of_a_key_is_looked_for(secret: str) -> None:
    assert secret_of(f"tkr_live_abcdefgh_{secret}") == secret
