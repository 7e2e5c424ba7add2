"""The recorder: every batch exactly once, whoever is killed."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from django.conf import settings
from django.db import connection
from redis import Redis

from kite.wire import KIND_FULL, TICK, Rows
from market_data.batches import Batch, BatchKind
from market_data.bus import AsyncBus
from market_data.copying import DEPTH
from market_data.models import Candle, FeedGap, Tick
from market_data.recorder import Recorder
from tests.market_data.factories import ticks
from tests.market_data.live import Loop, database_url
from tests.sandbox_server import wait_for

pytestmark = pytest.mark.django_db(transaction=True)

ROOT = Path(__file__).resolve().parents[2]
NINE = datetime(2026, 8, 18, 9, 0, tzinfo=UTC).timestamp()


class RawStream:
    """Writes raw batches as a feed does."""

    def __init__(self) -> None:
        self.epoch, self.sequence = 1, 0
        self._loop = Loop()
        self._bus = AsyncBus(url=settings.REDIS_URL)

    def append(self, rows: Rows, *, times: int = 1, lost: bool = False) -> None:
        self.sequence += 1
        batch = Batch(
            kind=BatchKind.RAW,
            shard=0,
            epoch=self.epoch,
            from_sequence=self.sequence - 1,
            to_sequence=self.sequence,
            published_us=int(NINE * 1e6),
            rows=rows,
        )
        for _ in range(0 if lost else times):
            self._loop.run(self._bus.publish_batch(batch=None, raw=batch))

    def close(self) -> None:
        self._loop.run(self._bus.close())
        self._loop.close()


class RunningRecorder:
    """A recorder on its own loop."""

    def __enter__(self) -> "RunningRecorder":
        self._loop = Loop()
        self._bus = AsyncBus(url=settings.REDIS_URL)
        self._future = self._loop.start(self._work())
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.run(self._stop(), seconds=15)
        self._loop.run(self._bus.close())
        self._loop.close()

    async def _work(self) -> None:
        self._task = asyncio.ensure_future(Recorder(shards=1, bus=self._bus).run())
        await asyncio.wait([self._task])

    async def _stop(self) -> None:
        self._task.cancel()
        await asyncio.wait([self._task])


@pytest.fixture
def stream(transactional_db: None, clean_redis: object) -> Iterator[RawStream]:
    opened = RawStream()
    yield opened
    opened.close()
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE market_data_tick")


def stored() -> int:
    return Tick.objects.count()


def stored_exactly(count: int) -> bool:
    return stored() == count


def stored_at_least(count: int) -> bool:
    return stored() >= count


def minute(price: float, *, second: int, volume: int = 0) -> Rows:
    rows = ticks({7: price}, received_at=NINE + second)
    rows["volume"] = volume
    return rows


def test_every_packet_is_stored_with_all_its_values(stream: RawStream) -> None:
    rows = np.zeros(3, TICK)
    rows["instrument_token"] = [7, 7, 9]
    rows["received_at"] = [NINE + 0.25, NINE + 0.25, NINE + 1]
    rows["last_price"] = [10.05, 10.1, 99.0]
    rows["kind"] = [KIND_FULL, 1, 0]
    rows["exchange_at"][0], rows["volume"][0] = int(NINE), 2**40
    rows["ask_price"][0] = [1, 2, 3, 4, 5]

    stream.append(rows)
    with RunningRecorder():
        wait_for(lambda: stored() == 3)

    full, quote, ltp = Tick.objects.order_by("position")
    assert (full.instrument_token, full.last_price, full.volume) == (7, 10.05, 2**40)
    assert full.received_at.timestamp() == NINE + 0.25
    assert (full.exchange_at, full.last_trade_at) == (datetime.fromtimestamp(NINE, UTC), None)
    assert np.frombuffer(bytes(full.depth or b""), DEPTH)["ask_price"][0].tolist() == [1, 2, 3, 4, 5]
    assert (quote.last_price, quote.depth) == (10.1, None)
    assert (ltp.epoch, ltp.sequence, ltp.position) == (1, 1, 2)


def test_a_day_gets_its_partition_when_its_first_tick_comes(stream: RawStream) -> None:
    stream.append(ticks({7: 1.0}, received_at=NINE - 400 * 86_400))

    with RunningRecorder():
        wait_for(lambda: stored() == 1)


def test_what_came_before_the_recorder_started_is_stored(stream: RawStream) -> None:
    for second in range(5):
        stream.append(minute(1.0, second=second))

    with RunningRecorder():
        wait_for(lambda: stored() == 5)


def test_a_batch_that_reached_the_stream_twice_is_stored_once(stream: RawStream) -> None:
    stream.append(minute(1.0, second=0), times=2)
    stream.append(minute(2.0, second=1))

    with RunningRecorder():
        wait_for(lambda: Tick.objects.filter(last_price=2.0).exists())

    assert stored() == 2


def test_a_batch_that_never_reached_the_stream_is_written_down(stream: RawStream) -> None:
    stream.append(minute(1.0, second=0))
    stream.append(minute(2.0, second=1), lost=True)
    stream.append(minute(3.0, second=2))

    with RunningRecorder():
        wait_for(lambda: stored() == 2)

    assert FeedGap.objects.get().cause == "1 batches before 3 were lost"


def test_a_restart_goes_on_where_it_ended(stream: RawStream) -> None:
    for second in (0, 1):
        stream.append(minute(float(second + 1), second=second))
        with RunningRecorder():
            wait_for(partial(stored_exactly, second + 1))

    assert Candle.objects.get().close == 2


def test_minutes_are_stored_and_corrected_as_they_go_on(stream: RawStream) -> None:
    stream.append(minute(10.0, second=1, volume=100))
    stream.append(minute(12.0, second=50, volume=150))
    with RunningRecorder():
        first = wait_for(lambda: Candle.objects.filter(high=12).first())
        assert (first.open, first.close) == (10, 12)

        stream.append(minute(9.0, second=59, volume=180))
        stream.append(minute(11.0, second=61, volume=200))

        second = wait_for(lambda: Candle.objects.filter(open=11).first())
        assert second.volume == 20

    first.refresh_from_db()
    assert (first.open, first.high, first.low, first.close) == (10, 12, 9, 9)


def test_a_brokers_candle_is_not_overwritten(stream: RawStream) -> None:
    start = datetime.fromtimestamp(NINE, UTC)
    broker = Candle.objects.create(
        instrument_token=7, start_at=start, open=1, high=5, low=1, close=2, volume=9, source=Candle.Source.BROKER
    )

    stream.append(minute(99.0, second=1))
    with RunningRecorder():
        wait_for(lambda: stored() == 1)

    broker.refresh_from_db()
    assert broker.high == 5


def test_a_second_recorder_stands_by(stream: RawStream) -> None:
    with RunningRecorder():
        stream.append(minute(1.0, second=0))
        wait_for(lambda: stored() == 1)
        with RunningRecorder():
            stream.append(minute(2.0, second=1))
            wait_for(lambda: stored() == 2)

    assert stored() == 2


def test_a_stream_that_lost_its_past_is_read_from_its_beginning(stream: RawStream, clean_redis: Redis) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO market_data_recordercursor (shard, position, epoch, sequence, candles_position) "
            "VALUES (0, '99999999999999-0', 0, 0, '99999999999999-0')"
        )
    stream.append(minute(1.0, second=0))

    with RunningRecorder():
        wait_for(lambda: stored() == 1, seconds=30)


class RecorderProcess:
    """`manage.py run_recorder` on the test's servers; killed on the way out."""

    def __init__(self) -> None:
        environment = {**os.environ, "LOG_LEVEL": "WARNING", "REDIS_URL": settings.REDIS_URL}
        environment["DATABASE_URL"] = database_url(connection)
        self._process = subprocess.Popen([sys.executable, "manage.py", "run_recorder"], cwd=ROOT, env=environment)

    def __enter__(self) -> "RecorderProcess":
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait(10)

    def stop(self) -> int:
        self._process.terminate()
        return self._process.wait(15)


