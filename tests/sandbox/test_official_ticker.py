"""The unmodified official ticker against the exchange, and the socket's own rules."""

import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import requests
from kiteconnect import KiteConnect, KiteTicker
from twisted.internet import reactor
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection
from websockets.sync.client import connect as open_socket

from tests.sandbox.conftest import connect
from tests.sandbox.orders import below, new_tag, place
from tests.sandbox_server import SandboxServer, wait_for

INFY, NIFTY = 408065, 256265


class Heard:
    """An official ticker and everything it was told."""

    def __init__(self, server: SandboxServer, kite: KiteConnect, tokens: list[int]) -> None:
        self.ticks: list[dict[str, Any]] = []
        self.updates: list[dict[str, Any]] = []
        self.errors: list[tuple[Any, Any]] = []
        self.closes: list[tuple[Any, Any]] = []
        self.opened = 0
        self._tokens = tokens
        self.ticker = KiteTicker(kite.api_key, kite.access_token, root=server.ws_root)
        self.ticker.on_connect = self._connected
        self.ticker.on_ticks = lambda _ws, ticks: self.ticks.extend(ticks)
        self.ticker.on_order_update = lambda _ws, data: self.updates.append(data)
        self.ticker.on_error = lambda _ws, code, reason: self.errors.append((code, reason))
        self.ticker.on_close = lambda _ws, code, reason: self.closes.append((code, reason))
        self._start()

    def _start(self) -> None:
        """Connect; when an earlier ticker already runs the reactor, do it on the reactor's thread."""
        if reactor.running:
            reactor.callFromThread(self.ticker.connect, threaded=True)
        else:
            self.ticker.connect(threaded=True)

    def _connected(self, ticker: KiteTicker, _response: object) -> None:
        self.opened += 1
        ticker.subscribe(self._tokens)

    def in_reactor(self, action: Any, *arguments: Any) -> None:
        """Run on the ticker's own thread, as its documentation asks."""
        reactor.callFromThread(action, *arguments)

    def close(self) -> None:
        done = threading.Event()

        def stop() -> None:
            self.ticker.stop_retry()
            self.ticker.close()
            done.set()

        if self.ticker.ws is not None:
            self.in_reactor(stop)
            done.wait(3)


@pytest.fixture
def heard(exchange: SandboxServer, kite: KiteConnect) -> Iterator[Heard]:
    listener = Heard(exchange, kite, [INFY, NIFTY])
    wait_for(lambda: listener.opened)
    yield listener
    listener.close()


def test_the_default_mode_is_quote(heard: Heard) -> None:
    wait_for(lambda: len({tick["instrument_token"] for tick in heard.ticks}) == 2)

    assert {tick["mode"] for tick in heard.ticks} == {"quote"}
    assert {tick["tradable"] for tick in heard.ticks if tick["instrument_token"] == NIFTY} == {False}


@pytest.mark.parametrize("mode", ["ltp", "full"])
def test_a_mode_can_be_set(heard: Heard, mode: str) -> None:
    heard.in_reactor(heard.ticker.set_mode, mode, [INFY, NIFTY])

    wait_for(lambda: {tick["instrument_token"] for tick in heard.ticks if tick["mode"] == mode} == {INFY, NIFTY})


def test_full_ticks_carry_five_levels(heard: Heard) -> None:
    heard.in_reactor(heard.ticker.set_mode, "full", [INFY])

    tick = wait_for(lambda: next((one for one in heard.ticks if "depth" in one), None))
    assert [len(tick["depth"][side]) for side in ("buy", "sell")] == [5, 5]
    assert tick["depth"]["buy"][0]["price"] < tick["depth"]["sell"][0]["price"]


def test_unsubscribing_stops_the_ticks(heard: Heard) -> None:
    wait_for(lambda: heard.ticks)
    heard.in_reactor(heard.ticker.unsubscribe, [INFY])
    wait_for(lambda: _quiet(heard, INFY))

    heard.ticks.clear()
    wait_for(lambda: len(heard.ticks) > 3)
    assert {tick["instrument_token"] for tick in heard.ticks} == {NIFTY}


def _quiet(heard: Heard, token: int) -> bool:
    """Tell whether only the other instrument has ticked of late."""
    return len(heard.ticks) > 4 and token not in {tick["instrument_token"] for tick in heard.ticks[-4:]}


def test_orders_are_told_with_a_blank_checksum(heard: Heard, kite: KiteConnect) -> None:
    tag = new_tag()
    order_id = place(kite, order_type="MARKET", market_protection=-1, tag=tag)

    told = wait_for(lambda: [row for row in heard.updates if row["status"] == "COMPLETE" and row["tag"] == tag])
    assert told[0]["order_id"] == order_id
    assert told[0]["checksum"] == ""
    assert told[0]["user_id"] == told[0]["placed_by"]
    assert "modified" not in told[0]


def test_a_dropped_socket_comes_back_with_its_subscriptions(heard: Heard, exchange: SandboxServer) -> None:
    wait_for(lambda: heard.ticks)
    exchange.fault("socket_drop", user=exchange.users[0].user_id)
    wait_for(lambda: heard.closes)

    wait_for(lambda: heard.opened == 2, seconds=30)
    heard.ticks.clear()
    wait_for(lambda: heard.ticks)


def test_too_many_tokens_are_answered_with_an_error(heard: Heard, exchange: SandboxServer) -> None:
    exchange.settings(tokens_per_socket=50)
    heard.in_reactor(heard.ticker.subscribe, _tokens(exchange)[:80])

    wait_for(lambda: heard.errors)
    assert heard.errors[0] == (0, "Too many tokens requested. Max permitted is 50.")
    assert heard.ticker.is_connected()
    assert exchange.state()["users"][0]["sockets"][0]["subscribed"] == 50


