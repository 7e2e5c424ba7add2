"""Secrets of known spelling go through everything the platform does, and are found nowhere."""

import secrets
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from celery import Celery
from redis import Redis

from tests.journeys.leaks import Canaries, Tap
from tests.journeys.platform import Platform, eventually, own_environment, start_platform
from tests.journeys.watch import (
    Watch,
    do_commands,
    do_endings,
    do_faults,
    do_lies,
    do_logins,
    do_lost_order,
    do_order,
    do_pages,
    do_rotations,
    do_tickets,
    do_webhooks,
    log_in_at_the_broker,
)
from tests.proving import Numbers
from ticker_site.redis_urls import broker_url

# Where a secret is leaked on purpose, and where it must be found.
PLANTED = {
    "table": "table accounts_accountgroup",
    "bytes of a table": "table planted",
    "redis": "redis planted",
    "log": "log/planted.log",
    "celery message": "what went through Redis",
    "answer": "GET /planted",
    "published": "what went through Redis",
}


@pytest.fixture(scope="module")
def loud() -> Iterator[Watch]:
    """Return a platform of these tests' own, whose log is at the loudest level."""
    folder = Path(tempfile.mkdtemp(prefix="ticker-leaks-"))
    louder = {"LOG_LEVEL": "DEBUG", "WEBHOOK_ALLOWED_NETWORKS": "127.0.0.0/8"}
    platform = start_platform(folder=folder, environment={**own_environment(), **louder})
    try:
        platform.sign_in()
        found = Watch(platform)
        eventually(platform.settled, within=90.0, what="the first full minute")
        yield found
    finally:
        platform.stop()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def tap(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Tap]:
    """Return what goes through Redis of the platform that the test uses."""
    name = "loud" if "loud" in request.fixturenames else "watch"
    with Tap(url=request.getfixturevalue(name).environment["REDIS_URL"], path=tmp_path / "tap") as found:
        yield found


@pytest.fixture
def watch(platform: Platform) -> Iterator[Watch]:
    """Return the platform that all journeys share."""
    found = Watch(platform)
    yield found
    platform.panel.hooks["response"].remove(found.keep)


@pytest.mark.long
@pytest.mark.proof(id="R20")
def test_no_secret_is_found_anywhere_after_everything_was_done(loud: Watch, tap: Tap, numbers: Numbers) -> None:
    loud.learn_tokens()

    do_logins(loud)
    do_order(loud, "sbx001")
    do_order(loud, "sbx002")
    do_lost_order(loud)
    do_rotations(loud, "sbx003")
    do_webhooks(loud)
    do_tickets(loud)
    do_commands(loud)
    do_faults(loud)
    do_lies(loud)
    do_pages(loud)
    do_endings(loud)

    loud.learn_tokens()
    assert_nothing_leaked(loud, tap, numbers)


@pytest.mark.proof(id="R20")
def test_no_secret_of_an_ordinary_day_is_found_anywhere(watch: Watch, tap: Tap, numbers: Numbers) -> None:
    log_in_at_the_broker(watch, "sbx002")
    do_order(watch, "sbx002")
    do_rotations(watch, "sbx003")
    do_lies(watch)
    do_pages(watch, most=6)

    watch.learn_tokens()
    assert_nothing_leaked(watch, tap, numbers)


def assert_nothing_leaked(watch: Watch, tap: Tap, numbers: Numbers) -> None:
    tap.stop()
    assert tap.path.stat().st_size > 10_000, "the tap heard next to nothing"
    leaks = watch.leaks(Canaries(watch.secrets), tapped=tap.path)
    numbers.most("secrets looked for", len(watch.secrets))
    numbers.add("leaks", len(leaks))
    assert leaks == []


@pytest.mark.proof(id="R20")
def test_every_planted_secret_is_found_where_it_was_planted(watch: Watch, tap: Tap, numbers: Numbers) -> None:
    planted = {place: f"planted{secrets.token_hex(12)}" for place in PLANTED}
    client = Redis.from_url(watch.environment["REDIS_URL"])

    try:
        for place, secret in planted.items():
            plant(watch, client, place, secret)
        tap.stop()
        found = {(leak.secret, leak.place) for leak in watch.leaks(Canaries(planted), tapped=tap.path)}
    finally:
        take_back(watch, client, planted["table"])

    missed = PLANTED.items() - found
    numbers.add("planted and found", len(PLANTED) - len(missed))
    assert missed == set()


def plant(watch: Watch, client: "Redis", place: str, secret: str) -> None:
    """Leak a secret on purpose."""
    if place == "redis":
        client.hset("planted", "field", f"x{secret}y")
    elif place == "published":
        client.publish("planted", secret)
    elif place == "log":
        (watch.platform.folder / "log" / "planted.log").write_text(f"token={secret}\n")
    elif place == "answer":
        watch.answers.append(("GET /planted", secret.encode()))
    elif place == "celery message":
        app = Celery(broker=broker_url(watch.environment["REDIS_URL"]), set_as_current=False)
        app.send_task("nobody.listens", args=[secret], queue="planted-queue")
    else:
        with psycopg.connect(watch.environment["DATABASE_URL"], autocommit=True) as link:
            if place == "table":
                link.execute("INSERT INTO accounts_accountgroup (name) VALUES (%s)", [f"family {secret}"])
            else:
                link.execute("CREATE TABLE IF NOT EXISTS planted (content bytea)")
                link.execute("INSERT INTO planted VALUES (%s)", [b"\x01" + secret.encode()])


def take_back(watch: Watch, client: "Redis", in_table: str) -> None:
    """Leave the platform to the other journeys as it was."""
    (watch.platform.folder / "log" / "planted.log").unlink(missing_ok=True)
    client.delete("planted", "planted-queue")
    client.close()
    with psycopg.connect(watch.environment["DATABASE_URL"], autocommit=True) as link:
        link.execute("DELETE FROM accounts_accountgroup WHERE name = %s", [f"family {in_table}"])
        link.execute("DROP TABLE IF EXISTS planted")
