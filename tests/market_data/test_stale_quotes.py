"""Clients see how old a quote is, in every row, and hear when it is too old."""

import time as clock
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, time, timedelta

import numpy as np
import pytest

from market_data.calendar import EXCHANGES, IST, Calendar, Hours
from market_data.frames import HEADER, LTP, STALE_FLAG
from market_data.hub_watch import ORDINARY, Standards
from tests.market_data.factories import InstrumentFactory, ticks
from tests.market_data.live import Publisher, TickClient, WebProcess, api_key, client
from tests.sandbox_server import wait_for

pytestmark = pytest.mark.django_db(transaction=True)
INDEX, SHARE = 256265, 408065


async def always_open(now: datetime) -> Standards:
    """Return standards whose exchanges trade all day, whatever the day."""
    today = now.astimezone(IST).date()
    days = [today + timedelta(days=number) for number in (-1, 0, 1)]
    hours = (Hours(time(0), time(23, 59, 59)),)
    return replace(ORDINARY, calendar=Calendar(odd={(exchange, day): hours for exchange in EXCHANGES for day in days}))


async def always_shut(now: datetime) -> Standards:
    """Return standards whose exchanges are shut, whatever the day."""
    today = now.astimezone(IST).date()
    days = [today + timedelta(days=number) for number in (-1, 0, 1)]
    return replace(ORDINARY, calendar=Calendar(odd={(exchange, day): () for exchange in EXCHANGES for day in days}))


@pytest.fixture
def program(transactional_db: None, clean_redis: object) -> Iterator[TickClient]:
    for token in (INDEX, SHARE):
        InstrumentFactory(instrument_token=token)
    with WebProcess(read_standards=always_open) as web, client(web, api_key()) as opened:
        yield opened


def row_of(program: TickClient, publisher: Publisher, *, token: int, age: float) -> dict[str, object]:
    publisher.publish(ticks({token: 1.0}, received_at=clock.time() - age))
    frame = program.until(lambda message: message["t"] in {"d", "snap"} and message["d"][0][0] == token)
    return dict(zip(program.welcome["f"]["ltp"], frame["d"][0], strict=True))


def test_a_row_says_how_old_it_is_and_whether_that_is_too_old(program: TickClient, publisher: Publisher) -> None:
    program.subscribe(tokens=[INDEX, SHARE], mode="ltp")
    program.expect("hb")

    old = row_of(program, publisher, token=INDEX, age=20)
    same_age = row_of(program, publisher, token=SHARE, age=20)

    assert (old["stale"], same_age["stale"]) == (True, False)
    assert 20_000 <= int(str(old["age_ms"])) < 25_000


def test_a_client_hears_that_a_quote_became_stale(program: TickClient, publisher: Publisher) -> None:
    program.subscribe(tokens=[INDEX, SHARE], mode="ltp")
    publisher.publish(ticks({INDEX: 1.0, SHARE: 1.0}, received_at=clock.time() - 4))

    notice = program.until(lambda message: message["t"] == "stale" and "i" in message, seconds=15)

    assert notice == {"t": "stale", "s": 0, "i": [INDEX]}


def test_a_tick_makes_a_quote_fresh_again(program: TickClient, publisher: Publisher) -> None:
    program.subscribe(tokens=[INDEX], mode="ltp")
    program.expect("hb")
    assert row_of(program, publisher, token=INDEX, age=20)["stale"]

    assert not row_of(program, publisher, token=INDEX, age=0)["stale"]


def test_a_later_subscriber_gets_the_age_of_now(program: TickClient, publisher: Publisher) -> None:
    program.subscribe(tokens=[INDEX], mode="ltp")
    sent_at = clock.time()
    row_of(program, publisher, token=INDEX, age=0)
    wait_for(lambda: clock.time() > sent_at + 1.5)

    program.send(op="resume", id=1, since=[])
    frame = program.expect("snap")

    age = frame["d"][0][program.welcome["f"]["ltp"].index("age_ms")]
    assert age >= 1_500


def test_a_shut_market_makes_no_quote_stale(publisher: Publisher, transactional_db: None) -> None:
    InstrumentFactory(instrument_token=INDEX)
    with WebProcess(read_standards=always_shut) as web, client(web, api_key()) as program:
        program.subscribe(tokens=[INDEX], mode="ltp")

        row = row_of(program, publisher, token=INDEX, age=20_000)

    assert row["stale"] is False


def test_a_binary_row_carries_the_bit(publisher: Publisher, transactional_db: None) -> None:
    InstrumentFactory(instrument_token=INDEX)
    with WebProcess(read_standards=always_open) as web, client(web, api_key()) as waiting:
        waiting.expect("hb")
        with client(web, api_key(), subprotocol="ticker.v1.bin") as program:
            program.subscribe(tokens=[INDEX], mode="ltp")
            publisher.publish(ticks({INDEX: 1.0}, received_at=clock.time() - 20))
            message = program.receive()
            while not isinstance(message, bytes):
                message = program.receive()

    row = np.frombuffer(message, LTP, 1, HEADER.itemsize)[0]
    assert row["flags"] == STALE_FLAG