def hundred(stream: RawStream) -> Rows:
    return ticks(dict.fromkeys(range(1, 101), 5.0), received_at=NINE + stream.sequence)


def _kill_while_storing(stream: RawStream, *, kills: int, batches: int) -> None:
    for _ in range(kills):
        goal = stored() + 1
        with RecorderProcess():
            for _ in range(batches):
                stream.append(hundred(stream))
            wait_for(partial(stored_at_least, goal), seconds=20)
    with RecorderProcess() as process:
        stream.append(hundred(stream))  # what only this one can store: it is up once that is there
        wait_for(lambda: stored() >= stream.sequence * 100, seconds=30)
        assert process.stop() == 0


def _numbers() -> tuple[int, int]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*), count(DISTINCT (epoch, sequence, position)) FROM market_data_tick")
        return tuple(cursor.fetchone())


def test_a_killed_recorder_loses_nothing_and_doubles_nothing(stream: RawStream) -> None:
    _kill_while_storing(stream, kills=2, batches=100)

    assert _numbers() == (stream.sequence * 100, stream.sequence * 100)
    assert not FeedGap.objects.exists()


@pytest.mark.long
def test_thirty_kills_lose_nothing_and_double_nothing(stream: RawStream) -> None:
    _kill_while_storing(stream, kills=30, batches=300)

    assert _numbers() == (stream.sequence * 100, stream.sequence * 100)
