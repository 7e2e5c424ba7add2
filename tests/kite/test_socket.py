"""One streaming connection, against servers that misbehave."""

import asyncio
import json
import logging
import socket
import time
from contextlib import suppress
from dataclasses import replace
from http import HTTPStatus
from pathlib import Path
from urllib.parse import parse_qs, quote_plus, urlsplit

import pytest
from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from kite.limits import TOKENS_PER_SOCKET
from kite.socket import Connection, Options, Phase
from kite.types import Mode
from tests.kite.certificates import server_context, write_certificate
from tests.kite.listening import QUICK, SECRET, listening, stranger, until
from tests.kite.stream_server import StreamServer, polite, streaming

PATIENT = replace(QUICK, ping_interval=10, suspect_after=10, silent_after=20)


async def mute(connection: ServerConnection) -> None:
    """Answer pings and say nothing."""


async def deaf(connection: ServerConnection) -> None:
    """Stop reading, so that no ping is answered, and keep the link open."""
    connection.transport.pause_reading()


async def test_the_login_travels_in_the_query() -> None:
    async with streaming(StreamServer()) as server, listening(server.root) as listener:
        await until(lambda: Phase.OPEN in listener.phases)

    parts = urlsplit(server.paths[0])
    assert parts.path == "/"
    assert parse_qs(parts.query) == {"api_key": ["key"], "access_token": [SECRET]}


async def test_no_compression_is_offered_and_the_version_is_told() -> None:
    async with streaming(StreamServer()) as server, listening(server.root) as listener:
        await until(lambda: Phase.OPEN in listener.phases)

    assert "sec-websocket-extensions" not in server.headers[0]
    assert server.headers[0]["x-kite-version"] == "3"


async def test_frames_arrive_with_their_time_and_heartbeats_do_not() -> None:
    async def speak(connection: ServerConnection) -> None:
        await connection.send(b"\x00")
        await connection.send(b"\x00\x01\x00\x00")

    async with streaming(StreamServer(speak)) as server, listening(server.root, options=PATIENT) as listener:
        before = time.time()
        await until(lambda: listener.frames)

    [(frame, received_at)] = listener.frames
    assert frame == b"\x00\x01\x00\x00"
    assert before <= received_at <= time.time()


async def test_texts_arrive_as_objects_and_noise_does_no_harm() -> None:
    told = [{"type": "order", "data": {"order_id": "1"}}, {"type": "error", "data": "too many"}, {"type": "message"}]

    async def speak(connection: ServerConnection) -> None:
        for text in ["{", "[1]", *map(json.dumps, told)]:
            await connection.send(text)

    async with streaming(StreamServer(speak)) as server, listening(server.root, options=PATIENT) as listener:
        await until(lambda: len(listener.texts) == 3)

    assert listener.texts == told
    assert listener.lost() == []


async def test_only_differences_are_sent() -> None:
    async with streaming(StreamServer()) as server, listening(server.root) as listener:
        await listener.connection.set_wanted({1: Mode.FULL, 2: Mode.LTP})
        await until(lambda: server.said and len(server.said[0]) == 3)
        await listener.connection.set_wanted({1: Mode.FULL, 3: Mode.LTP})
        await until(lambda: len(server.said[0]) == 6)
        await listener.connection.set_wanted({1: Mode.QUOTE, 3: Mode.LTP})
        await until(lambda: len(server.said[0]) == 7)

    assert server.said[0] == [
        {"a": "subscribe", "v": [1, 2]},
        {"a": "mode", "v": ["ltp", [2]]},
        {"a": "mode", "v": ["full", [1]]},
        {"a": "unsubscribe", "v": [2]},
        {"a": "subscribe", "v": [3]},
        {"a": "mode", "v": ["ltp", [3]]},
        {"a": "mode", "v": ["quote", [1]]},
    ]


async def test_instruments_are_told_in_batches() -> None:
    wanted = dict.fromkeys(range(5), Mode.QUOTE)

    async with streaming(StreamServer()) as server, listening(server.root, options=replace(QUICK, batch=2)) as listener:
        await listener.connection.set_wanted(wanted)
        await until(lambda: server.said and len(server.said[0]) == 6)

    assert [said["v"] for said in server.said[0][:3]] == [[0, 1], [2, 3], [4]]
    assert [said["v"] for said in server.said[0][3:]] == [["quote", [0, 1]], ["quote", [2, 3]], ["quote", [4]]]