def _tokens(server: SandboxServer) -> list[int]:
    text = requests.get(f"{server.rest_root}/instruments", timeout=10).text
    return [int(line.split(",")[0]) for line in text.splitlines()[1:]]


@pytest.fixture
def socket(exchange: SandboxServer, kite: KiteConnect) -> Iterator[ClientConnection]:
    with open_socket(exchange.ws_url(0, kite.access_token), compression=None) as link:
        yield link


def test_a_bad_token_is_refused_before_the_upgrade(exchange: SandboxServer) -> None:
    with pytest.raises(InvalidStatus) as refused, open_socket(exchange.ws_url(0, "wrong")):
        pass

    assert refused.value.response.status_code == 403
    assert json.loads(refused.value.response.body or b"{}")["error_type"] == "TokenException"


def test_any_path_is_a_socket(exchange: SandboxServer, kite: KiteConnect) -> None:
    url = exchange.ws_url(0, kite.access_token).replace("/?", "/some/path?")

    with open_socket(url) as link:
        assert link.recv(timeout=20) == b"\x00"


def test_an_idle_socket_hears_one_byte_heartbeats(socket: ClientConnection) -> None:
    assert [socket.recv(timeout=20) for _ in range(2)] == [b"\x00", b"\x00"]


def test_the_fourth_socket_is_refused(exchange: SandboxServer, kite: KiteConnect) -> None:
    url = exchange.ws_url(0, kite.access_token)
    wait_for(lambda: not exchange.state()["users"][0]["sockets"])

    with open_socket(url), open_socket(url), open_socket(url), pytest.raises(InvalidStatus), open_socket(url):
        pass


def test_nonsense_is_answered_with_an_error(socket: ClientConnection) -> None:
    socket.send("nonsense")

    assert json.loads(_text(socket)) == {"type": "error", "data": "Invalid message"}


def _text(socket: ClientConnection) -> str:
    while True:
        message = socket.recv(timeout=20)
        if isinstance(message, str):
            return message


def test_a_message_text_reaches_every_socket(socket: ClientConnection, exchange: SandboxServer) -> None:
    exchange.control("POST", "/say", {"data": "Markets close early today"})

    assert json.loads(_text(socket)) == {"type": "message", "data": "Markets close early today"}


def test_a_killed_token_closes_its_socket(socket: ClientConnection, exchange: SandboxServer) -> None:
    exchange.fault("token_killed", user=exchange.users[0].user_id)

    with pytest.raises(ConnectionClosed):
        _text(socket)


def test_a_half_open_socket_sends_nothing_and_answers_no_ping(
    socket: ClientConnection, exchange: SandboxServer
) -> None:
    exchange.fault("socket_half_open", user=exchange.users[0].user_id)
    _drain(socket)

    pong = socket.ping()

    assert not pong.wait(2.0)
    with pytest.raises(TimeoutError):
        socket.recv(timeout=0.1)
    exchange.clear_faults()


def _drain(socket: ClientConnection) -> None:
    """Read what was sent before a fault began."""
    while True:
        try:
            socket.recv(timeout=0.4)
        except TimeoutError:
            return


def test_a_silent_socket_answers_pings_but_sends_no_data(socket: ClientConnection, exchange: SandboxServer) -> None:
    socket.send(json.dumps({"a": "subscribe", "v": [INFY]}))
    exchange.fault("socket_silent", user=exchange.users[0].user_id)
    _drain(socket)

    assert socket.ping().wait(20)
    with pytest.raises(TimeoutError):
        socket.recv(timeout=2.0)
    exchange.clear_faults()
    assert socket.recv(timeout=20)


def test_a_silent_socket_may_keep_its_heartbeats(socket: ClientConnection, exchange: SandboxServer) -> None:
    socket.send(json.dumps({"a": "subscribe", "v": [INFY]}))
    exchange.fault("socket_silent", user=exchange.users[0].user_id, heartbeat=True)
    _drain(socket)

    assert socket.recv(timeout=20) == b"\x00"


@pytest.mark.parametrize(
    ("kind", "length"), [("frame_empty", 2), ("frame_unknown", 15)], ids=["no packets", "unknown packet"]
)
def test_odd_frames_are_sent_before_the_real_one(
    socket: ClientConnection, exchange: SandboxServer, kind: str, length: int
) -> None:
    exchange.fault(kind, user=exchange.users[0].user_id, count=1)
    socket.send(json.dumps({"a": "subscribe", "v": [INFY]}))

    sizes = [len(socket.recv(timeout=20)) for _ in range(2)]
    assert length in sizes


def test_updates_can_be_doubled_and_lost(socket: ClientConnection, exchange: SandboxServer, kite: KiteConnect) -> None:
    exchange.fault("update_duplicated", count=1)
    first = place(kite, price=below(exchange, "NSE:INFY", 0.91), tag=new_tag())
    doubled = [json.loads(_text(socket))["data"]["order_id"] for _ in range(2)]
    exchange.fault("update_lost", count=1)
    place(kite, price=below(exchange, "NSE:INFY"), tag=new_tag())
    kite.cancel_order("regular", first)

    assert doubled == [first, first]
    assert json.loads(_text(socket))["data"]["status"] == "CANCELLED"


def test_only_the_owner_hears_of_an_order(exchange: SandboxServer, socket: ClientConnection) -> None:
    other = connect(exchange, 1)
    place(other, price=below(exchange, "NSE:INFY"), tag=new_tag())

    exchange.control("POST", "/say", {"data": "marker"})
    assert json.loads(_text(socket))["data"] == "marker"
