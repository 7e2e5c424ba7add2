"""What must not hurt a client: storms, restarts, clocks that jump, frames nobody knows."""

import contextlib
import itertools
import signal
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from django.conf import LazySettings
from websockets.exceptions import ConnectionClosed, InvalidStatus

from market_data.errors import FeedDown
from market_data.sockets import Door
from tests.market_data.factories import InstrumentFactory, ticks
from tests.market_data.live import Publisher, TickClient, WebProcess, api_key, client
from tests.market_data.test_feed import Floor, RunningFeed, feed, floor, wanted
from tests.market_data.test_sockets import Site, heard, site
from tests.market_data.test_spool import Server, server
from tests.sandbox_server import wait_for

__all__ = ["feed", "floor", "server", "site", "wanted"]

pytestmark = pytest.mark.django_db(transaction=True)


@contextlib.contextmanager
def crowd(web: WebProcess, count: int) -> Iterator[list[TickClient]]:
    key = api_key()
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(client(web, key, ping_interval=None, max_queue=None)) for _ in range(count)]


def test_a_storm_of_a_thousand_subscriptions_is_answered_and_served(web: WebProcess, publisher: Publisher) -> None:
    tokens = [row.instrument_token for row in InstrumentFactory.create_batch(50)]
    with crowd(web, 20) as programs:
        for program in programs:
            for number, token in enumerate(tokens[:10]):
                program.send(op="sub", id=number, tokens=[token], mode="ltp")
            program.send(op="sub", id="rest", tokens=tokens[10:], mode="ltp")
        for program in programs:
            program.until(lambda message: message.get("id") == "rest", seconds=60)
        publisher.publish(ticks(dict.fromkeys(tokens, 5.0)))

        for program in programs:
            program.until(lambda _, program=program: len(program.prices) == 50, seconds=60)  # type: ignore[misc]


def test_every_one_of_a_hundred_clients_gets_the_tick(web: WebProcess, publisher: Publisher) -> None:
    InstrumentFactory(instrument_token=257)
    with crowd(web, 100) as programs:
        for program in programs:
            program.subscribe(tokens=[257], mode="ltp", seconds=30)
        publisher.publish(ticks({257: 7.5}))

        for program in programs:
            program.expect("d", seconds=30)

    assert all(program.prices == {257: 7.5} for program in programs)


def test_clients_that_come_and_go_leave_nothing_behind(web: WebProcess) -> None:
    InstrumentFactory(instrument_token=257)
    key, names = api_key(), set()
    for _ in range(10):
        with client(web, key) as program:
            program.subscribe(tokens=[257], mode="ltp")
            names.add(program.welcome["conn"])

    wait_for(lambda: len(web.door) == 0)
    assert len(names) == 10
    assert not web.hub._clients
    assert len(web.hub._roster) == 0


def test_one_socket_too_many_is_refused_until_one_leaves(transactional_db: None, clean_redis: object) -> None:
    key = api_key()
    with WebProcess(door=Door(most=1)) as web:
        with client(web, key):
            with pytest.raises(InvalidStatus) as refused:
                TickClient(web.url, key)
            assert refused.value.response.status_code == 503
        wait_for(lambda: len(web.door) == 0)

        with client(web, key) as program:
            assert program.welcome["t"] == "welcome"


def test_a_restart_of_redis_costs_a_client_nothing_but_time(
    server: Server, settings: LazySettings, transactional_db: None
) -> None:
    InstrumentFactory(instrument_token=257)
    settings.REDIS_URL = server.url
    publisher = Publisher()
    with WebProcess() as web, client(web, api_key()) as program:
        program.subscribe(tokens=[257], mode="ltp")
        publisher.publish(ticks({257: 1.0}))
        program.expect("d")

        server.kill()
        program.until(lambda message: message["t"] == "stale" and "i" not in message, seconds=30)
        server.start()
        wait_for(lambda: _published(publisher, 2.0), seconds=30)

        wait_for(lambda: _heard_again(program, publisher), seconds=60)
    publisher.close()


def _published(publisher: Publisher, price: float) -> bool:
    try:
        publisher.publish(ticks({257: price}, received_at=time.time()))
    except FeedDown:
        return False
    return True


