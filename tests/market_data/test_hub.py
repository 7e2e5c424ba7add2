"""What the hub promises: nobody waits for a slow client, nothing newest is missed."""

import itertools
import time
from collections.abc import Mapping
from functools import partial
from typing import Any

import pytest

from tests.market_data.factories import InstrumentFactory, ticks
from tests.market_data.live import Publisher, TickClient, WebProcess, api_key, client

pytestmark = pytest.mark.django_db(transaction=True)
TOKENS = (257, 513, 769)


@pytest.fixture(autouse=True)
def instruments(web: WebProcess) -> None:
    for token in TOKENS:
        InstrumentFactory(instrument_token=token)


def settle(tick_client: TickClient, sequence: int) -> None:
    """Wait until the hub has taken this sequence in."""
    tick_client.until(lambda message: message["t"] == "hb" and message["s"][0][2] >= sequence)


async def forget_fence(publisher: Publisher) -> None:
    await publisher._bus._redis.delete("fence:0")


def arrived(message: Mapping[str, Any], *, price: int) -> bool:
    return bool(message["t"] == "d" and message["s"][3] == price)


def test_frames_follow_each_other_without_a_hole(tick_client: TickClient, publisher: Publisher) -> None:
    tick_client.subscribe(tokens=TOKENS, mode="ltp")

    for price in range(1, 30):
        publisher.publish(ticks({257: float(price)}))
    tick_client.until(lambda message: message["t"] == "d" and message["s"][3] == 29)

    spans = [frame["s"][2:] for frame in tick_client.frames]
    assert spans[0][0] == 0
    assert all(before[1] == after[0] for before, after in itertools.pairwise(spans))


def test_a_lost_batch_is_mended_from_the_last_values(tick_client: TickClient, publisher: Publisher) -> None:
    tick_client.subscribe(tokens=TOKENS, mode="ltp")
    publisher.publish(ticks({257: 1.0}, received_at=1.0))
    tick_client.expect("d")

    publisher.publish(ticks({513: 2.0}, received_at=2.0), lost=True)
    publisher.snapshot(ticks({257: 1.0, 513: 2.0}, received_at=2.0))
    publisher.publish(ticks({769: 3.0}, received_at=3.0))
    tick_client.until(lambda _: len(tick_client.prices) == 3)

    assert tick_client.prices == {257: 1.0, 513: 2.0, 769: 3.0}


def test_a_last_batch_that_was_lost_is_found_by_the_heartbeat(tick_client: TickClient, publisher: Publisher) -> None:
    tick_client.subscribe(tokens=TOKENS, mode="ltp")
    publisher.publish(ticks({257: 1.0}, received_at=1.0), lost=True)
    publisher.snapshot(ticks({257: 1.0}, received_at=1.0))

    publisher.heartbeat()

    tick_client.until(lambda _: tick_client.prices == {257: 1.0})


def test_a_snapshot_stored_too_early_is_asked_for_again(tick_client: TickClient, publisher: Publisher) -> None:
    tick_client.subscribe(tokens=TOKENS, mode="ltp")
    publisher.snapshot(ticks({257: 1.0}, received_at=1.0))
    publisher.publish(ticks({257: 2.0}, received_at=2.0), lost=True)
    publisher.publish(ticks({513: 2.0}, received_at=2.0))
    tick_client.until(lambda _: 513 in tick_client.prices)

    publisher.snapshot(ticks({257: 2.0, 513: 2.0}, received_at=2.0))
    publisher.heartbeat()

    tick_client.until(lambda _: tick_client.prices == {257: 2.0, 513: 2.0})


def test_a_new_epoch_brings_new_snapshots(tick_client: TickClient, publisher: Publisher) -> None:
    tick_client.subscribe(tokens=TOKENS, mode="ltp")
    publisher.publish(ticks({257: 1.0}))
    tick_client.expect("d")
    publisher.epoch, publisher.sequence = 2, 0

    publisher.publish(ticks({257: 9.0}))

    tick_client.until(lambda _: tick_client.prices == {257: 9.0})
    assert [(frame["t"], frame["s"][1]) for frame in tick_client.frames] == [("d", 1), ("snap", 2), ("d", 2)]


def test_a_deposed_feed_is_not_listened_to(tick_client: TickClient, publisher: Publisher) -> None:
    publisher.epoch = 5
    tick_client.subscribe(tokens=TOKENS, mode="ltp")
    publisher.publish(ticks({257: 1.0}))
    tick_client.expect("d")

    stale = Publisher(epoch=4)
    stale._loop.run(forget_fence(stale))
    stale.publish(ticks({257: 666.0}))
    publisher.publish(ticks({513: 2.0}))
    tick_client.until(lambda _: 513 in tick_client.prices)
    stale.close()

    assert tick_client.prices[257] == 1.0


