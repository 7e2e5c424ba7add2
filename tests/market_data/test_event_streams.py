"""Events from a position on; where some are gone, a snapshot."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

import pytest
from django.conf import settings
from redis import Redis

from market_data.bus import AsyncBus, SyncBus, sync_bus
from market_data.event_streams import EventStream, Overfull, Waiting, is_position
from market_data.together import end

STREAM = "deeds"
EPOCH_MARK = "@"


class Reader:
    """What one client is told."""

    def __init__(self, bus: AsyncBus, *, waiting: Waiting | None = None, retold: bool = True) -> None:
        self.heard: list[tuple[str, Any]] = []
        self.positions: list[str] = []
        self.stuck = asyncio.Event()
        self.overfull = False
        self._news = asyncio.Event()
        self._gate = asyncio.Event()
        self._gate.set()
        self._stream = EventStream(
            bus=bus,
            stream=STREAM,
            snapshot=self._snapshot,
            event=self._event,
            waiting=waiting or Waiting(),
            retold=retold,
        )

    async def start(self, position: str | None = None) -> None:
        await self._stream.begin(position)
        self.task = asyncio.create_task(self._stream.read(overfull=self._note_overfull))

    def stick(self) -> None:
        """Take nothing any more."""
        self._gate.clear()

    def go_on(self) -> None:
        """Take what comes again."""
        self._gate.set()

    async def until(self, condition: Callable[[], object]) -> None:
        async with asyncio.timeout(20):
            while not condition():
                self._news.clear()
                await self._news.wait()

    def _note_overfull(self) -> None:
        self.overfull = True
        self._news.set()

    async def _snapshot(self, position: str) -> None:
        self.positions.append(position)
        self.heard.append(("snap", None))
        self._news.set()

    async def _event(self, position: str, event: Mapping[str, Any]) -> None:
        if not self._gate.is_set():
            self.stuck.set()
            await self._gate.wait()
        self.positions.append(position)
        self.heard.append(("ev", event["n"]))
        self._news.set()


@pytest.fixture
def writer(clean_redis: object) -> SyncBus:
    return sync_bus()


@pytest.fixture
async def bus(clean_redis: object) -> AsyncIterator[AsyncBus]:
    opened = AsyncBus(url=settings.REDIS_URL)
    yield opened
    await opened.close()


def write(writer: SyncBus, *numbers: int) -> None:
    for number in numbers:
        writer.append_event(stream=STREAM, event={"n": number})


async def stop(*readers: Reader) -> None:
    await end([reader.task for reader in readers])


async def test_a_new_reader_begins_with_a_snapshot(bus: AsyncBus, writer: SyncBus) -> None:
    reader = Reader(bus)
    await reader.start()
    write(writer, 1, 2, 3)

    await reader.until(lambda: len(reader.heard) == 4)
    await stop(reader)

    assert reader.heard == [("snap", None), ("ev", 1), ("ev", 2), ("ev", 3)]


async def test_a_reader_comes_back_to_its_position_and_misses_nothing(bus: AsyncBus, writer: SyncBus) -> None:
    first, second = Reader(bus), Reader(bus)
    await first.start()
    write(writer, 1, 2)
    await first.until(lambda: ("ev", 2) in first.heard)
    await stop(first)
    write(writer, *range(3, 40))

    await second.start(first.positions[-1])
    await second.until(lambda: ("ev", 39) in second.heard)
    await stop(second)

    assert second.heard == [("ev", number) for number in range(3, 40)]


async def test_a_position_of_another_epoch_brings_a_snapshot(
    bus: AsyncBus, writer: SyncBus, clean_redis: Redis
) -> None:
    first, second = Reader(bus), Reader(bus)
    await first.start()
    write(writer, 1)
    await first.until(lambda: ("ev", 1) in first.heard)
    await stop(first)
    clean_redis.flushall()
    write(writer, 2)

    await second.start(first.positions[-1])
    await stop(second)

    assert second.heard[0] == ("snap", None)
    assert second.positions[0].partition(EPOCH_MARK)[2] != first.positions[-1].partition(EPOCH_MARK)[2]


async def test_a_reader_whose_stream_is_replaced_begins_anew(
    bus: AsyncBus, writer: SyncBus, clean_redis: Redis
) -> None:
    reader = Reader(bus)
    await reader.start()
    write(writer, 1)
    await reader.until(lambda: ("ev", 1) in reader.heard)
    clean_redis.flushall()

    write(writer, *range(10, 30))
    await reader.until(lambda: reader.heard.count(("snap", None)) == 2)
    await reader.until(lambda: ("ev", 29) in reader.heard)
    await stop(reader)


async def test_a_reader_behind_what_the_stream_keeps_begins_anew(
    bus: AsyncBus, writer: SyncBus, clean_redis: Redis
) -> None:
    first, second = Reader(bus), Reader(bus)
    await first.start()
    write(writer, 1)
    await first.until(lambda: ("ev", 1) in first.heard)
    await stop(first)
    write(writer, *range(2, 60))
    second.stick()
    await second.start(first.positions[-1])
    await second.stuck.wait()
    clean_redis.xtrim(f"events:{STREAM}", maxlen=20, approximate=False)

    second.go_on()
    await second.until(lambda: ("snap", None) in second.heard)
    write(writer, 60)
    await second.until(lambda: ("ev", 60) in second.heard)
    await stop(second)

    assert second.heard.count(("snap", None)) == 1


async def test_events_beyond_the_bytes_of_a_client_end_its_reading(bus: AsyncBus, writer: SyncBus) -> None:
    waiting = Waiting(most=100)
    stuck, other = Reader(bus, waiting=waiting), Reader(bus, waiting=waiting)
    stuck.stick()
    await stuck.start()
    write(writer, *range(100, 108))
    await stuck.stuck.wait()

    await other.start()
    await other.until(lambda: other.overfull)
    await stop(stuck, other)

    assert other.heard == [("snap", None)]
    assert not stuck.overfull


def test_what_waits_alone_may_be_as_long_as_it_is() -> None:
    waiting = Waiting(most=10)

    waiting.take(25)
    with pytest.raises(Overfull):
        waiting.take(1)
    waiting.give(25)
    waiting.take(10)


@pytest.mark.parametrize(
    ("text", "is_one"),
    [
        ("1764000000000-0", True),
        ("1764000000000-12@a1b2c3d4", True),
        ("1764000000000-12@", True),
        ("1764000000000", False),
        ("soon-0", False),
        ("1-0@a b", False),
        ("1-" + "0" * 60, False),
        (17, False),
        (None, False),
    ],
)
def test_what_a_position_is(text: object, is_one: bool) -> None:
    assert is_position(text) is is_one