def _heard_again(program: TickClient, publisher: Publisher) -> bool:
    """Redis may be back before the hub has subscribed again: what it then misses, the next batch brings."""
    _published(publisher, 3.0)
    with contextlib.suppress(TimeoutError):
        program.until(lambda message: message["t"] in {"d", "snap"}, seconds=1)
    return program.prices.get(257) in {2.0, 3.0}


@pytest.mark.parametrize("step", [-3600.0, 3600.0])
def test_a_clock_that_jumped_makes_no_age_negative_and_stops_no_tick(
    web: WebProcess, publisher: Publisher, step: float
) -> None:
    InstrumentFactory(instrument_token=257)
    with client(web, api_key()) as program:
        program.subscribe(tokens=[257], mode="ltp")
        publisher.publish(ticks({257: 1.0}, received_at=time.time() + step))
        frame = program.expect("d")
        publisher.publish(ticks({257: 2.0}, received_at=time.time()))
        program.until(lambda _: program.prices == {257: 2.0})

    assert frame["d"][0][program.welcome["f"]["ltp"].index("age_ms")] >= 0


@pytest.mark.parametrize("kind", ["frame_unknown", "frame_truncated", "frame_empty"])
def test_a_frame_nobody_knows_stops_no_other_tick(
    floor: Floor, wanted: list[Any], feed: RunningFeed, kind: str
) -> None:
    floor.exchange.fault(kind, user=floor.accounts[0].broker_user_id, count=3)
    struck_at = time.time()

    wait_for(lambda: floor.all_tick_after(struck_at + 1, {row.instrument_token for row in wanted}), seconds=20)


def test_told_to_end_under_load_a_process_tells_its_clients_and_ends(site: Site, publisher: Publisher) -> None:
    InstrumentFactory(instrument_token=257)
    ended = threading.Event()
    with site.open("ticks", [], Authorization=f"Bearer {api_key()}") as socket:
        heard(socket, "welcome")
        socket.send('{"op": "sub", "id": 1, "tokens": [257], "mode": "ltp"}')
        heard(socket, "ok")
        load = threading.Thread(target=_stream, args=(publisher, ended))
        load.start()
        heard(socket, "d")
        site.process.send_signal(signal.SIGTERM)
        try:
            heard(socket, "draining")
            heard(socket, "d")
            with pytest.raises(ConnectionClosed) as closed:
                heard(socket, "never")
        finally:
            ended.set()
            load.join(20)

    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1012
    site.process.wait(20)


def _stream(publisher: Publisher, ended: threading.Event) -> None:
    price = 0.0
    while not ended.wait(0.02):
        price += 1
        publisher.publish(ticks({257: price}))


def _stuck(web: WebProcess, program: TickClient, publisher: Publisher) -> None:
    """Subscribe, read no more, and let the hub send until it must wait."""
    tokens = [row.instrument_token for row in InstrumentFactory.create_batch(490)]
    program.subscribe(tokens=tokens, mode="full")
    prices = itertools.count(1.0)

    def waits() -> bool:
        publisher.publish(ticks(dict.fromkeys(tokens, next(prices))))
        return web.hub.counts["slow_closed"] > 0

    wait_for(waits, seconds=60)


def test_a_client_that_reads_again_too_late_hears_that_it_was_too_slow(
    web: WebProcess, publisher: Publisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("market_data.hub.SLOW_SECONDS", 1.0)
    with client(web, api_key(), max_queue=1) as program:
        _stuck(web, program, publisher)
        with pytest.raises(ConnectionClosed) as closed:
            program.until(lambda _: False)

    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 3008


def test_a_client_that_never_reads_again_is_let_go_without_a_word(
    web: WebProcess, publisher: Publisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("market_data.hub.SLOW_SECONDS", 1.0)
    monkeypatch.setattr("market_data.sockets.LAST_WORD_SECONDS", 0.5)
    with client(web, api_key(), max_queue=1) as program:
        _stuck(web, program, publisher)

        wait_for(lambda: not web.hub._clients and not len(web.door), seconds=30)