def test_a_client_resumes_from_where_it_was(web: WebProcess, tick_client: TickClient, publisher: Publisher) -> None:
    tick_client.subscribe(tokens=TOKENS, mode="ltp")
    for token in TOKENS[:2]:
        publisher.publish(ticks({token: 1.0}))
    settle(tick_client, 2)

    with client(web, api_key()) as returned:
        returned.subscribe(tokens=TOKENS, mode="ltp", since=[[0, 1, 1]])
        frame = returned.expect("d")

    assert frame["s"] == [0, 1, 1, 2]
    assert [row[0] for row in frame["d"]] == [513]


def test_a_client_of_another_epoch_gets_last_values(web: WebProcess, publisher: Publisher) -> None:
    with client(web, api_key()) as first:
        publisher.publish(ticks({257: 1.0}))
        settle(first, 1)
        first.subscribe(tokens=TOKENS, mode="ltp", since=[[0, 99, 1]])

        assert first.expect("snap")["d"][0][:2] == [257, 1.0]


def test_a_client_that_does_not_read_delays_nobody_and_skips_to_the_newest(
    web: WebProcess, publisher: Publisher
) -> None:
    many = [row.instrument_token for row in InstrumentFactory.create_batch(490)]
    with client(web, api_key(), max_queue=1) as slow, client(web, api_key()) as quick:
        for program in (slow, quick):
            program.subscribe(tokens=many, mode="full")
        rounds = 150
        for price in range(1, rounds + 1):
            publisher.publish(ticks(dict.fromkeys(many, float(price))))
            quick.until(partial(arrived, price=price))
        slow.until(lambda message: message["t"] in {"d", "snap"} and message["s"][3] == rounds, seconds=20)

    spans = [frame["s"][2:] for frame in slow.frames]
    assert len(spans) < rounds
    assert all(before[1] == after[0] for before, after in itertools.pairwise(spans))
    assert slow.prices == dict.fromkeys(many, float(rounds))
    assert web.hub.counts["conflated"] > 0


def test_a_window_stops_the_stream_until_the_client_acknowledges(tick_client: TickClient, publisher: Publisher) -> None:
    tick_client.subscribe(tokens=TOKENS, mode="ltp", window=2)
    for price in range(1, 6):
        publisher.publish(ticks({257: float(price)}))
    settle(tick_client, 5)
    unacknowledged = len(tick_client.frames)

    tick_client.send(op="ack", n=2)
    frame = tick_client.expect("d")

    assert unacknowledged == 2
    assert frame["s"][2:] == [2, 5]


def test_acknowledging_every_frame_is_not_too_much(tick_client: TickClient, publisher: Publisher) -> None:
    tick_client.subscribe(tokens=TOKENS, mode="ltp", window=4)

    for price in range(1, 101):
        publisher.publish(ticks({257: float(price)}))
        tick_client.expect("d")
        tick_client.send(op="ack", n=1)

    tick_client.send(op="ping", id=1)
    assert tick_client.until(lambda message: message["t"] in {"pong", "err"})["t"] == "pong"


def test_a_client_may_ask_for_fewer_frames(tick_client: TickClient, publisher: Publisher) -> None:
    tick_client.subscribe(tokens=TOKENS, mode="ltp", max_hz=2)
    began = time.monotonic()

    for price in range(1, 21):
        publisher.publish(ticks({257: float(price)}))
    tick_client.until(lambda _: tick_client.prices == {257: 20.0})

    assert len(tick_client.frames) <= 2 * (time.monotonic() - began) + 2


def test_a_silent_shard_is_called_stale_and_live_again(tick_client: TickClient, publisher: Publisher) -> None:
    publisher.heartbeat()

    assert tick_client.expect("stale")["s"] == 0
    publisher.heartbeat()
    assert tick_client.expect("live")["s"] == 0


def test_an_instrument_that_moves_between_shards_is_sent_from_its_new_one(transactional_db: None) -> None:
    old, new = Publisher(shard=0), Publisher(shard=1)
    with WebProcess(shards=2) as web, client(web, api_key()) as program:
        old.publish(ticks({257: 1.0}))
        new.publish(ticks({513: 1.0}))
        program.until(lambda message: message["t"] == "hb" and [view[2] for view in message["s"]] == [1, 1])
        new.publish(ticks({257: 2.0}))
        program.until(lambda message: message["t"] == "hb" and [view[2] for view in message["s"]] == [1, 2])

        program.subscribe(tokens=[257], mode="ltp")
        snapshots = [program.expect("snap")]
        program.expect("hb")

    assert [frame["s"][0] for frame in snapshots + program.frames[1:]] == [1]
    old.close()
    new.close()


def test_the_hub_tells_how_it_does(web: WebProcess, tick_client: TickClient, clean_redis: object) -> None:
    keys: list[bytes] = []
    while not keys:
        keys = clean_redis.keys("health:hub:*")  # type: ignore[attr-defined]

    assert len(keys) == 1