async def test_everything_is_told_once_after_a_reconnect() -> None:
    async with streaming(StreamServer()) as server, listening(server.root) as listener:
        await listener.connection.set_wanted({1: Mode.FULL, 2: Mode.FULL})
        await until(lambda: server.said and len(server.said[0]) == 2)
        await listener.connection.set_wanted({2: Mode.FULL, 3: Mode.FULL})
        await until(lambda: len(server.said[0]) == 5)
        next(iter(server.live)).transport.abort()
        await until(lambda: len(server.said) == 2 and len(server.said[1]) == 2)
        await until(lambda: listener.phases.count(Phase.OPEN) == 2)

    assert server.said[1] == [{"a": "subscribe", "v": [2, 3]}, {"a": "mode", "v": ["full", [2, 3]]}]


async def test_what_is_wanted_while_away_is_told_on_return() -> None:
    server = StreamServer(status=HTTPStatus.SERVICE_UNAVAILABLE)

    async with streaming(server), listening(server.root) as listener:
        await until(listener.lost)
        await listener.connection.set_wanted({7: Mode.LTP})
        server.status = None
        await until(lambda: server.said and len(server.said[0]) == 2)

    assert server.said[0][0] == {"a": "subscribe", "v": [7]}


async def test_more_instruments_than_a_socket_carries_are_refused() -> None:
    connection = Connection(
        stranger("ws://unused"), on_frame=lambda *_: None, on_text=lambda _: None, on_state=lambda _: None
    )

    with pytest.raises(ValueError, match="3001"):
        await connection.set_wanted(dict.fromkeys(range(TOKENS_PER_SOCKET + 1), Mode.LTP))


async def test_a_half_open_link_is_found_by_its_missing_pong() -> None:
    options = replace(QUICK, suspect_after=10, silent_after=20)

    async with streaming(StreamServer(deaf)) as server, listening(server.root, options=options) as listener:
        await until(listener.lost)

    assert listener.lost()[0] == "no pong for 0.5 s"


def test_a_half_open_link_is_found_within_eight_seconds() -> None:
    options = Options()

    assert options.ping_interval + options.pong_timeout < 8


async def test_a_silent_link_is_suspected_first_and_dropped_then() -> None:
    async with streaming(StreamServer(mute)) as server, listening(server.root) as listener:
        await until(listener.lost)

    assert listener.phases[:4] == [Phase.CONNECTING, Phase.OPEN, Phase.SUSPECT, Phase.LOST]
    assert listener.lost()[0] == "no message for 1 s"


async def test_a_suspected_link_that_speaks_again_is_open() -> None:
    async def hesitate(connection: ServerConnection) -> None:
        await asyncio.sleep(0.7)
        await polite(connection)

    options = replace(QUICK, silent_after=5)

    async with streaming(StreamServer(hesitate)) as server, listening(server.root, options=options) as listener:
        await until(lambda: len(listener.states) == 4)

    assert listener.phases == [Phase.CONNECTING, Phase.OPEN, Phase.SUSPECT, Phase.OPEN]


async def test_heartbeats_alone_keep_a_link_open() -> None:
    async with streaming(StreamServer()) as server, listening(server.root) as listener:
        await until(lambda: Phase.OPEN in listener.phases)
        opened = time.monotonic()
        await until(lambda: time.monotonic() - opened > 1.5 * QUICK.silent_after)

    assert listener.phases == [Phase.CONNECTING, Phase.OPEN]


async def test_pings_measure_the_latency() -> None:
    async with streaming(StreamServer()) as server, listening(server.root) as listener:
        await until(lambda: listener.connection.latency is not None)

    assert 0 < (listener.connection.latency or 0) < QUICK.pong_timeout


@pytest.mark.parametrize("status", [HTTPStatus.FORBIDDEN])
async def test_a_handshake_answered_403_is_a_rejected_session(status: HTTPStatus) -> None:
    async with streaming(StreamServer(status=status)) as server, listening(server.root) as listener:
        await until(lambda: Phase.REJECTED in listener.phases)

    rejected = listener.states[1]
    assert (rejected.phase, rejected.cause) == (Phase.REJECTED, "the handshake was answered 403")


