"""The bus, on a real Valkey."""

import asyncio
from collections.abc import AsyncIterator

import numpy as np
import orjson
import pytest
from django.conf import settings
from redis import Redis

from market_data.batches import HEADER, TOP, Batch, BatchKind, tops_key, tops_of, unpack_tops
from market_data.bus import AsyncBus, NamedBlob, SyncBus
from market_data.errors import BadBatch, FeedDown, ShardTaken
from market_data.weaving import Lane, Woven
from tests.market_data.factories import ticks

pytestmark = pytest.mark.usefixtures("clean_redis")


def batch(
    prices: dict[int, float],
    *,
    shard: int = 0,
    epoch: int = 1,
    sequence: int = 1,
    kind: BatchKind = BatchKind.DELTA,
    received_at: float = 0.0,
) -> Batch:
    return Batch(
        kind=kind,
        shard=shard,
        epoch=epoch,
        from_sequence=sequence - 1,
        to_sequence=sequence,
        published_us=1,
        rows=ticks(prices, received_at=received_at),
    )


@pytest.fixture
async def bus() -> AsyncIterator[AsyncBus]:
    opened = AsyncBus(url=settings.REDIS_URL)
    yield opened
    await opened.close()


@pytest.fixture
def sync() -> SyncBus:
    return SyncBus(url=settings.REDIS_URL, shards=2)


def test_a_batch_survives_packing() -> None:
    sent = batch({7: 1.5, 9: 2.5}, shard=3, epoch=5, sequence=2**40)

    received = Batch.unpack(sent.pack())

    assert (received.shard, received.epoch, received.to_sequence) == (3, 5, 2**40)
    assert np.array_equal(received.rows, sent.rows)


@pytest.mark.parametrize(
    "spoiled", [b"", b"TKB", batch({7: 1.0}).pack()[:-1], b"XXX" + batch({7: 1.0}).pack()[3:], bytes(HEADER.size)]
)
def test_a_spoiled_batch_is_refused(spoiled: bytes) -> None:
    with pytest.raises(BadBatch):
        Batch.unpack(spoiled)


async def test_a_published_batch_reaches_a_listener(bus: AsyncBus) -> None:
    heard = bus.batches([0])
    assert await anext(heard) is None

    await bus.publish_batch(batch=batch({7: 1.5}), raw=batch({7: 1.5}, kind=BatchKind.RAW))

    received = await anext(heard)
    assert received is not None
    assert received.rows["last_price"].tolist() == [1.5]


async def test_raw_batches_are_kept_in_order(bus: AsyncBus) -> None:
    for sequence in (1, 2):
        await bus.publish_batch(batch=None, raw=batch({7: 1.0}, sequence=sequence, kind=BatchKind.RAW))

    kept = await bus.raw(shard=0, after="0-0", count=10)

    assert [entry.to_sequence for _, entry in kept] == [1, 2]
    assert kept[-1][0] == await bus.raw_end(0)


async def test_a_deposed_owner_publishes_nothing(bus: AsyncBus) -> None:
    await bus.publish_batch(batch=None, raw=batch({7: 1.0}, epoch=2))

    with pytest.raises(ShardTaken):
        await bus.publish_batch(batch=None, raw=batch({7: 9.0}, epoch=1))

    assert len(await bus.raw(shard=0, after="0-0", count=10)) == 1


async def test_a_deposed_owner_stores_no_snapshot(bus: AsyncBus) -> None:
    await bus.put_snapshot(batch({7: 1.0}, epoch=2, kind=BatchKind.SNAPSHOT))
    await bus.publish_batch(batch=None, raw=batch({7: 1.0}, epoch=2))

    with pytest.raises(ShardTaken):
        await bus.put_snapshot(batch({7: 9.0}, epoch=1, kind=BatchKind.SNAPSHOT))

    snapshot = await bus.get_snapshot(0)
    assert snapshot is not None
    assert snapshot.rows["last_price"].tolist() == [1.0]


async def test_the_latest_values_are_merged_over_shards(bus: AsyncBus, sync: SyncBus) -> None:
    await bus.put_snapshot(batch({7: 1.0, 8: 5.0}, shard=0, received_at=10.0))
    await bus.put_snapshot(batch({7: 2.0}, shard=1, received_at=20.0))

    latest = await asyncio.to_thread(sync.latest)

    assert latest["instrument_token"].tolist() == [7, 8]
    assert latest["last_price"].tolist() == [2.0, 5.0]


def test_nothing_stored_means_no_rows(sync: SyncBus) -> None:
    assert len(sync.latest()) == 0


