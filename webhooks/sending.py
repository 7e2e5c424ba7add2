"""One POST to a checked address: no redirects, little patience, a short look at the answer."""

import http.client
import socket
import ssl
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from webhooks.addresses import Target

CONNECT_SECONDS: Final = 3.0
TOTAL_SECONDS: Final = 5.0
ANSWER_BYTES: Final = 500
AGENT: Final = "ticker-site-webhooks/1"


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back; no status where nothing did."""

    status: int | None
    text: str
    error: str
    retry_after: float | None
    milliseconds: int


class _Pinned(http.client.HTTPConnection):
    """Connects to the address that was checked, whatever the name stands for by now."""

    def __init__(self, target: Target, *, context: ssl.SSLContext | None) -> None:
        super().__init__(target.host, target.port, timeout=CONNECT_SECONDS)
        self._target = target
        self._context = context
        self.given_up = False

    def connect(self) -> None:
        raw = socket.create_connection((self._target.address, self._target.port), timeout=CONNECT_SECONDS)
        self.sock = raw
        if self._context is not None:
            self.sock = self._context.wrap_socket(raw, server_hostname=self._target.host)
        self.sock.settimeout(TOTAL_SECONDS)

    def give_up(self) -> None:
        """End whatever the connection waits for; called from the watching thread."""
        self.given_up = True
        sock = self.sock
        if sock is not None:
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                return


def post(*, target: Target, body: bytes, headers: Mapping[str, str], ca_file: str = "") -> Answer:
    """Send the body once and return what came back within five seconds; never raises for the receiver's faults."""
    context = ssl.create_default_context(cafile=ca_file or None) if target.scheme == "https" else None
    connection = _Pinned(target, context=context)
    # A receiver that sends a byte now and then would keep a worker for hours: the whole has one limit.
    watch = threading.Timer(TOTAL_SECONDS, connection.give_up)
    started = time.monotonic()
    watch.start()
    try:
        answer = _exchange(connection, target, body, headers, started)
    except (OSError, http.client.HTTPException) as error:
        answer = Answer(None, "", f"{type(error).__name__}: {error}"[:300], None, _since(started))
    finally:
        watch.cancel()
        watch.join(TOTAL_SECONDS)
        connection.close()
    # What was cut off may read like an answer that ended by itself.
    late = Answer(None, "", f"no whole answer within {TOTAL_SECONDS:g} s", None, _since(started))
    return late if connection.given_up else answer


def _exchange(connection: _Pinned, target: Target, body: bytes, headers: Mapping[str, str], started: float) -> Answer:
    sent = {"Content-Type": "application/json", "User-Agent": AGENT, "Connection": "close", **headers}
    connection.request("POST", target.path, body=body, headers=sent)
    response = connection.getresponse()
    text = response.read(ANSWER_BYTES).decode("utf-8", "replace").replace("\x00", "")
    return Answer(response.status, text, "", _seconds(response.getheader("Retry-After")), _since(started))


def _seconds(header: str | None) -> float | None:
    return float(header) if header is not None and header.isdecimal() else None


def _since(started: float) -> int:
    return int((time.monotonic() - started) * 1000)