async def test_a_rejected_session_is_tried_again_after_a_longer_wait() -> None:
    options = replace(QUICK, backoff_rejected=0.4)

    async with (
        streaming(StreamServer(status=HTTPStatus.FORBIDDEN)) as server,
        listening(server.root, options=options) as listener,
    ):
        await until(lambda: listener.phases.count(Phase.REJECTED) == 2)
        first, second = (index for index, phase in enumerate(listener.phases) if phase is Phase.REJECTED)
        tries = len(server.paths)

    assert second - first == 2
    assert tries == 2


@pytest.mark.parametrize("status", [HTTPStatus.INTERNAL_SERVER_ERROR, HTTPStatus.BAD_GATEWAY, HTTPStatus.NOT_FOUND])
async def test_any_other_answer_to_the_handshake_is_a_lost_link(status: HTTPStatus) -> None:
    async with streaming(StreamServer(status=status)) as server, listening(server.root) as listener:
        await until(listener.lost)

    assert listener.lost()[0] == f"the handshake was answered {status.value}"


async def test_a_redirect_of_the_handshake_is_not_followed() -> None:
    class Moved(StreamServer):
        def answer(self, connection: ServerConnection, request: Request) -> Response | None:
            response = super().answer(connection, request)
            assert response is not None
            response.headers["Location"] = f"ws://127.0.0.1:{elsewhere.port}/"
            return response

    elsewhere = StreamServer()
    moved = Moved(status=HTTPStatus.TEMPORARY_REDIRECT)

    async with streaming(elsewhere), streaming(moved), listening(moved.root) as listener:
        await until(listener.lost)

    assert elsewhere.paths == []


async def test_it_never_stops_trying() -> None:
    async with streaming(StreamServer(status=HTTPStatus.SERVICE_UNAVAILABLE)) as server:
        options = replace(QUICK, backoff_last=0.01)
        async with listening(server.root, options=options) as listener:
            await until(lambda: listener.states and listener.states[-1].attempt > 60, patience=20)
            server.status = None
            await until(lambda: Phase.OPEN in listener.phases)


async def test_a_refused_connection_is_tried_again_until_the_broker_is_back() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = int(unused.getsockname()[1])

    async with listening(f"ws://127.0.0.1:{port}") as listener:
        await until(lambda: len(listener.lost()) >= 2)
        async with streaming(StreamServer(port=port)):
            await until(lambda: Phase.OPEN in listener.phases)

    assert "ConnectionRefusedError" in listener.lost()[0]


@pytest.mark.parametrize("code", [1000, 1001, 1011])
async def test_a_link_closed_by_the_broker_is_opened_again(code: int) -> None:
    async def close_once(connection: ServerConnection) -> None:
        if len(server.paths) == 1:
            await connection.close(code)
        else:
            await polite(connection)

    server = StreamServer(close_once)

    async with streaming(server), listening(server.root) as listener:
        await until(lambda: listener.phases.count(Phase.OPEN) == 2)

    assert len(listener.lost()) == 1


async def test_a_server_that_accepts_and_hangs_up_is_approached_ever_more_slowly() -> None:
    async def hang_up(connection: ServerConnection) -> None:
        connection.transport.abort()

    async with streaming(StreamServer(hang_up)) as server, listening(server.root) as listener:
        await until(lambda: listener.states and listener.states[-1].attempt >= 4)

    attempts = [state.attempt for state in listener.states if state.phase is Phase.LOST]
    assert attempts[:3] == [1, 2, 3]


async def test_a_message_heard_forgives_earlier_failures() -> None:
    server = StreamServer(status=HTTPStatus.SERVICE_UNAVAILABLE)

    async with streaming(server), listening(server.root) as listener:
        await until(lambda: len(listener.lost()) == 3)
        server.status = None
        await until(lambda: server.live)
        await until(lambda: listener.connection.latency is not None)
        next(iter(server.live)).transport.abort()
        await until(lambda: len(listener.lost()) == 4)

    assert [state.attempt for state in listener.states if state.phase is Phase.LOST] == [1, 2, 3, 0]


async def test_a_handshake_that_never_ends_is_given_up() -> None:
    async def swallow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            await reader.read()
        writer.close()

    silent = await asyncio.start_server(swallow, "127.0.0.1", 0)
    port = silent.sockets[0].getsockname()[1]

    async with silent, listening(f"ws://127.0.0.1:{port}", options=replace(QUICK, open_timeout=0.1)) as listener:
        await until(listener.lost)

    assert "TimeoutError" in listener.lost()[0]


