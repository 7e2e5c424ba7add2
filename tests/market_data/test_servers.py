"""The tick socket behaves alike on both servers."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from django.conf import settings
from django.db import connection
from websockets.exceptions import InvalidStatus

from market_data.models import Instrument
from tests.market_data.factories import InstrumentFactory, ticks
from tests.market_data.live import Publisher, TickClient, api_key, database_url
from tests.sandbox_server import wait_for

pytestmark = pytest.mark.django_db(transaction=True)

ROOT = Path(__file__).resolve().parents[2]
SITE = "tests.market_data.socket_site:application"
COMMANDS = {
    "uvicorn": ["-m", "uvicorn", SITE, "--host", "127.0.0.1", "--port", "{port}", "--ws-per-message-deflate", "false"],
    "daphne": ["-m", "daphne", "-b", "127.0.0.1", "-p", "{port}", SITE],
}


@dataclass(frozen=True, slots=True)
class Server:
    """A server process."""

    url: str


@pytest.fixture(params=COMMANDS)
def server(request: pytest.FixtureRequest, transactional_db: None, clean_redis: object) -> Iterator[Server]:
    port = _free_port()
    environment = {**os.environ, "DATABASE_URL": database_url(connection), "REDIS_URL": settings.REDIS_URL}
    command = [part.format(port=port) for part in COMMANDS[request.param]]
    process = subprocess.Popen([sys.executable, *command], cwd=ROOT, env=environment)
    wait_for(lambda: _listens(port), seconds=30)
    yield Server(f"ws://127.0.0.1:{port}/ws/v1/ticks")
    process.terminate()
    process.wait(15)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture
def infy(server: Server) -> Instrument:
    return InstrumentFactory(tradingsymbol="INFY", instrument_token=408065)


def test_a_program_subscribes_and_gets_ticks(server: Server, infy: Instrument, publisher: Publisher) -> None:
    program = TickClient(server.url, api_key())
    program.subscribe(symbols=["NSE:INFY"], mode="quote")

    publisher.publish(ticks({408065: 1500.5}))
    program.until(lambda _: program.prices == {408065: 1500.5})

    program.close()


def test_a_binary_program_gets_records(server: Server, infy: Instrument, publisher: Publisher) -> None:
    program = TickClient(server.url, api_key(), subprotocol="ticker.v1.bin")
    program.subscribe(tokens=[408065], mode="ltp")

    publisher.publish(ticks({408065: 1500.5}))
    frame = wait_for(lambda: isinstance(found := program.receive(), bytes) and found)

    assert len(frame) == 36 + 16
    program.close()


def test_a_faulty_command_is_answered_and_the_socket_lives(server: Server, infy: Instrument) -> None:
    program = TickClient(server.url, api_key())

    program.socket.send("{")

    assert program.expect("err")["code"] == "bad_json"
    assert program.subscribe(tokens=[408065])["t"] == "ok"
    program.close()


def test_nobody_is_refused_before_the_handshake(server: Server, infy: Instrument) -> None:
    with pytest.raises(InvalidStatus) as refused:
        TickClient(server.url, "")

    assert refused.value.response.status_code in {401, 403}
