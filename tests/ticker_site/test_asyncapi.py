"""The sockets say what their document says."""

import json
import time
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from channels.testing import WebsocketCommunicator
from django.conf import settings
from redis import Redis
from websockets.sync.client import ClientConnection

from greeks.chains import Engine
from greeks.consumers import ChainConsumer
from greeks.hub import ChainHub
from market_data.bus import AsyncBus
from ops.consumers import AlertConsumer
from orders.consumers import OrderConsumer
from tests.greeks.market import NOW, WEEKLY, OptionMarket
from tests.market_data.factories import InstrumentFactory, ticks
from tests.market_data.live import Publisher, WebProcess, api_key, client
from tests.ops.test_alert_socket import look
from tests.orders.conftest import Desk
from tests.ticker_site.asyncapi import commands, document, faults
from ticker_site.asgi import router

pytestmark = pytest.mark.django_db(transaction=True)


def test_every_socket_of_the_platform_is_described() -> None:
    routes = {f"/{route.pattern}" for route in router.application_mapping["websocket"].routes}

    # The Desk's socket is a part of its page, not of the API.
    assert routes - {"/ws/v1/desk"} == {channel["address"] for channel in document()["channels"].values()}


def test_the_tick_socket_says_what_is_written(web: WebProcess, publisher: Publisher) -> None:
    InstrumentFactory(tradingsymbol="INFY", instrument_token=408065)
    publisher.snapshot(ticks({408065: 100.0}))
    with client(web, api_key()) as program:
        seen = [program.welcome]
        for command in [*commands("ticks"), {"op": "dance"}]:
            program.send(**command)
            seen += _heard_until_quiet(program.socket)
        program.send(op="sub", id=9, symbols=["NSE:INFY"])
        seen.append(program.expect("snap"))
        publisher.publish(ticks({408065: 101.0}, received_at=time.time()))
        seen += [program.expect("d"), program.expect("hb"), *program.frames]

    assert {"welcome", "ok", "err", "snap", "d", "pong", "hb"} <= {message["t"] for message in seen}
    assert [fault for message in seen if (fault := faults("ticks", message))] == []


def _heard_until_quiet(socket: ClientConnection, *, seconds: float = 0.2) -> list[dict[str, Any]]:
    heard = []
    while True:
        try:
            heard.append(json.loads(socket.recv(timeout=seconds)))
        except TimeoutError:
            return heard


async def test_the_order_socket_says_what_is_written(desk: Desk) -> None:
    bus = AsyncBus(url=settings.REDIS_URL)
    key = await sync_to_async(api_key)(scopes=("orders:read",))
    consumer = OrderConsumer.as_asgi(bus=bus, heartbeat_seconds=0.5)
    socket = WebsocketCommunicator(consumer, "/ws/v1/orders", headers=[(b"authorization", f"Bearer {key}".encode())])
    await socket.connect()
    order = await sync_to_async(desk.place)()
    await sync_to_async(desk.submit)(order)
    seen = await _spoken_with(socket, [*commands("orders")[1:], {"op": "dance"}])
    await socket.disconnect()
    await bus.close()

    assert {"welcome", "ok", "err", "snap", "ev", "hb"} <= {message["t"] for message in seen}
    assert [fault for message in seen if (fault := faults("orders", message))] == []


async def test_the_chain_socket_says_what_is_written(
    market: OptionMarket,
    engine: Engine,
    clean_redis: Redis,
) -> None:
    market.publish(market.rows())
    await sync_to_async(engine.recompute)(now=NOW)
    bus = AsyncBus(url=settings.REDIS_URL)
    key = await sync_to_async(api_key)(scopes=("greeks:read",))
    consumer = ChainConsumer.as_asgi(hub=ChainHub(bus=bus), heartbeat_seconds=0.5)
    socket = WebsocketCommunicator(consumer, "/ws/v1/chains", headers=[(b"authorization", f"Bearer {key}".encode())])
    await socket.connect()
    wishes = [*commands("chains"), {"op": "sub", "id": 7, "chain": f"NIFTY:{WEEKLY}"}, {"op": "dance"}]
    seen = await _spoken_with(socket, wishes)
    await socket.disconnect()
    await bus.close()

    assert {"welcome", "ok", "err", "snap", "hb"} <= {message["t"] for message in seen}
    assert [fault for message in seen if (fault := faults("chains", message))] == []


async def test_the_alert_socket_says_what_is_written(clean_redis: Redis) -> None:
    bus = AsyncBus(url=settings.REDIS_URL)
    key = await sync_to_async(api_key)(scopes=("ops:read",))
    await look("feed_down")
    consumer = AlertConsumer.as_asgi(bus=bus, heartbeat_seconds=0.5)
    socket = WebsocketCommunicator(consumer, "/ws/v1/alerts", headers=[(b"authorization", f"Bearer {key}".encode())])
    await socket.connect()
    await look("feed_down", "recorder_behind")
    seen = await _spoken_with(socket, [*commands("alerts"), {"op": "dance"}])
    await socket.disconnect()
    await bus.close()

    assert {"welcome", "ok", "err", "snap", "ev", "hb"} <= {message["t"] for message in seen}
    assert [fault for message in seen if (fault := faults("alerts", message))] == []


async def _spoken_with(socket: WebsocketCommunicator, wishes: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Send every wish, hear every answer and go on until a heartbeat came after the last."""
    for wish in wishes:
        await socket.send_json_to(wish)
    seen: list[dict[str, Any]] = []
    while not any(message["t"] == "err" for message in seen) or seen[-1]["t"] != "hb":
        seen.append(await socket.receive_json_from(timeout=20))
    return seen
