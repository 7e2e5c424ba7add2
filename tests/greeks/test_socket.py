"""The chain socket: a snapshot, then what changed, and errors that name the fault."""

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from channels.testing import WebsocketCommunicator
from django.conf import settings
from django.utils import timezone
from redis import Redis
from structlog.testing import capture_logs

from accounts.authentication import issue_api_key, revoke_api_key
from accounts.models import User
from greeks import consumers
from greeks.chains import Engine
from greeks.consumers import ChainConsumer
from greeks.hub import ChainHub
from greeks.store import INDEX, parse_key
from market_data.bus import AsyncBus
from market_data.sockets import CLOSE_REVOKED
from tests.factories import UserFactory
from tests.greeks.market import MONTHLY, NOW, SPOT, WEEKLY, OptionMarket, later

pytestmark = pytest.mark.django_db(transaction=True)

CHAIN = f"NIFTY:{WEEKLY}"


def api_key(*scopes: str) -> str:
    now = timezone.now()
    user = UserFactory(role=User.Role.ADMINISTRATOR, every_account=True)
    _, text = issue_api_key(
        user=user, name="a test", scopes=scopes, accounts=None, expires_at=now + timedelta(days=1), now=now
    )
    return text


@pytest.fixture
async def hub() -> AsyncIterator[ChainHub]:
    bus = AsyncBus(url=settings.REDIS_URL)
    yield ChainHub(bus=bus)
    await bus.close()


def socket_of(hub: ChainHub, key: str, **options: float) -> WebsocketCommunicator:
    headers = [(b"authorization", f"Bearer {key}".encode())]
    return WebsocketCommunicator(ChainConsumer.as_asgi(hub=hub, **options), "/ws/v1/chains", headers=headers)


@pytest.fixture
async def socket(market: OptionMarket, engine: Engine, hub: ChainHub) -> AsyncIterator[WebsocketCommunicator]:
    market.publish(market.rows())
    await sync_to_async(engine.recompute)(now=NOW)
    socket = socket_of(hub, await sync_to_async(api_key)("greeks:read"))
    accepted, _ = await socket.connect(timeout=5)
    assert accepted
    assert (await heard(socket))["t"] == "welcome"
    yield socket
    await socket.disconnect()


async def heard(socket: WebsocketCommunicator) -> Any:
    return await socket.receive_json_from(timeout=20)


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not holds():  # noqa: ASYNC110 (a log line is no event)
            await asyncio.sleep(0.01)


async def subscribed(socket: WebsocketCommunicator, chain: str = CHAIN) -> Any:
    """Return the snapshot; it may overtake the ok."""
    await socket.send_json_to({"op": "sub", "id": 1, "chain": chain})
    answers = {answer["t"]: answer for answer in [await heard(socket), await heard(socket)]}
    assert answers["ok"] == {"t": "ok", "id": 1, "chains": [chain]}
    return answers["snap"]


async def test_a_subscriber_first_gets_the_whole_chain(socket: WebsocketCommunicator) -> None:
    snap = await subscribed(socket)

    assert snap["chain"] == CHAIN
    assert len(snap["columns"]["iv"]) == 82
    assert snap["columns"]["tradingsymbol"][0] == "NIFTY37112623000CE"
    assert snap["head"]["forward"]["source"] == "parity"
    assert snap["to_seq"] == snap["head"]["sequence"]
    assert snap["analytics"]["priced"] == 82


async def test_then_it_gets_only_the_rows_that_changed(
    socket: WebsocketCommunicator, market: OptionMarket, engine: Engine
) -> None:
    snap = await subscribed(socket)
    rows = market.rows()
    moved = rows["instrument_token"] == market.token(24_500, "CE")
    rows["bid_price"][moved, 0] += 1.0
    rows["ask_price"][moved, 0] += 1.0
    rows["received_at"][0] += 1.0
    market.publish(rows)

    await sync_to_async(engine.recompute)(now=later(0.5))
    update = await heard(socket)

    place = snap["columns"]["instrument_token"].index(market.token(24_500, "CE"))
    assert update["t"] == "d"
    assert (update["from_seq"], update["to_seq"]) == (snap["to_seq"], update["head"]["sequence"])
    assert place in update["rows"]
    assert update["columns"]["price"][update["rows"].index(place)] == pytest.approx(
        snap["columns"]["price"][place] + 1.0, abs=1e-3
    )


