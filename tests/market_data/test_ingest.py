"""From frames to sequenced batches."""

import asyncio
import struct
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import numpy as np
import pytest
from django.conf import settings
from redis import Redis

from market_data.batches import BatchKind
from market_data.bus import AsyncBus
from market_data.feed_outbox import Outbox
from market_data.ingest import Flushed, Ingest
from market_data.spool import Spool


def frame(*packets: tuple[int, int]) -> bytes:
    """Return a frame of LTP packets: (token, price in paise)."""
    return struct.pack(">H", len(packets)) + b"".join(struct.pack(">HII", 8, *packet) for packet in packets)


def flushed(ingest: Ingest) -> Flushed:
    found = ingest.flush(published_at=10.0)
    assert found is not None
    return found


@pytest.fixture
def ingest() -> Ingest:
    return Ingest(shard=0, epoch=3)


def test_a_flush_publishes_the_last_value_of_each_instrument_and_keeps_every_packet(ingest: Ingest) -> None:
    ingest.receive(source="a", frame=frame((257, 100), (513, 200)), received_at=1.0)
    ingest.receive(source="a", frame=frame((257, 300)), received_at=2.0)

    result = flushed(ingest)

    assert sorted(result.batch.rows["last_price"].tolist()) == [2.0, 3.0]
    assert result.raw.rows["last_price"].tolist() == [1.0, 2.0, 3.0]


def test_each_packet_carries_the_time_its_frame_arrived(ingest: Ingest) -> None:
    ingest.receive(source="a", frame=frame((257, 100), (513, 200)), received_at=1.25)
    ingest.receive(source="b", frame=frame((769, 300)), received_at=2.5)

    assert flushed(ingest).raw.rows["received_at"].tolist() == [1.25, 1.25, 2.5]


def test_a_strange_packet_disturbs_no_other(ingest: Ingest) -> None:
    strange = struct.pack(">HHI", 1, 4, 9)
    ingest.receive(source="a", frame=strange, received_at=1.0)
    ingest.receive(source="a", frame=frame((257, 100))[:-1], received_at=2.0)
    ingest.receive(source="a", frame=frame((513, 200)), received_at=3.0)

    rows = flushed(ingest).raw.rows

    assert (rows["instrument_token"].tolist(), rows["received_at"].tolist()) == ([513], [3.0])
    assert (ingest.counts["skipped"], ingest.counts["truncated"]) == (1, 1)


def test_batches_follow_each_other(ingest: Ingest) -> None:
    spans = []
    for price in range(3):
        ingest.receive(source="a", frame=frame((257, price)), received_at=1.0)
        batch = flushed(ingest).batch
        spans.append((batch.epoch, batch.from_sequence, batch.to_sequence))

    assert spans == [(3, 0, 1), (3, 1, 2), (3, 2, 3)]


def test_nothing_received_is_nothing_flushed(ingest: Ingest) -> None:
    assert ingest.flush(published_at=1.0) is None


def test_a_heartbeat_says_how_far_the_shard_is(ingest: Ingest) -> None:
    ingest.receive(source="a", frame=frame((257, 100)), received_at=1.0)
    flushed(ingest)

    beat = ingest.heartbeat(published_at=2.0)

    assert (beat.kind, beat.from_sequence, beat.to_sequence, len(beat.rows)) == (BatchKind.HEARTBEAT, 1, 1, 0)


def test_inherited_values_are_in_the_first_snapshot(ingest: Ingest) -> None:
    ingest.receive(source="a", frame=frame((257, 100)), received_at=1.0)
    rows = flushed(ingest).batch.rows

    heir = Ingest(shard=0, epoch=4, inherited=rows)

    assert heir.snapshot(published_at=2.0).rows["received_at"].tolist() == [1.0]
    assert heir.sequence == 1


def test_values_nobody_wants_are_forgotten(ingest: Ingest) -> None:
    ingest.receive(source="a", frame=frame((257, 100), (513, 200)), received_at=1.0)
    flushed(ingest)

    ingest.keep_only(np.array([513], np.uint32))

    assert ingest.snapshot(published_at=2.0).rows["instrument_token"].tolist() == [513]


@pytest.fixture
async def bus(clean_redis: Redis) -> AsyncIterator[AsyncBus]:
    opened = AsyncBus(url=settings.REDIS_URL)
    yield opened
    await opened.close()


@pytest.fixture
def _unpaused(clean_redis: Redis) -> Iterator[None]:
    yield
    clean_redis.execute_command("CLIENT", "UNPAUSE")


@pytest.mark.usefixtures("_unpaused")
async def test_packets_wait_while_redis_is_away_and_go_out_in_order(
    bus: AsyncBus, ingest: Ingest, clean_redis: Redis, tmp_path: Path
) -> None:
    outbox = Outbox(bus=bus, spool=Spool(tmp_path))
    waited = []
    for number in range(4):
        if number == 1:
            clean_redis.execute_command("CLIENT", "PAUSE", 60_000, "WRITE")
        if number == 2:
            clean_redis.execute_command("CLIENT", "UNPAUSE")
        ingest.receive(source="a", frame=frame((257, number)), received_at=1.0)
        await outbox.publish(flushed(ingest))
        waited.append(outbox.backlog)
    async with asyncio.timeout(20):
        while outbox.backlog:
            await asyncio.sleep(0.05)
            await outbox.catch_up(ingest.heartbeat(published_at=1.0))
    await outbox.close()

    kept = await bus.raw(shard=0, after="0-0", count=100)

    sequences = [entry.to_sequence for _, entry in kept]
    # The one that failed, and the one before it: a Redis that was killed may have forgotten it.
    assert waited[1] == 2
    assert outbox.backlog == outbox.lost == 0
    assert sorted(set(sequences)) == [1, 2, 3, 4]
    assert sequences == sorted(sequences)
