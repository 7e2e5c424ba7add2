"""Every socket: tickets instead of headers, refreshing, the close codes, and leaving in good order."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.db import connection
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from accounts.queries import principal_of
from accounts.tickets import SOCKET_LIFE, issue
from market_data.commands import Limits
from market_data.sockets import Door, JsonSocket
from tests.factories import UserFactory
from tests.market_data.live import TickClient, WebProcess, api_key, client, database_url
from tests.sandbox_server import wait_for

pytestmark = pytest.mark.django_db(transaction=True)
ROOT = Path(__file__).resolve().parents[2]
PATHS = ("ticks", "orders", "chains", "alerts")


def ticket(*, age: timedelta = timedelta(0)) -> str:
    user = UserFactory(administrator=True)
    return issue(principal=principal_of(user), now=datetime.now(UTC) - age)


class Site:
    """The product's own ASGI application under uvicorn."""

    def __init__(self, **changes: str) -> None:
        environment = {
            **os.environ,
            "DATABASE_URL": database_url(connection),
            "REDIS_URL": settings.REDIS_URL,
            "DRAIN_SECONDS": "3",
            **changes,
        }
        command = ["-m", "uvicorn", "ticker_site.asgi:application", "--port", "0", "--lifespan", "off"]
        self.process = subprocess.Popen(
            [sys.executable, *command], cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True
        )
        assert self.process.stderr is not None
        for line in self.process.stderr:
            if "Uvicorn running on" in line:
                self.address = line.partition("http://")[2].split()[0]
                break

    def open(self, path: str, offered: list[str], **headers: str) -> Any:
        return connect(
            f"ws://{self.address}/ws/v1/{path}",
            subprotocols=offered or None,  # type: ignore[arg-type]
            additional_headers=headers,
            compression=None,
            close_timeout=1,
        )

    def stop(self) -> None:
        self.process.kill()
        self.process.wait(10)
        assert self.process.stderr is not None
        self.process.stderr.close()


@pytest.fixture
def site(transactional_db: None, clean_redis: object) -> Iterator[Site]:
    running = Site()
    yield running
    running.stop()


def heard(socket: Any, kind: str) -> dict[str, Any]:
    """Return the next message of a kind."""
    while True:
        message: dict[str, Any] = json.loads(socket.recv(timeout=15))
        if message["t"] == kind:
            return message


def test_a_ticket_opens_each_socket_once_and_is_not_echoed(site: Site) -> None:
    for path in PATHS:
        offered = ["ticker.v1.json", f"ticket.{ticket()}"]

        with site.open(path, offered) as socket:
            assert socket.subprotocol == "ticker.v1.json"
            assert heard(socket, "welcome")["ttl"] > 3500

        with pytest.raises(InvalidStatus):
            site.open(path, offered).__enter__()


def test_a_ticket_of_another_site_needs_no_origin_of_ours(site: Site) -> None:
    with site.open("ticks", ["ticker.v1.json", f"ticket.{ticket()}"], Origin="https://elsewhere.example") as socket:
        assert heard(socket, "welcome")["user"]


def test_a_ticket_in_the_address_opens_nothing(site: Site) -> None:
    with pytest.raises(InvalidStatus):
        site.open(f"ticks?ticket={ticket()}", ["ticker.v1.json"]).__enter__()


def test_told_to_end_a_process_lets_its_clients_leave_and_closes_the_rest(site: Site) -> None:
    key = {"Authorization": f"Bearer {api_key(scopes=('market:read', 'orders:read', 'greeks:read', 'ops:read'))}"}
    sockets = [site.open(path, [], **key).__enter__() for path in PATHS]
    for socket in sockets:
        heard(socket, "welcome")

    site.process.send_signal(signal.SIGTERM)

    notices = [heard(socket, "draining") for socket in sockets]
    assert all(0 <= notice["after_ms"] <= 3000 for notice in notices)
    with pytest.raises(InvalidStatus):
        site.open("ticks", [], **key).__enter__()
    sockets[0].close()
    sockets[1].close()
    with pytest.raises(ConnectionClosed) as closed:
        heard(sockets[2], "never")
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1012
    assert site.process.wait(10) in {0, -signal.SIGTERM}


