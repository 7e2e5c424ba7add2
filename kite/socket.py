"""One streaming connection: verified, pinged, watched for silence, and reopened for ever."""

import asyncio
import json
import logging
import random
import ssl
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from http import HTTPStatus
from typing import Any, Never
from urllib.parse import quote_plus, urlencode

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus, InvalidURI

from kite.limits import TOKENS_PER_SOCKET
from kite.types import Login, Mode


class Phase(StrEnum):
    """What a connection is doing."""

    CONNECTING = "connecting"
    OPEN = "open"
    SUSPECT = "suspect"
    LOST = "lost"
    REJECTED = "rejected"


@dataclass(frozen=True, slots=True)
class ConnectionState:
    """A change of phase. `rejected` means the handshake was answered 403: the session is not valid any more.

    `attempt` counts openings since the last message was heard; `cause` never holds a secret.
    """

    phase: Phase
    cause: str = ""
    attempt: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Times in seconds. Silence counts messages, heartbeats included; a pong is no sign that data flows."""

    open_timeout: float = 5.0
    ping_interval: float = 2.5
    pong_timeout: float = 5.0
    suspect_after: float = 5.0
    silent_after: float = 10.0
    close_timeout: float = 1.0
    backoff_first: float = 0.5
    backoff_last: float = 5.0
    backoff_rejected: float = 30.0
    batch: int = 500
    largest_message: int = 4 * 1024 * 1024
    ca_file: str = ""


class _Connect(connect):
    """The library follows redirects; a streaming address that carries a token must not be carried elsewhere."""

    def process_redirect(self, exc: Exception) -> Exception | str:
        return exc


class Connection:
    """A socket kept open for one login, holding what `set_wanted` asked for.

    `on_frame` gets every binary message but heartbeats, with its time of arrival in epoch seconds; `on_text` every
    JSON object; `on_state` every change of phase. They run in the event loop: they must not block, and what they raise
    ends `run`.
    """

    def __init__(
        self,
        login: Login,
        *,
        on_frame: Callable[[bytes, float], None],
        on_text: Callable[[dict[str, object]], None],
        on_state: Callable[[ConnectionState], None],
        options: Options | None = None,
    ) -> None:
        self._login = login
        self._on_frame = on_frame
        self._on_text = on_text
        self._on_state = on_state
        self._options = options or Options()
        self._wanted: dict[int, Mode] = {}
        self._changed = asyncio.Event()
        self._phase = Phase.CONNECTING
        self._attempt = 0
        self._heard_at = 0.0
        self._fault = ""
        self._trust: ssl.SSLContext | None = None
        self.latency: float | None = None

    async def run(self) -> Never:
        """Keep the connection open until cancelled."""
        while True:
            self._attempt += 1
            self._tell(Phase.CONNECTING)
            phase, cause = await self._live()
            self._tell(phase, cause)
            await asyncio.sleep(self._delay(phase))

    async def set_wanted(self, wanted: Mapping[int, Mode]) -> None:
        """Hold exactly these instruments in these modes: send the difference now, and all of it after a reconnect."""
        if len(wanted) > TOKENS_PER_SOCKET:
            raise ValueError(f"{len(wanted)} instruments were wanted, one socket carries {TOKENS_PER_SOCKET}")
        self._wanted = dict(wanted)
        self._changed.set()

    async def _live(self) -> tuple[Phase, str]:
        """Open, serve until the end and say how it ended."""
        try:
            async with self._connect() as opened:
                self._tell(Phase.OPEN)
                return Phase.LOST, await self._serve(opened)
        except InvalidStatus as error:
            status = error.response.status_code
            phase = Phase.REJECTED if status == HTTPStatus.FORBIDDEN else Phase.LOST
            return phase, f"the handshake was answered {status}"
        except (OSError, InvalidHandshake, InvalidURI, TimeoutError) as error:
            return Phase.LOST, self._clean(f"{type(error).__name__}: {error}")

    def _connect(self) -> _Connect:
        login, options = self._login, self._options
        query = urlencode({"api_key": login.api_key, "access_token": login.access_token})
        if self._trust is None and login.ws_root.startswith("wss:"):
            self._trust = ssl.create_default_context(cafile=options.ca_file or None)
        extra: dict[str, Any] = {"local_addr": (login.source_address, 0)} if login.source_address else {}
        return _Connect(
            f"{login.ws_root}?{query}",
            ssl=self._trust,
            additional_headers={"X-Kite-Version": "3"},
            compression=None,
            proxy=None,
            open_timeout=options.open_timeout,
            close_timeout=options.close_timeout,
            ping_interval=None,
            max_size=options.largest_message,
            # The library logs the request line, token included, and every frame: it gets a logger that no
            # configuration of the process can reach.
            logger=logging.Logger("kite.socket.silent", logging.CRITICAL + 1),  # noqa: LOG001
            **extra,
        )

    async def _serve(self, opened: ClientConnection) -> str:
        """Read until the link ends and return why it did."""
        self._fault = ""
        self._heard_at = time.monotonic()
        ending = "closed by the broker"
        async with asyncio.TaskGroup() as group:
            beside = [group.create_task(work(opened)) for work in (self._follow, self._ping, self._watch)]
            try:
                async for message in opened:
                    self._deliver(message)
            except ConnectionClosed as error:
                ending = _closing(error)
            finally:
                for task in beside:
                    task.cancel()
        return self._fault or ending

    async def _follow(self, opened: ClientConnection) -> None:
        """Tell the broker what is wanted: everything first, then every difference."""
        held: dict[int, Mode] = {}
        while True:
            self._changed.clear()
            wanted = self._wanted
            try:
                for text in requests(held=held, wanted=wanted, batch=self._options.batch):
                    await opened.send(text)
            except ConnectionClosed:
                return
            held = wanted
            await self._changed.wait()

    def _deliver(self, message: str | bytes) -> None:
        self._heard_at = time.monotonic()
        self._attempt = 0
        if self._phase is Phase.SUSPECT:
            self._tell(Phase.OPEN)
        if isinstance(message, bytes):
            if len(message) > 1:
                self._on_frame(message, time.time())
            return
        try:
            parsed = json.loads(message)
        except ValueError:
            return
        if isinstance(parsed, dict):
            self._on_text(parsed)

    async def _ping(self, opened: ClientConnection) -> None:
        """Drop the link where a ping is not answered: a half-open one accepts everything and never speaks."""
        while True:
            await asyncio.sleep(self._options.ping_interval)
            try:
                async with asyncio.timeout(self._options.pong_timeout):
                    self.latency = await (await opened.ping())
            except TimeoutError:
                return self._drop(opened, f"no pong for {self._options.pong_timeout:g} s")
            except ConnectionClosed:
                return None

    async def _watch(self, opened: ClientConnection) -> None:
        """Drop the link where no message arrives, heartbeats included: it may answer pings and carry nothing."""
        options = self._options
        while True:
            silence = time.monotonic() - self._heard_at
            if silence >= options.silent_after:
                return self._drop(opened, f"no message for {options.silent_after:g} s")
            if silence >= options.suspect_after and self._phase is Phase.OPEN:
                self._tell(Phase.SUSPECT, f"no message for {options.suspect_after:g} s")
            edge = options.suspect_after if silence < options.suspect_after else options.silent_after
            await asyncio.sleep(max(edge - silence, 0.001))

    def _drop(self, opened: ClientConnection, fault: str) -> None:
        self._fault = fault
        # A closing handshake would wait for a peer that is not there.
        opened.transport.abort()

    def _delay(self, phase: Phase) -> float:
        """Back off from 0.5 to 5 s, each wait drawn from its upper half, so that accounts do not come back as one."""
        options = self._options
        if phase is Phase.REJECTED:
            longest = options.backoff_rejected
        else:
            longest = min(options.backoff_last, options.backoff_first * 2 ** min(max(self._attempt - 1, 0), 16))
        return longest * random.uniform(0.5, 1.0)  # noqa: S311 - spreads load, guards nothing

    def _tell(self, phase: Phase, cause: str = "") -> None:
        self._phase = phase
        self._on_state(ConnectionState(phase, cause, self._attempt))

    def _clean(self, text: str) -> str:
        for secret in (self._login.access_token, quote_plus(self._login.access_token)):
            text = text.replace(secret, "***") if secret else text
        return text


def requests(*, held: Mapping[int, Mode], wanted: Mapping[int, Mode], batch: int) -> Iterator[str]:
    """Return the messages that turn what the broker streams into what is wanted, in batches of instruments.

    Unsubscribing comes first, so that the broker's cap is not passed on the way.
    """
    yield from _messages("unsubscribe", [token for token in held if token not in wanted], batch)
    yield from _messages("subscribe", [token for token in wanted if token not in held], batch)
    for mode in Mode:
        # A new instrument gets its mode told even where it is the default: the default is not documented.
        changed = [token for token, asked in wanted.items() if asked == mode and held.get(token) != mode]
        for tokens in _batches(changed, batch):
            yield json.dumps({"a": "mode", "v": [mode.value, tokens]})


def _messages(action: str, tokens: list[int], batch: int) -> Iterator[str]:
    for part in _batches(tokens, batch):
        yield json.dumps({"a": action, "v": part})


def _batches(tokens: list[int], batch: int) -> Iterable[list[int]]:
    return (tokens[at : at + batch] for at in range(0, len(tokens), batch))


def _closing(error: ConnectionClosed) -> str:
    received = error.rcvd
    return f"closed by the broker with {received.code} {received.reason}".strip() if received else "the link broke"