async def test_snapshot_and_updates_together_equal_a_fresh_snapshot(
    socket: WebsocketCommunicator, market: OptionMarket, engine: Engine, hub: ChainHub
) -> None:
    state = (await subscribed(socket))["columns"]
    for beat in range(1, 4):
        market.publish(market.rows(now=later(beat), spot=SPOT + 10.0 * beat))
        await sync_to_async(engine.recompute)(now=later(beat))
        update = await heard(socket)
        for name, values in update["columns"].items():
            for row, value in zip(update["rows"], values, strict=True):
                state[name][row] = value

    other = socket_of(hub, await sync_to_async(api_key)("greeks:read"))
    await other.connect(timeout=5)
    await heard(other)

    assert (await subscribed(other))["columns"] == state
    await other.disconnect()


async def test_updates_join_without_a_gap(socket: WebsocketCommunicator, market: OptionMarket, engine: Engine) -> None:
    cursor = (await subscribed(socket))["to_seq"]
    for beat in range(1, 4):
        market.publish(market.rows(now=later(beat), spot=SPOT + 10.0 * beat))
        await sync_to_async(engine.recompute)(now=later(beat))

    last = int(later(3).timestamp() * 1000)
    while cursor < last:
        update = await heard(socket)
        assert update["from_seq"] == cursor
        cursor = update["to_seq"]

    assert cursor == last


async def test_two_chains_share_a_socket(socket: WebsocketCommunicator) -> None:
    await subscribed(socket)
    await socket.send_json_to({"op": "sub", "id": 2, "chain": f"NIFTY:{MONTHLY}"})

    answers = {answer["t"]: answer for answer in [await heard(socket), await heard(socket)]}

    assert answers["ok"]["chains"] == [CHAIN, f"NIFTY:{MONTHLY}"]
    assert answers["snap"]["chain"] == f"NIFTY:{MONTHLY}"


async def test_after_unsubscribing_nothing_comes(
    socket: WebsocketCommunicator, market: OptionMarket, engine: Engine
) -> None:
    await subscribed(socket)
    await socket.send_json_to({"op": "unsub", "id": 3, "chain": CHAIN})
    assert await heard(socket) == {"t": "ok", "id": 3, "chains": []}
    market.publish(market.rows(now=later(1)))

    await sync_to_async(engine.recompute)(now=later(1))
    await socket.send_json_to({"op": "ping", "id": 4})

    assert (await heard(socket))["id"] == 4


async def test_a_blob_that_cannot_be_read_once_does_not_end_the_watching(
    socket: WebsocketCommunicator, market: OptionMarket, engine: Engine, clean_redis: Redis
) -> None:
    await subscribed(socket)
    key = parse_key(CHAIN).blob
    clean_redis.delete(key)
    clean_redis.rpush(key, "no blob")

    with capture_logs() as said:
        clean_redis.publish(key, 1)
        await until(lambda: any(line["event"] == "greeks.hub.unread" for line in said))
    clean_redis.delete(key)
    market.publish(market.rows(now=later(1)))
    await sync_to_async(engine.recompute)(now=later(1))

    assert (await heard(socket))["t"] == "d"


async def test_a_lost_bus_is_an_answer(socket: WebsocketCommunicator, clean_redis: Redis) -> None:
    clean_redis.delete(INDEX)
    clean_redis.rpush(INDEX, "no index")

    await socket.send_json_to({"op": "list", "id": 1})

    answer = await heard(socket)
    assert (answer["t"], answer["code"]) == ("err", "bus_unreachable")


async def test_live_chains_can_be_listed(socket: WebsocketCommunicator) -> None:
    await socket.send_json_to({"op": "list", "id": 5})

    assert (await heard(socket))["chains"] == [CHAIN, f"NIFTY:{MONTHLY}"]