def test_a_process_ends_at_once_when_everybody_has_left(site: Site) -> None:
    key = {"Authorization": f"Bearer {api_key()}"}
    with site.open("ticks", [], **key) as socket:
        heard(socket, "welcome")
        site.process.send_signal(signal.SIGTERM)
        heard(socket, "draining")
    left_at = time.monotonic()

    site.process.wait(10)

    assert time.monotonic() - left_at < 2.5


def test_a_draining_process_is_not_ready(site: Site) -> None:
    with site.open("ticks", [], Authorization=f"Bearer {api_key()}") as socket:
        heard(socket, "welcome")
        assert urllib.request.urlopen(f"http://{site.address}/readyz", timeout=10).status == 200
        site.process.send_signal(signal.SIGTERM)
        heard(socket, "draining")

        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(f"http://{site.address}/readyz", timeout=10)

    assert refused.value.code == 503


@pytest.fixture
def watchful(transactional_db: None, clean_redis: object) -> Iterator[WebProcess]:
    with WebProcess(limits=Limits(check_seconds=0.2)) as process:
        yield process


def with_ticket(web: WebProcess, text: str) -> Any:
    return client(web, "", subprotocol=None, subprotocols=["ticker.v1.json", f"ticket.{text}"])


def test_a_socket_is_refreshed_by_a_fresh_ticket(watchful: WebProcess) -> None:
    user = UserFactory(administrator=True)
    old = issue(principal=principal_of(user), now=datetime.now(UTC) - timedelta(minutes=50))
    with with_ticket(watchful, old) as program:
        assert program.welcome["ttl"] <= 600

        program.send(op="refresh", id=5, ticket=issue(principal=principal_of(user), now=datetime.now(UTC)))
        answer = program.until(lambda message: message.get("id") == 5)

    assert (answer["t"], answer["op"]) == ("ok", "refresh")
    assert answer["ttl"] > 3500


def test_a_refresh_with_a_bad_ticket_is_a_fault_and_the_socket_lives(watchful: WebProcess) -> None:
    with with_ticket(watchful, ticket()) as program:
        program.send(op="refresh", id=5, ticket="made-up")
        assert program.expect("err")["code"] == "ticket_refused"
        program.send(op="refresh", id=6, ticket=7)
        assert program.expect("err")["code"] == "bad_field"
        program.send(op="ping", id=7)
        assert program.expect("pong")["id"] == 7


def test_a_socket_whose_ticket_is_long_over_is_closed_to_come_back(
    watchful: WebProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("market_data.sockets.GRACE_SECONDS", 1.0)
    fresh = ticket(age=SOCKET_LIFE - timedelta(seconds=1))
    with with_ticket(watchful, fresh) as program, pytest.raises(ConnectionClosed) as closed:
        program.until(lambda _: False, seconds=60)

    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 3005


def test_a_program_may_refresh_to_learn_that_it_need_not(tick_client: TickClient) -> None:
    tick_client.send(op="refresh", id=1)

    assert tick_client.until(lambda message: message.get("id") == 1)["ttl"] is None


def test_a_door_that_is_empty_waits_for_nobody(watchful: WebProcess) -> None:
    with client(watchful, api_key()):
        wait_for(lambda: len(watchful.door) == 1)

    wait_for(lambda: len(watchful.door) == 0)
    watchful.loop.run(watchful.door.emptied(), seconds=20)


class Flood(JsonSocket):
    """Tells and tells."""

    required_scope = "market:read"
    topic = "flood"

    async def opened(self) -> None:
        while True:
            await self.tell({"t": "much", "pad": "x" * 50_000})


def test_a_client_of_events_that_takes_nothing_must_come_back(
    transactional_db: None, clean_redis: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("market_data.sockets.SLOW_SECONDS", 0.5)
    door = Door()
    with WebProcess(consumer=Flood.as_asgi(door=door)) as web, client(web, api_key(), max_queue=1) as program:
        wait_for(lambda: not len(door))

        with pytest.raises(ConnectionClosed) as closed:
            program.until(lambda _: False)

    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 3008
