"""The optional WebSocket protocol: the same bytes as uvicorn's own, by a shorter way."""

import asyncio
import socket
import threading
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Any

import pytest
import uvicorn
from websockets.exceptions import ConnectionClosed
from websockets.frames import Frame, Opcode
from websockets.sync.client import ClientConnection, connect

from ticker_site.fast_websocket import BINARY, TEXT, FastWebSocket, framed

Send = Callable[[Mapping[str, Any]], Awaitable[None]]
HUGE = bytes(range(256)) * 40_000
FLOOD_BYTES = 65_536


class Parrot:
    """An application that repeats, floods until it is made to wait, or closes."""

    def __init__(self) -> None:
        self.flooded = 0
        self.waited = threading.Event()

    async def __call__(
        self, scope: Mapping[str, Any], receive: Callable[[], Awaitable[Mapping[str, Any]]], send: Send
    ) -> None:
        assert scope["type"] == "websocket"
        await receive()
        await send({"type": "websocket.accept"})
        while (message := await receive())["type"] == "websocket.receive":
            await self.answer(message, send)

    async def answer(self, message: Mapping[str, Any], send: Send) -> None:
        if message.get("text") == "close":
            await send({"type": "websocket.close", "code": 3008})
        elif message.get("text") == "huge":
            await send({"type": "websocket.send", "bytes": HUGE})
        elif message.get("text") == "flood":
            await self.flood(send)
        else:
            await send({**message, "type": "websocket.send"})

    async def flood(self, send: Send) -> None:
        try:
            async with asyncio.timeout(1):
                while True:
                    await send({"type": "websocket.send", "bytes": bytes(FLOOD_BYTES)})
                    self.flooded += 1
        except TimeoutError:
            self.waited.set()


@pytest.fixture(params=["uvloop", "asyncio"])
def served(request: pytest.FixtureRequest) -> Iterator[tuple[Parrot, str]]:
    parrot = Parrot()
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(
        parrot, ws=FastWebSocket, loop=request.param, lifespan="off", ws_per_message_deflate=False, log_level="warning"
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
    thread.start()
    yield parrot, f"ws://127.0.0.1:{listener.getsockname()[1]}"
    server.should_exit = True
    thread.join(10)


@pytest.fixture
def client(served: tuple[Parrot, str]) -> Iterator[ClientConnection]:
    with connect(served[1], compression=None, max_size=None) as opened:
        yield opened


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65_535, 65_536])
@pytest.mark.parametrize(("first", "opcode"), [(TEXT, Opcode.TEXT), (BINARY, Opcode.BINARY)])
def test_a_frame_is_what_the_library_would_send(size: int, first: bytes, opcode: Opcode) -> None:
    payload = b"x" * size

    assert framed(first, payload) == Frame(opcode, payload).serialize(mask=False)


def test_texts_and_bytes_come_back_in_order(client: ClientConnection) -> None:
    sent: list[str | bytes] = ["₹ 1,200", b"\x00\xff", "", "again", "again", b""]

    for message in sent:
        client.send(message)

    assert [client.recv(timeout=5) for _ in sent] == sent


def test_what_the_socket_does_not_take_at_once_still_arrives_whole(client: ClientConnection) -> None:
    client.send("huge")
    client.send("after")

    assert client.recv(timeout=10) == HUGE
    assert client.recv(timeout=10) == "after"


def test_the_application_waits_for_a_client_that_does_not_read(served: tuple[Parrot, str]) -> None:
    parrot, url = served
    host, port = url.removeprefix("ws://").split(":")
    link = socket.socket()
    link.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    link.connect((host, int(port)))
    with connect(url, sock=link, compression=None, max_queue=1, close_timeout=0.1) as client:
        client.send("flood")

        assert parrot.waited.wait(5)
        assert parrot.flooded * FLOOD_BYTES < 16 * 1024 * 1024


def test_the_close_code_reaches_the_client(client: ClientConnection) -> None:
    client.send("close")

    with pytest.raises(ConnectionClosed) as ended:
        client.recv(timeout=5)

    assert ended.value.rcvd is not None
    assert ended.value.rcvd.code == 3008


def test_a_compressed_connection_stays_with_the_library() -> None:
    parrot = Parrot()
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(parrot, ws=FastWebSocket, lifespan="off", ws_per_message_deflate=True, log_level="warning")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
    thread.start()

    with connect(f"ws://127.0.0.1:{listener.getsockname()[1]}") as client:
        client.send("x" * 1000)
        answer, extensions = client.recv(timeout=5), client.protocol.extensions
    server.should_exit = True
    thread.join(10)

    assert answer == "x" * 1000
    assert extensions