async def test_a_self_signed_certificate_is_not_given_the_token(tmp_path: Path) -> None:
    context = server_context(write_certificate(tmp_path))

    async with (
        streaming(StreamServer(context=context)) as server,
        listening(server.root) as listener,
    ):
        await until(listener.lost)

    assert "CERTIFICATE_VERIFY_FAILED" in listener.lost()[0]
    assert server.paths == []


async def test_a_trusted_certificate_of_another_host_is_not_given_the_token(tmp_path: Path) -> None:
    certificate = write_certificate(tmp_path, host="127.0.0.2")
    options = replace(QUICK, ca_file=str(certificate))

    async with (
        streaming(StreamServer(context=server_context(certificate))) as server,
        listening(server.root, options=options) as listener,
    ):
        await until(listener.lost)

    assert "mismatch" in listener.lost()[0]
    assert server.paths == []


async def test_a_trusted_certificate_opens_the_link(tmp_path: Path) -> None:
    certificate = write_certificate(tmp_path)
    options = replace(QUICK, ca_file=str(certificate))

    async with (
        streaming(StreamServer(context=server_context(certificate))) as server,
        listening(server.root, options=options) as listener,
    ):
        await until(lambda: Phase.OPEN in listener.phases)

    assert len(server.paths) == 1


async def test_the_link_leaves_from_the_address_of_the_login() -> None:
    async with streaming(StreamServer()) as server, listening(server.root, source_address="127.0.0.9") as listener:
        await until(lambda: Phase.OPEN in listener.phases)

    assert server.peers[0] == "127.0.0.9"


async def test_the_environment_cannot_slip_in_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("ws_proxy", "http://127.0.0.1:9")

    async with streaming(StreamServer()) as server, listening(server.root) as listener:
        await until(lambda: Phase.OPEN in listener.phases)


@pytest.mark.parametrize("root", ["http://127.0.0.1", "ws://", "wss://no such host", "nonsense"])
async def test_an_address_that_is_none_is_reported_without_its_query(root: str) -> None:
    async with listening(root) as listener:
        await until(listener.lost)

    assert SECRET not in repr(listener.states)
    assert quote_plus(SECRET) not in repr(listener.states)


async def test_no_log_and_no_state_holds_the_token(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    quiet = logging.getLogger("websockets.server")
    quiet.disabled = True
    server = StreamServer(status=HTTPStatus.FORBIDDEN)

    try:
        async with streaming(server), listening(server.root) as listener:
            await until(lambda: Phase.REJECTED in listener.phases)
            server.status = None
            await until(lambda: Phase.OPEN in listener.phases)
            await listener.connection.set_wanted({1: Mode.FULL})
            await until(lambda: server.said and len(server.said[0]) == 2)
            next(iter(server.live)).transport.abort()
            await until(lambda: listener.phases.count(Phase.OPEN) == 2)
        async with listening("wss://no such host") as broken:
            await until(broken.lost)
    finally:
        quiet.disabled = False

    told = caplog.text + repr(listener.states) + repr(broken.states)
    assert SECRET not in told
    assert quote_plus(SECRET) not in told
    assert "access_token" not in told


async def test_what_a_callback_raises_ends_the_connection() -> None:
    class Broken(Exception):
        pass

    def fail(frame: bytes, received_at: float) -> None:
        raise Broken

    async def speak(connection: ServerConnection) -> None:
        with suppress(ConnectionClosed):
            await connection.send(b"\x00\x00\x00")

    async with streaming(StreamServer(speak)) as server:
        connection = Connection(
            stranger(server.root), on_frame=fail, on_text=lambda _: None, on_state=lambda _: None, options=QUICK
        )
        with pytest.raises(ExceptionGroup) as caught:
            await asyncio.wait_for(connection.run(), 5)

    assert caught.group_contains(Broken)


async def test_cancelling_closes_the_link() -> None:
    async with streaming(StreamServer()) as server:
        async with listening(server.root) as listener:
            await until(lambda: server.live and Phase.OPEN in listener.phases)
        await until(lambda: not server.live)


def test_the_watch_keeps_the_published_times() -> None:
    options = Options()

    assert (options.ping_interval, options.pong_timeout) == (2.5, 5.0)
    assert (options.suspect_after, options.silent_after) == (5.0, 10.0)
    assert (options.backoff_first, options.backoff_last) == (0.5, 5.0)
