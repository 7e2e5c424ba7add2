"""The tick stream of the client against a web process."""

import asyncio
from collections.abc import Callable

import pytest

from accounts.models import ApiKey
from market_data.commands import Limits
from market_data.models import Instrument
from tests.market_data.factories import InstrumentFactory, ticks
from tests.market_data.live import Publisher, WebProcess, api_key
from ticker_client import ApiError, StreamClosed, Tick, TickStream

pytestmark = pytest.mark.django_db(transaction=True)

INFY = 408_065
SECONDS = 20.0


@pytest.fixture
def key() -> str:
    return api_key()


@pytest.fixture
def infy() -> Instrument:
    return InstrumentFactory(tradingsymbol="INFY", instrument_token=INFY)


@pytest.fixture
def tcs() -> int:
    token: int = InstrumentFactory(tradingsymbol="TCS").instrument_token
    return token


def root(web: WebProcess) -> str:
    return f"http://127.0.0.1:{web.port}"


async def heard(stream: TickStream, act: Callable[[], object], *, last: float) -> list[Tick]:
    """Let `act` happen for as long as the stream runs, and return the ticks up to the one with this price."""
    found: list[Tick] = []
    async with asyncio.timeout(SECONDS):
        acting = asyncio.create_task(_repeat(act))
        try:
            async for tick in stream:
                found.append(tick)
                if tick.last_price == last:
                    return found
        finally:
            acting.cancel()
    raise AssertionError("the stream ended")


async def _repeat(act: Callable[[], object]) -> None:
    while True:
        await asyncio.to_thread(act)
        await asyncio.sleep(0.05)


@pytest.mark.parametrize("binary", [True, False])
async def test_a_subscriber_gets_ticks(
    web: WebProcess, publisher: Publisher, key: str, infy: Instrument, *, binary: bool
) -> None:
    async with TickStream(root(web), key, binary=binary) as stream:
        await stream.subscribe("INFY", "NSE:NOPE", mode="quote")

        found = await heard(stream, lambda: publisher.publish(ticks({INFY: 1500.5})), last=1500.5)

    assert found[-1].instrument_token == INFY
    assert stream.symbols == {INFY: "NSE:INFY"}
    assert [row["instrument"] for row in stream.rejected] == ["NSE:NOPE"]


async def test_a_broken_connection_is_opened_again_and_wishes_survive(
    web: WebProcess, publisher: Publisher, key: str, infy: Instrument
) -> None:
    async with TickStream(root(web), key) as stream:
        await stream.subscribe("NSE:INFY")
        await heard(stream, lambda: publisher.publish(ticks({INFY: 1.0})), last=1.0)

        for client in list(web.hub._clients):
            assert client.task is not None
            client.close_code = 3008
            web.loop.call(client.task.cancel)
        await heard(stream, lambda: publisher.publish(ticks({INFY: 2.0})), last=2.0)

    assert stream.connections == 2


async def test_what_a_stream_saw_before_a_break_is_not_sent_again(
    web: WebProcess, publisher: Publisher, key: str, infy: Instrument, tcs: int
) -> None:
    async with TickStream(root(web), key) as stream:
        await stream.subscribe("NSE:INFY", "NSE:TCS")
        await heard(stream, lambda: publisher.publish(ticks({INFY: 1.0, tcs: 5.0})), last=5.0)
        await heard(stream, lambda: publisher.publish(ticks({INFY: 3.0})), last=3.0)

        web.loop.call(lambda: [client.task.cancel() for client in web.hub._clients if client.task])
        found = await heard(stream, lambda: publisher.publish(ticks({INFY: 4.0})), last=4.0)

    assert {tick.instrument_token for tick in found} == {INFY}


async def test_a_gap_in_what_came_is_asked_for_again(
    web: WebProcess, publisher: Publisher, key: str, infy: Instrument
) -> None:
    async with TickStream(root(web), key) as stream:
        await stream.subscribe("NSE:INFY")
        await heard(stream, lambda: publisher.publish(ticks({INFY: 1.0})), last=1.0)
        stream._positions = {place: (epoch, sequence - 1) for place, (epoch, sequence) in stream._positions.items()}

        await heard(stream, lambda: publisher.publish(ticks({INFY: 2.0})), last=2.0)

        assert max(sequence for _, sequence in stream._positions.values()) <= publisher.sequence


async def test_a_name_that_means_nothing_is_a_fault(web: WebProcess, key: str) -> None:
    async with TickStream(root(web), key) as stream:
        await stream.subscribe("NSE:NOPE")

        with pytest.raises(ApiError, match="no listed instrument NSE:NOPE"):
            await _first(stream)


async def test_a_key_nobody_knows_is_refused_with_its_problem(web: WebProcess) -> None:
    async with TickStream(root(web), "tkr_live_AAAAAAAA_" + "x" * 43) as stream:
        with pytest.raises(ApiError) as refused:
            await _first(stream)

    assert refused.value.code == "not_authenticated"


async def test_a_revoked_key_ends_the_stream_for_good(publisher: Publisher, key: str, infy: Instrument) -> None:
    with WebProcess(limits=Limits(check_seconds=0.2)) as web:
        async with TickStream(root(web), key) as stream:
            await stream.subscribe("NSE:INFY")
            await heard(stream, lambda: publisher.publish(ticks({INFY: 1.0})), last=1.0)
            await asyncio.to_thread(ApiKey.objects.all().delete)

            with pytest.raises(StreamClosed):
                await heard(stream, publisher.heartbeat, last=9.0)


async def _first(stream: TickStream) -> Tick:
    async with asyncio.timeout(SECONDS):
        async for tick in stream:
            return tick
    raise AssertionError("the stream ended")