@pytest.mark.parametrize(
    ("message", "code", "field"),
    [
        ({"op": "sub", "id": 9, "chain": "NIFTY:2030-01-01"}, "unknown_chain", "chain"),
        ({"op": "sub", "id": 9, "chain": "NIFTY"}, "invalid_chain", "chain"),
        ({"op": "sub", "id": 9, "chain": 5}, "invalid_message", "chain"),
        ({"op": "sub", "id": 9}, "invalid_message", "chain"),
        ({"op": "sub", "id": 9, "chains": []}, "invalid_message", "chain"),
        ({"op": "dance", "id": 9}, "invalid_message", "op"),
    ],
)
async def test_an_error_names_the_fault(
    socket: WebsocketCommunicator, message: dict[str, Any], code: str, field: str
) -> None:
    await socket.send_json_to(message)

    answer = await heard(socket)

    assert (answer["t"], answer["id"], answer["code"], answer["field"]) == ("err", 9, code, field)
    assert answer["detail"]


@pytest.mark.parametrize("text", ["not json", "[1]", '"sub"', "x" * (64 * 1024 + 1)])
async def test_what_is_no_message_is_refused_and_the_socket_lives_on(socket: WebsocketCommunicator, text: str) -> None:
    await socket.send_to(text_data=text)
    refused = await heard(socket)
    await socket.send_json_to({"op": "ping", "id": 6})

    assert (refused["t"], refused["code"]) == ("err", "invalid_message")
    assert (await heard(socket))["id"] == 6


async def test_before_the_first_computation_a_subscriber_is_told_to_wait(market: OptionMarket, hub: ChainHub) -> None:
    socket = socket_of(hub, await sync_to_async(api_key)("greeks:read"))
    await socket.connect(timeout=5)
    await heard(socket)

    await socket.send_json_to({"op": "sub", "id": 1, "chain": CHAIN})

    assert (await heard(socket))["code"] == "chain_not_ready"
    await socket.disconnect()


async def test_without_the_scope_the_socket_is_refused(hub: ChainHub) -> None:
    key = await sync_to_async(api_key)("market:read")

    accepted, _ = await socket_of(hub, key).connect(timeout=5)

    assert not accepted


async def test_without_a_key_the_socket_is_refused(hub: ChainHub) -> None:
    accepted, _ = await socket_of(hub, "tkr_live_nobody").connect(timeout=5)

    assert not accepted


async def test_a_chain_is_read_only_while_somebody_watches(socket: WebsocketCommunicator, hub: ChainHub) -> None:
    await subscribed(socket)
    assert len(hub._boards) == len(hub._readers) == 1

    await socket.send_json_to({"op": "unsub", "id": 1, "chain": CHAIN})
    await heard(socket)

    assert hub._boards == hub._readers == {}


async def test_a_socket_watches_a_bounded_number_of_chains(socket: WebsocketCommunicator) -> None:
    names = [f"NIFTY:{WEEKLY + timedelta(days=day)}" for day in range(consumers.MOST_CHAINS + 1)]

    await socket.send_json_to({"op": "sub", "id": 1, "chains": names})
    answers = [await heard(socket)]
    while answers[-1]["t"] == "snap":
        answers.append(await heard(socket))

    assert answers[-1]["t"] == "err"


async def test_silence_is_filled_with_the_age_of_each_chain(
    market: OptionMarket, engine: Engine, hub: ChainHub
) -> None:
    market.publish(market.rows())
    await sync_to_async(engine.recompute)(now=NOW)
    socket = socket_of(hub, await sync_to_async(api_key)("greeks:read"), heartbeat_seconds=0.2)
    await socket.connect(timeout=5)
    await socket.send_json_to({"op": "sub", "id": 1, "chain": CHAIN})

    while (beat := await heard(socket))["t"] != "hb" or not beat["chains"]:
        continue

    assert beat["chains"][CHAIN]["seq"] == int(NOW.timestamp() * 1000)
    assert beat["chains"][CHAIN]["age_seconds"] == 0.0
    await socket.disconnect()


async def test_a_revoked_key_ends_the_socket(hub: ChainHub) -> None:
    key = await sync_to_async(api_key)("greeks:read")
    socket = socket_of(hub, key, heartbeat_seconds=0.2)
    await socket.connect(timeout=5)

    await sync_to_async(revoke_api_key)(prefix=key.split("_")[2], actor="a test", reason="a test", now=timezone.now())
    while (message := await socket.receive_output(timeout=5))["type"] != "websocket.close":
        continue

    assert message["code"] == CLOSE_REVOKED