async def test_a_blob_is_stored_and_announced(bus: AsyncBus, sync: SyncBus) -> None:
    notices = bus.notices("greeks:NIFTY")
    assert await anext(notices) == 0

    await asyncio.to_thread(sync.put_blobs, blobs=[NamedBlob("g", b"packed", "greeks:NIFTY", 12)], seconds=9)

    assert await anext(notices) == 12
    assert await bus.get_blob("g") == b"packed"


async def test_blobs_woven_from_lanes_come_back_whole_and_are_heard(bus: AsyncBus, sync: SyncBus) -> None:
    heads = Lane(memoryview(b"AABB"), np.array([0, 2, 0]), np.array([2, 2, 4]))
    rows = Lane(memoryview(b"a" * 7_000 + b"b"), np.array([0, 7_000, 0]), np.array([7_000, 1, 0]))
    notices = bus.notices("second")
    assert await anext(notices) == 0

    await asyncio.to_thread(
        sync.put_woven,
        Woven(
            keys=["second", "index"],
            sequences=[1_795_000_000_123, 5],
            lanes=[heads, rows],
            places=[1, 2],
            seconds=9,
        ),
    )

    assert await anext(notices) == 1_795_000_000_123
    assert await bus.get_blob("second") == b"BBb"
    assert await bus.get_blob("index") == b"AABB"


def test_what_is_woven_lives_as_long_as_it_was_given(sync: SyncBus, clean_redis: Redis) -> None:
    lane = Lane(memoryview(b"A"), np.array([0]), np.array([1]))

    sync.put_woven(Woven(keys=["first"], sequences=[1], lanes=[lane], places=[0], seconds=9))

    assert 0 < clean_redis.ttl("first") <= 9


def test_refused_blobs_leave_no_answer_for_the_next_question(sync: SyncBus) -> None:
    lane = Lane(memoryview(b"A"), np.array([0]), np.array([1]))

    with pytest.raises(FeedDown, match="invalid expire time"):
        sync.put_woven(Woven(keys=["first"] * 2, sequences=[1, 2], lanes=[lane], places=[0, 0], seconds=0))

    assert sync.get_blob("first") is None
    assert sync.told(stream="S", marks=["mark"]) == set()


def test_the_tops_of_each_shard_lie_side_by_side(clean_redis: Redis) -> None:
    both = SyncBus(url=settings.REDIS_URL, shards=3)
    for shard, values in ((0, {7: 1.5}), (2, {8: 2.5, 7: 3.5})):
        clean_redis.set(tops_key(shard), tops_of(ticks(values)).tobytes())

    found = both.tops()

    assert [rows["instrument_token"].tolist() for rows in found] == [[7], [8, 7]]


async def test_a_snapshot_comes_with_what_prices_an_option(bus: AsyncBus, sync: SyncBus) -> None:
    snapshot = batch({7: 1.5}, kind=BatchKind.SNAPSHOT, received_at=20.0)
    row = snapshot.rows[0]
    row["bid_price"], row["ask_price"] = [1, 2, 3, 4, 5], [6, 7, 8, 9, 10]
    row["oi"], row["volume"], row["close"], row["last_trade_at"], row["kind"] = 75, 150, 9.5, 19, 2

    await bus.put_snapshot(snapshot)

    (tops,) = sync.tops()
    expected = (7, 19, 2, 1.5, 1.0, 6.0, 9.5, 75, 150, 20.0)
    assert tops.tolist() == [expected]


def test_torn_tops_are_refused() -> None:
    with pytest.raises(BadBatch, match="tops have 72 bytes each, was 71"):
        unpack_tops(bytes(TOP.itemsize - 1))


def told(found: list[tuple[str, bytes]]) -> list[object]:
    return [orjson.loads(blob)["n"] for _, blob in found]


async def test_events_resume_behind_an_offset(bus: AsyncBus, sync: SyncBus) -> None:
    first = sync.append_event(stream="orders:a", event={"n": 1})
    sync.append_event(stream="orders:a", event={"n": 2})

    found = await bus.events_after(stream="orders:a", after=first)

    assert told(found) == [2]
    assert await bus.first_event(stream="orders:a") == first


async def test_a_reader_that_waits_hears_the_next_event(bus: AsyncBus, sync: SyncBus) -> None:
    first = sync.append_event(stream="orders:a", event={"n": 1})
    waiting = asyncio.ensure_future(bus.events_after(stream="orders:a", after=first))
    await asyncio.sleep(0.1)

    sync.append_event(stream="orders:a", event={"n": 2})

    assert told(await waiting) == [2]


async def test_a_stream_has_one_epoch_until_its_server_forgets_it(
    bus: AsyncBus, sync: SyncBus, clean_redis: Redis
) -> None:
    sync.append_event(stream="orders:a", event={"n": 1})
    epoch = await bus.event_epoch(stream="orders:a")
    sync.append_event(stream="orders:a", event={"n": 2})
    assert await bus.event_epoch(stream="orders:a") == epoch

    clean_redis.flushall()

    assert await bus.event_epoch(stream="orders:a") != epoch


