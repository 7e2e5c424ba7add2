"""Recorded ticks again, on a channel of their own."""

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from django.conf import settings
from django.core.management import call_command
from django.db import connection

from kite.wire import KIND_FULL, TICK, Rows
from market_data.batches import Batch, BatchKind
from market_data.bus import SyncBus
from market_data.models import Instrument
from market_data.replay import Played, play, recorded
from market_data.storage import Storage
from tests.market_data.factories import InstrumentFactory, ticks
from tests.market_data.live import Publisher, TickClient, WebProcess, api_key, client

pytestmark = pytest.mark.django_db(transaction=True)

TEN = datetime(2026, 8, 18, 10, 0, tzinfo=UTC)
INFY, TCS = 408_065, 2_953_217


@pytest.fixture(autouse=True)
def empty_table(transactional_db: None) -> None:
    """Django does not empty what it does not manage."""
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE market_data_tick")


def record(rows: Rows) -> None:
    """Store ticks as the recorder does."""
    storage = Storage(shard=0)
    storage.open()
    batch = Batch(kind=BatchKind.RAW, shard=0, epoch=1, from_sequence=0, to_sequence=1, published_us=0, rows=rows)
    storage.store([("1-0", batch)])
    storage.close()


def three() -> Rows:
    """Three ticks of one instrument within a quarter of a second, and one of another."""
    rows = np.concatenate([ticks({INFY: price}) for price in (1.0, 2.0, 3.0)] + [ticks({TCS: 9.0})])
    rows["received_at"] = TEN.timestamp() + np.array([0.01, 0.02, 0.25, 0.26])
    return rows


@pytest.fixture
def bus(clean_redis: object) -> SyncBus:
    return SyncBus(url=settings.REDIS_URL, shards=1)


@pytest.fixture
def infy() -> Instrument:
    return InstrumentFactory(tradingsymbol="INFY", instrument_token=INFY)


def test_what_was_recorded_comes_back_as_it_was() -> None:
    rows = np.zeros(1, TICK)
    rows["instrument_token"], rows["last_price"], rows["kind"], rows["tradable"] = INFY, 1500.05, KIND_FULL, True
    rows["received_at"], rows["exchange_at"] = TEN.timestamp() + 0.5, int(TEN.timestamp())
    rows["volume"], rows["oi"], rows["bid_price"], rows["ask_orders"] = 7, 8, 1500.0, 3
    record(rows)

    [again] = recorded(start=TEN, end=TEN + timedelta(seconds=1))

    assert again.tobytes() == rows.tobytes()


def test_ticks_come_a_tenth_of_a_second_at_a_time_in_their_order() -> None:
    record(three())

    parts = list(recorded(start=TEN, end=TEN + timedelta(minutes=1)))

    assert [part["last_price"].tolist() for part in parts] == [[1.0, 2.0], [3.0, 9.0]]


def test_a_replay_may_be_of_some_instruments_and_some_time() -> None:
    record(three())
    moment = TEN + timedelta(seconds=0.1)

    late = [part["last_price"].tolist() for part in recorded(start=moment, end=TEN + timedelta(minutes=1))]
    early = list(recorded(start=TEN, end=moment, tokens=[TCS]))

    assert (late, early) == ([[3.0, 9.0]], [])


def test_a_replay_keeps_its_pace(bus: SyncBus) -> None:
    rows = np.concatenate([ticks({INFY: 1.0}), ticks({INFY: 2.0})])
    rows["received_at"] = [0.0, 10.0]
    heard: list[float] = []
    began = datetime.now(UTC)

    done = play(ticks=iter([rows[:1], rows[1:]]), speed=50.0, bus=bus, run=1, told=heard.append)

    assert (datetime.now(UTC) - began).total_seconds() >= 10.0 / 50.0
    assert done == Played(run=1, batches=2, ticks=2)
    assert heard == [0.0, 10.0]


@pytest.fixture
def replaying(bus: SyncBus) -> Iterator[threading.Event]:
    """Replay the three ticks again and again until the event is set."""
    stop = threading.Event()

    def run() -> None:
        while not stop.wait(0.1):
            play(ticks=iter([three()]), speed=1000.0, bus=bus, run=77)

    thread = threading.Thread(target=run)
    thread.start()
    yield stop
    stop.set()
    thread.join()


def test_a_client_that_asks_gets_marked_ticks(
    tick_client: TickClient, infy: Instrument, replaying: threading.Event
) -> None:
    tick_client.send(op="replay", id="r", symbols=["INFY"], mode="ltp")

    answer = tick_client.until(lambda message: message.get("id") == "r")
    message = tick_client.expect("replay")
    end = tick_client.expect("replay_end")

    assert answer["tokens"] == [INFY]
    assert [row[:2] for row in message["d"]] == [[INFY, 1.0], [INFY, 2.0], [INFY, 3.0]]
    assert (message["s"][1], message["m"], end["run"]) == (77, "ltp", 77)
    assert tick_client.prices == {}


def test_a_client_that_does_not_ask_hears_nothing_of_it(
    tick_client: TickClient, infy: Instrument, replaying: threading.Event, publisher: Publisher
) -> None:
    tick_client.subscribe(symbols=["INFY"])
    publisher.publish(ticks({INFY: 1500.0}))

    tick_client.expect("hb")
    tick_client.expect("hb")

    assert tick_client.prices == {INFY: 1500.0}


def test_a_client_may_stop_listening_to_it(
    tick_client: TickClient, infy: Instrument, replaying: threading.Event
) -> None:
    tick_client.send(op="replay", id="r")
    tick_client.expect("replay")
    tick_client.send(op="replay", id="off", on=False)
    tick_client.until(lambda message: message.get("id") == "off")

    replaying.set()
    tick_client.send(op="ping", id="p")

    assert tick_client.until(lambda message: message["t"] != "hb")["t"] == "pong"


def test_a_replay_of_nothing_known_is_a_fault(tick_client: TickClient) -> None:
    tick_client.send(op="replay", id="r", symbols=["NSE:NOPE"])

    answer = tick_client.until(lambda message: message.get("id") == "r")

    assert (answer["t"], answer["code"]) == ("err", "instrument_unknown")


def test_a_binary_client_is_sent_binary_frames_of_their_own_type(
    web: WebProcess, infy: Instrument, replaying: threading.Event
) -> None:
    with client(web, api_key(), subprotocol="ticker.v1.bin") as program:
        program.send(op="replay", id="r", mode="ltp")
        message: object = None
        while not isinstance(message, bytes):
            message = program.receive()

    assert (message[2], message[3]) == (3, 1)


def test_the_command_replays_and_says_how_much(
    infy: Instrument, clean_redis: object, capsys: pytest.CaptureFixture[str]
) -> None:
    record(three())

    call_command(
        "replay_ticks",
        "--from",
        TEN.isoformat(),
        "--to",
        (TEN + timedelta(minutes=1)).isoformat(),
        "--speed",
        "1000",
        "--instrument",
        "INFY",
    )

    assert "3 ticks in 2 messages" in capsys.readouterr().out
