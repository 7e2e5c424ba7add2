"""What Redis did not take waits on disk, in order, bounded, across crashes."""

import asyncio
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.db import connection
from hypothesis import given
from hypothesis import strategies as st

from market_data.batches import Batch, BatchKind
from market_data.bus import AsyncBus
from market_data.errors import ShardTaken
from market_data.feed_outbox import Outbox
from market_data.ingest import Flushed
from market_data.models import RecorderCursor, Tick
from market_data.recorder import Recorder
from market_data.spool import RECORD, Spool
from ops.stack.valkey import SOCKET_NAME, Valkey, answers_ping, find_server
from tests.market_data.factories import ticks
from tests.market_data.live import Loop
from tests.sandbox_server import wait_for

ROOT = Path(__file__).resolve().parents[2]
ROWS = ticks(dict.fromkeys(range(257, 257 + 250), 1.0))


def drained(spool: Spool, *, most_bytes: int = 1 << 20) -> list[bytes]:
    found: list[bytes] = []
    while blobs := spool.oldest(most_bytes=most_bytes):
        for blob in blobs:
            spool.take(blob)
        found += blobs
    return found


@given(
    steps=st.lists(st.one_of(st.binary(min_size=1, max_size=200), st.integers(1, 5)), max_size=60),
    segment=st.integers(1, 400),
)
def test_blobs_come_back_once_and_in_order_however_writing_and_reading_mix(
    steps: list[bytes | int], segment: int
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        spool = Spool(Path(folder), segment_bytes=segment)
        put, got = [], []
        for step in steps:
            if isinstance(step, bytes):
                spool.append(step)
                put.append(step)
            else:
                for blob in spool.oldest(most_bytes=step * 50):
                    spool.take(blob)
                    got.append(blob)
        got += drained(spool)
        spool.close()

        assert got == put
        assert not list(Path(folder).iterdir())


def test_what_was_not_taken_survives_a_new_process(tmp_path: Path) -> None:
    first = Spool(tmp_path)
    for number in range(3):
        first.append(b"%d" % number)
    first.close()

    assert drained(Spool(tmp_path)) == [b"0", b"1", b"2"]


def test_what_goes_before_the_oldest_comes_back_first(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    spool.append(b"third")
    spool.prepend([b"first", b"second"])
    spool.close()
    again = Spool(tmp_path)
    again.prepend([b"zeroth"])

    assert len(again) == 4
    assert drained(again) == [b"zeroth", b"first", b"second", b"third"]
    assert (len(again), again.used_bytes) == (0, 0)


def test_a_killed_process_loses_nothing_it_appended(tmp_path: Path) -> None:
    code = (
        "import os, signal, sys; from pathlib import Path; from market_data.spool import Spool\n"
        "spool = Spool(Path(sys.argv[1]))\n"
        "[spool.append(b'%d' % number) for number in range(100)]\n"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )

    subprocess.run([sys.executable, "-c", code, str(tmp_path)], cwd=ROOT, check=False)

    assert drained(Spool(tmp_path)) == [b"%d" % number for number in range(100)]


@pytest.mark.parametrize("cut", [1, 3, RECORD.size, RECORD.size + 1])
def test_a_record_that_a_crash_tore_off_is_left_out(tmp_path: Path, cut: int) -> None:
    spool = Spool(tmp_path)
    spool.append(b"whole")
    spool.append(b"torn")
    spool.close()
    (segment,) = tmp_path.iterdir()
    os.truncate(segment, segment.stat().st_size - cut)

    assert drained(Spool(tmp_path)) == [b"whole"]


def test_a_record_that_the_disk_spoiled_is_left_out(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    spool.append(b"whole")
    spool.append(b"spoilt")
    spool.close()
    (segment,) = tmp_path.iterdir()
    segment.write_bytes(segment.read_bytes()[:-1] + b"?")

    assert drained(Spool(tmp_path)) == [b"whole"]


def test_beyond_the_bound_the_oldest_go_and_are_counted(tmp_path: Path) -> None:
    spool = Spool(tmp_path, most_bytes=1000, segment_bytes=200)

    for number in range(100):
        spool.append(b"%090d" % number)

    left = [int(blob) for blob in drained(spool)]
    assert spool.used_bytes <= 1000
    assert left == list(range(100 - len(left), 100))
    assert spool.lost + len(left) == 100


class Server:
    """A Valkey of the test's own, as the platform configures it."""

    def __init__(self, folder: Path) -> None:
        (folder / "data").mkdir()
        self._valkey = Valkey(server=find_server(environment=os.environ), folder=folder / "data", sockets=folder)
        self._program = self._valkey.program(environment=os.environ)
        self._socket = folder / SOCKET_NAME
        self._log = folder / "data" / "appendonlydir"
        self.url = self._valkey.url
        self.start()

    def start(self) -> None:
        self._process = subprocess.Popen(
            self._program.command, cwd=self._program.folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        wait_for(lambda: answers_ping(path=self._socket), seconds=20)

    def kill(self) -> None:
        self._process.kill()
        self._process.wait(10)

    def forget(self, blob: bytes, *, times: int) -> None:
        """Cut what the newest entries left in its log: it answers before it writes while the disk is slow."""
        (log,) = self._log.glob("*.incr.aof")
        os.truncate(log, log.stat().st_size - int((times - 0.5) * len(blob)))


@pytest.fixture
def server() -> Iterator[Server]:
    # A socket's path has about a hundred characters.
    with tempfile.TemporaryDirectory(prefix="vk-") as folder:
        running = Server(Path(folder))
        yield running
        running.kill()


class Source:
    """The flushes of a feed in one epoch."""

    def __init__(self, *, epoch: int = 1) -> None:
        self.epoch = epoch
        self.sequence = 0

    def flush(self) -> Flushed:
        self.sequence += 1
        return Flushed(batch=self.batch(BatchKind.DELTA), raw=self.batch(BatchKind.RAW), arrivals=[])

    def batch(self, kind: BatchKind) -> Batch:
        rows = ROWS.copy()
        rows["received_at"] = time.time()
        return Batch(
            kind=kind,
            shard=0,
            epoch=self.epoch,
            from_sequence=self.sequence - 1,
            to_sequence=self.sequence,
            published_us=time.time_ns() // 1000,
            rows=rows,
        )


class Stream:
    """A feed's outbox that publishes 250 packets 20 times a second, and a recorder that stores them."""

    def __init__(self, *, url: str, folder: Path, epoch: int = 1) -> None:
        self.loop = Loop()
        self.bus = AsyncBus(url=url)
        self.outbox = Outbox(bus=self.bus, spool=Spool(folder))
        self.source = Source(epoch=epoch)
        self._recording = self.loop.start(self._record())
        self._sending = self.loop.start(self._send())
        self._ended = False

    async def _record(self) -> None:
        self._recorder = asyncio.ensure_future(Recorder(shards=1, bus=self.bus).run())
        await asyncio.wait([self._recorder])

    async def _send(self) -> None:
        while not self._ended:
            began = time.monotonic()
            await self.outbox.publish(self.source.flush())
            await asyncio.sleep(max(0.05 - (time.monotonic() - began), 0))

    def end_sending(self) -> int:
        self._ended = True
        self._sending.result(20)
        return self.source.sequence

    async def _drain(self) -> None:
        while self.outbox.backlog:
            await self.outbox.catch_up(self.source.batch(BatchKind.HEARTBEAT))
            await asyncio.sleep(0.02)

    def drain(self, *, seconds: float) -> None:
        self.loop.run(self._drain(), seconds=seconds)

    def close(self) -> None:
        self.loop.run(self._stop(), seconds=20)
        self.loop.close()

    async def _stop(self) -> None:
        self._recorder.cancel()
        await asyncio.wait([self._recorder])
        await self.outbox.close()
        await self.bus.close()


def position() -> tuple[int, int]:
    row = RecorderCursor.objects.filter(shard=0).first()
    return (0, 0) if row is None else (row.epoch, row.sequence)


def _nothing_is_lost(server: Server, folder: Path, *, before: int, away_seconds: float, after: int) -> None:
    stream = Stream(url=server.url, folder=folder)
    try:
        wait_for(lambda: position()[1] >= before, seconds=30)
        server.kill()
        killed_at = stream.source.sequence
        away_until = time.monotonic() + away_seconds
        wait_for(lambda: time.monotonic() >= away_until and stream.outbox.backlog > 20, seconds=away_seconds + 60)
        server.start()
        wait_for(lambda: stream.source.sequence >= killed_at + after, seconds=away_seconds + 60)
        sent = stream.end_sending()
        stream.drain(seconds=60 + away_seconds)
        wait_for(lambda: position() == (1, sent), seconds=60 + away_seconds)

        assert stream.outbox.lost == 0
        assert Tick.objects.count() == sent * len(ROWS)
    finally:
        stream.close()
        with connection.cursor() as cursor:
            cursor.execute("TRUNCATE market_data_tick")


@pytest.mark.django_db(transaction=True)
def test_an_outage_of_redis_at_five_thousand_ticks_a_second_loses_nothing(server: Server, tmp_path: Path) -> None:
    _nothing_is_lost(server, tmp_path, before=10, away_seconds=3, after=100)


@pytest.mark.long
@pytest.mark.django_db(transaction=True)
def test_ten_minutes_without_redis_at_five_thousand_ticks_a_second_lose_nothing(server: Server, tmp_path: Path) -> None:
    _nothing_is_lost(server, tmp_path, before=10, away_seconds=600, after=200)


@pytest.fixture
def loop() -> Iterator[Loop]:
    opened = Loop()
    yield opened
    opened.close()


def test_a_new_owner_replays_what_the_old_one_left_before_its_own(server: Server, tmp_path: Path, loop: Loop) -> None:
    old = Source(epoch=1)
    left = Spool(tmp_path)
    for _ in range(3):
        left.append(old.flush().raw.pack())
    left.close()

    epochs = loop.run(_published(server.url, tmp_path, Source(epoch=2)))

    assert epochs == [(1, 1), (1, 2), (1, 3), (2, 1)]


async def _published(url: str, folder: Path, source: Source) -> list[tuple[int, int]]:
    bus = AsyncBus(url=url)
    outbox = Outbox(bus=bus, spool=Spool(folder))
    await outbox.publish(source.flush())
    await outbox.close()
    kept = await bus.raw(shard=0, after="0-0", count=100)
    await bus.close()
    return [(batch.epoch, batch.to_sequence) for _, batch in kept]


async def _sent_around(server: Server, folder: Path, *, forgotten: int) -> list[int]:
    """Return what the stream has after Redis was killed, forgot its newest batches and was started again."""
    bus, source = AsyncBus(url=server.url), Source()
    outbox = Outbox(bus=bus, spool=Spool(folder))
    for _ in range(10):
        assert await outbox.publish(source.flush())
    server.kill()
    server.forget(source.batch(BatchKind.RAW).pack(), times=forgotten)
    assert not await outbox.publish(source.flush())
    server.start()
    while outbox.backlog:
        await outbox.catch_up(source.batch(BatchKind.HEARTBEAT))
        await asyncio.sleep(0.02)
    await outbox.close()
    kept = await bus.raw(shard=0, after="0-0", count=100)
    await bus.close()
    return [batch.to_sequence for _, batch in kept]


def test_what_a_killed_redis_took_and_forgot_is_sent_again(server: Server, tmp_path: Path, loop: Loop) -> None:
    kept = loop.run(_sent_around(server, tmp_path / "spool", forgotten=3), seconds=30)

    assert kept[:7] == [1, 2, 3, 4, 5, 6, 7]
    assert kept[-4:] == [8, 9, 10, 11]
    assert kept[7:] == sorted(kept[7:])


def test_a_deposed_owner_may_not_replay(server: Server, tmp_path: Path, loop: Loop) -> None:
    spool = Spool(tmp_path)
    spool.append(Source(epoch=1).flush().raw.pack())
    spool.close()
    loop.run(_published(server.url, tmp_path / "other", Source(epoch=9)))

    with pytest.raises(ShardTaken):
        loop.run(_published(server.url, tmp_path, Source(epoch=1)))


def test_a_full_disk_is_counted_and_does_not_end_the_feed(tmp_path: Path, loop: Loop) -> None:
    bus = AsyncBus(url="redis://127.0.0.1:1/0")
    spool = Spool(tmp_path)
    outbox = Outbox(bus=bus, spool=spool)
    tmp_path.rmdir()

    loop.run(outbox.publish(Source().flush()))

    assert (outbox.lost, outbox.backlog) == (1, 0)
    loop.run(outbox.close())
