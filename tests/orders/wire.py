"""Answers of the wire to one POST of an order, byte for byte, and what each proves."""

import contextlib
import json
import socket
import struct
import threading
from collections.abc import Iterator
from dataclasses import dataclass

from orders.states import State

RESET = b"reset"
CLOSE = b"close"


@dataclass(frozen=True, slots=True)
class Answer:
    """What comes back, and the state it must leave the order in."""

    name: str
    wire: bytes
    state: State
    code: str = ""


def http(status: int, body: str, *, kind: str = "application/json", length: int | None = None) -> bytes:
    """Return a whole HTTP answer; `length` lies about the body's."""
    content = body.encode()
    head = f"HTTP/1.1 {status} X\r\nConnection: close\r\n"
    if kind:
        head += f"Content-Type: {kind}\r\n"
    return f"{head}Content-Length: {len(content) if length is None else length}\r\n\r\n".encode() + content


def error(status: int, error_type: str, message: str = "no") -> bytes:
    """Return an error as Kite writes it."""
    return http(status, json.dumps({"status": "error", "message": message, "error_type": error_type, "data": None}))


HTML = "<html><body>Bad Gateway</body></html>"
GOOD = '{"status":"success","data":{"order_id":"2611240001"}}'
ANSWERS = (
    Answer("200 with an id", http(200, GOOD), State.ACKED),
    Answer("200 with an id and no content type", http(200, GOOD, kind=""), State.ACKED),
    Answer("200 with an id as text", http(200, GOOD, kind="text/plain"), State.ACKED),
    Answer("200 with half of the JSON", http(200, GOOD[:30]), State.UNKNOWN),
    Answer("200 cut before its length", http(200, GOOD[:30], length=len(GOOD)), State.UNKNOWN),
    Answer("200 with nothing", http(200, ""), State.UNKNOWN),
    Answer("200 without data", http(200, '{"status":"success"}'), State.UNKNOWN),
    Answer("200 with null data", http(200, '{"status":"success","data":null}'), State.UNKNOWN),
    Answer("200 without an id", http(200, '{"status":"success","data":{}}'), State.UNKNOWN),
    Answer("200 with an empty id", http(200, '{"status":"success","data":{"order_id":""}}'), State.UNKNOWN),
    Answer("200 with a list", http(200, "[]"), State.UNKNOWN),
    Answer("200 in HTML", http(200, HTML, kind="text/html"), State.UNKNOWN),
    Answer("200 that is an error", error(200, "OrderException"), State.UNKNOWN),
    Answer("201", http(201, GOOD), State.UNKNOWN),
    Answer("204", http(204, ""), State.UNKNOWN),
    Answer("301", http(301, ""), State.UNKNOWN),
    Answer("400 input", error(400, "InputException"), State.REJECTED, "InputException"),
    Answer("400 order", error(400, "OrderException"), State.REJECTED, "OrderException"),
    Answer("400 margin", error(400, "MarginException"), State.REJECTED, "MarginException"),
    Answer("400 holding", error(400, "HoldingException"), State.REJECTED, "HoldingException"),
    Answer("400 of a new type", error(400, "NovelException"), State.REJECTED, "NovelException"),
    Answer("400 without a type", http(400, '{"status":"error","message":"no"}'), State.REJECTED, "REFUSED"),
    Answer("400 in HTML", http(400, HTML, kind="text/html"), State.UNKNOWN),
    Answer("400 with nothing", http(400, ""), State.UNKNOWN),
    Answer("403 token", error(403, "TokenException"), State.READY, "LOGIN_NEEDED"),
    Answer("403 user", error(403, "UserException"), State.REJECTED, "UserException"),
    Answer("403 permission", error(403, "PermissionException"), State.REJECTED, "PermissionException"),
    Answer("403 in HTML", http(403, HTML, kind="text/html"), State.REJECTED, "REFUSED"),
    Answer("404", error(404, "GeneralException"), State.UNKNOWN),
    Answer("405", error(405, "GeneralException"), State.UNKNOWN),
    Answer("408", http(408, ""), State.UNKNOWN),
    Answer("410", error(410, "GeneralException"), State.UNKNOWN),
    Answer("428", error(428, "HoldingException"), State.UNKNOWN),
    Answer("429 in JSON", error(429, "NetworkException"), State.READY, "THROTTLED"),
    Answer("429 in HTML", http(429, HTML, kind="text/html"), State.READY, "THROTTLED"),
    Answer("429 without a type", http(429, '{"status":"error"}'), State.READY, "THROTTLED"),
    Answer("500 order timed out", error(500, "OrderException", "timed out, check order book"), State.UNKNOWN),
    Answer("500 general", error(500, "GeneralException"), State.UNKNOWN),
    Answer("500 with nothing", http(500, ""), State.UNKNOWN),
    Answer("502 in HTML", http(502, HTML, kind="text/html"), State.UNKNOWN),
    Answer("502 data", error(502, "DataException"), State.UNKNOWN),
    Answer("503 network", error(503, "NetworkException"), State.UNKNOWN),
    Answer("504 in HTML", http(504, HTML, kind="text/html"), State.UNKNOWN),
    Answer("599", http(599, GOOD), State.UNKNOWN),
    Answer("no HTTP at all", b"SSH-2.0-OpenSSH_9.2\r\n", State.UNKNOWN),
    Answer("a head without an end", b"HTTP/1.1 200 OK\r\nContent-Ty", State.UNKNOWN),
    Answer("a reset", RESET, State.UNKNOWN),
    Answer("a close", CLOSE, State.UNKNOWN),
)


@contextlib.contextmanager
def serving(answer: Answer) -> Iterator[str]:
    """Serve one answer to whoever comes, once; yield the root URL."""
    listener = socket.create_server(("127.0.0.1", 0))
    thread = threading.Thread(target=_serve, args=(listener, answer.wire), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        listener.close()
        thread.join(5)


def _serve(listener: socket.socket, wire: bytes) -> None:
    with contextlib.suppress(OSError):
        connection, _ = listener.accept()
        with connection:
            _read_request(connection)
            if wire == RESET:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            elif wire != CLOSE:
                connection.sendall(wire)


def _read_request(connection: socket.socket) -> None:
    received = b""
    while b"\r\n\r\n" not in received:
        received += connection.recv(65536)
    head, _, body = received.partition(b"\r\n\r\n")
    lines = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    missing = int(lines[0].split(b":")[1]) - len(body) if lines else 0
    while missing > 0:
        missing -= len(connection.recv(65536))