async def test_a_stream_says_whether_it_still_reaches_back(bus: AsyncBus, sync: SyncBus, clean_redis: Redis) -> None:
    offsets = [sync.append_event(stream="orders:a", event={"n": number}) for number in range(40)]
    assert not await bus.may_have_dropped(stream="orders:a", after="1-0")

    clean_redis.xtrim("events:orders:a", maxlen=20, approximate=False)

    assert await bus.may_have_dropped(stream="orders:a", after=offsets[10])
    assert not await bus.may_have_dropped(stream="orders:a", after=offsets[20])
    assert not await bus.may_have_dropped(stream="orders:b", after="1-0")


async def test_an_idle_listener_outlives_every_time_out(bus: AsyncBus, sync: SyncBus) -> None:
    notices = bus.notices("quiet")
    await anext(notices)
    waiting = asyncio.ensure_future(anext(notices))

    done, _ = await asyncio.wait([waiting], timeout=12)
    assert not done
    await asyncio.to_thread(sync.put_blobs, blobs=[NamedBlob("q", b"", "quiet", 3)], seconds=9)

    assert await waiting == 3


async def test_a_listener_returns_after_its_connection_is_cut(bus: AsyncBus, clean_redis: Redis) -> None:
    heard = bus.batches([0])
    await anext(heard)
    waiting = asyncio.ensure_future(anext(heard))
    await asyncio.sleep(0.05)

    await asyncio.to_thread(clean_redis.execute_command, "CLIENT", "KILL", "TYPE", "pubsub")

    assert await asyncio.wait_for(waiting, 5) is None
    await bus.publish_batch(batch=batch({7: 1.5}), raw=batch({7: 1.5}))
    assert await anext(heard) is not None


def test_health_reports_are_read_by_name(sync: SyncBus) -> None:
    sync.put_health(name="feed:0", report={"epoch": 4})

    assert sync.read_health() == {"feed:0": {"epoch": 4}}


def test_a_dead_bus_is_named() -> None:
    nowhere = SyncBus(url="unix:///nonexistent/valkey.sock", shards=1)

    with pytest.raises(FeedDown):
        nowhere.latest()


async def test_one_row_is_read_without_the_others(bus: AsyncBus, sync: SyncBus) -> None:
    await bus.put_snapshot(batch({1: 10.0, 2: 20.0}, kind=BatchKind.SNAPSHOT, received_at=5.0))
    await bus.put_snapshot(batch({3: 30.0}, shard=1, kind=BatchKind.SNAPSHOT, received_at=5.0))

    prices = [row["last_price"] for token in (1, 2, 3) if (row := sync.row_of(token, newer_than=5.0)) is not None]

    assert prices == [10.0, 20.0, 30.0]


async def test_a_row_in_its_place_is_read_anew_each_time(bus: AsyncBus, sync: SyncBus) -> None:
    await bus.put_snapshot(batch({1: 10.0, 2: 20.0}, kind=BatchKind.SNAPSHOT, received_at=5.0))
    sync.row_of(2, newer_than=5.0)
    await bus.put_snapshot(batch({1: 10.0, 2: 21.0}, kind=BatchKind.SNAPSHOT, received_at=6.0))

    row = sync.row_of(2, newer_than=6.0)

    assert row is not None
    assert row["last_price"] == 21.0


async def test_a_row_that_moved_is_never_taken_for_another(bus: AsyncBus, sync: SyncBus) -> None:
    await bus.put_snapshot(batch({1: 10.0, 2: 20.0}, kind=BatchKind.SNAPSHOT, received_at=5.0))
    sync.row_of(2, newer_than=5.0)
    await bus.put_snapshot(batch({2: 21.0, 1: 11.0}, kind=BatchKind.SNAPSHOT, received_at=6.0))

    row = sync.row_of(2, newer_than=6.0)

    assert row is None or row["last_price"] == 21.0


async def test_of_an_instrument_in_two_shards_the_row_received_last_is_read(bus: AsyncBus, sync: SyncBus) -> None:
    await bus.put_snapshot(batch({1: 10.0}, kind=BatchKind.SNAPSHOT, received_at=5.0))
    await bus.put_snapshot(batch({1: 11.0}, shard=1, kind=BatchKind.SNAPSHOT, received_at=6.0))

    row = sync.row_of(1, newer_than=6.0)

    assert row is not None
    assert row["last_price"] == 11.0


def test_an_instrument_without_a_tick_has_no_row(sync: SyncBus) -> None:
    assert sync.row_of(1, newer_than=0.0) is None
