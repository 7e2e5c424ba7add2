"""What the sockets of every app share: the door of a process, and a socket that speaks JSON and proves who it is."""

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable, Collection, Mapping
from datetime import datetime
from typing import Any, ClassVar, Final

import orjson
import structlog
from channels.generic.websocket import AsyncWebsocketConsumer
from django.utils import timezone

from accounts.errors import Forbidden, PlatformError
from accounts.evidence import Evidence, EvidenceExpired, Memory, spoken
from accounts.queries import Principal
from market_data.errors import BadCommand, Draining, Full
from market_data.hub import CLOSE_SLOW, SLOW_SECONDS
from market_data.together import end

log = structlog.get_logger(__name__)

VERSION: Final = 1
# With the second of `Memory`, a right that was taken away ends its sockets within five.
HEARTBEAT_SECONDS: Final = 4.0
LONGEST_MESSAGE: Final = 64 * 1024
# From 3000 a client comes back, from 3500 it need not (as Centrifugo's clients know).
CLOSE_EXPIRED: Final = 3005
CLOSE_REVOKED: Final = 3500
# A client may be late with its fresh ticket.
GRACE_SECONDS: Final = 25.0
# Who does not read cannot be told why the connection ends: after so long it ends without a word.
LAST_WORD_SECONDS: Final = 10.0
# A process holds some 30 KiB for each.
MOST_SOCKETS: Final = 5_000

Tell = Callable[[Mapping[str, Any]], Awaitable[None]]


class Door:
    """The open sockets of a process; when it drains, each is told to come back elsewhere at a moment of its own."""

    def __init__(self, *, most: int = MOST_SOCKETS) -> None:
        self._most = most
        self.memory = Memory()
        self._inside: set[Tell] = set()
        self._telling: set[asyncio.Task[None]] = set()
        self._left = asyncio.Event()
        self.draining = False

    def __len__(self) -> int:
        return len(self._inside)

    def check(self) -> None:
        """Raise Draining or Full where nobody may come in."""
        if self.draining:
            raise Draining("this process is about to end: come back in a moment")
        if len(self._inside) >= self._most:
            raise Full(f"{self._most} sockets are open here: come back later")

    def enter(self, tell: Tell) -> None:
        """Let a socket in."""
        self._inside.add(tell)

    def leave(self, tell: Tell) -> None:
        """Let it go."""
        self._inside.discard(tell)
        self._left.set()

    async def emptied(self) -> None:
        """Return when the last socket has left."""
        while self._inside:
            self._left.clear()
            await self._left.wait()

    def drain(self, *, within_seconds: float) -> None:
        """Let nobody in any more, and spread the leaving over this time, so that a crowd does not come back as one."""
        self.draining = True
        for tell in list(self._inside):
            after_ms = int(random.uniform(0, within_seconds) * 1000)  # noqa: S311 (spreads the crowd, guards nothing)
            self._telling.add(task := asyncio.ensure_future(_told(tell, {"t": "draining", "after_ms": after_ms})))
            task.add_done_callback(self._telling.discard)


async def _told(tell: Tell, message: Mapping[str, Any]) -> None:
    try:
        await tell(message)
    except (OSError, RuntimeError) as error:
        log.info("market_data.socket.undrained", reason=str(error))


class JsonSocket(AsyncWebsocketConsumer):
    """One client: authenticated again with every heartbeat, asked in JSON, answered by id."""

    required_scope: ClassVar[str]
    topic: ClassVar[str]
    # The code of a message that is no JSON object; None names the fault itself.
    unreadable: ClassVar[str | None] = None

    def __init__(self, *, door: Door | None = None, heartbeat_seconds: float = HEARTBEAT_SECONDS) -> None:
        super().__init__()
        self._door = Door() if door is None else door
        self._heartbeat_seconds = heartbeat_seconds
        self._heart: asyncio.Task[None] | None = None
        self._sending = asyncio.Lock()
        self._conversation: asyncio.Task[Any] | None = None
        self._close_code: int | None = None

    # What an app says.

    async def admitted(self, principal: Principal) -> Mapping[str, Any]:
        """Prepare for this client and return what its welcome adds."""
        return {}

    async def opened(self) -> None:
        """Do what follows the welcome."""

    async def do(self, message: Mapping[str, Any]) -> Mapping[str, Any]:
        """Obey and return what the answer holds; a PlatformError becomes an error message."""
        raise NotImplementedError

    def may_stay(self, principal: Principal) -> bool:
        """Say whether the client may still have what it has."""
        return True

    def pulse(self, *, now: datetime) -> Mapping[str, Any]:
        """Return what a heartbeat adds."""
        return {}

    def tasks(self) -> Collection[asyncio.Task[None]]:
        """Give up and return what runs for this client."""
        return ()

    # The connection.

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Carry the connection from its first message to its last."""
        self._conversation = asyncio.current_task()
        try:
            await super().__call__(scope, receive, send)
        except asyncio.CancelledError:
            if self._close_code is None:
                raise
            await self.disconnect(self._close_code)
            await last_word(send({"type": "websocket.close", "code": self._close_code}))

    def end_with(self, code: int) -> None:
        """End the connection, whatever it waits for."""
        if self._close_code is None and self._conversation is not None:
            self._close_code = code
            self._conversation.cancel()

    def overfull(self) -> None:
        """End a connection whose client takes too little: it comes back to where it was."""
        self.end_with(CLOSE_SLOW)

    async def connect(self) -> None:
        """Accept whoever holds the scope."""
        self._evidence = Evidence(self.scope, memory=self._door.memory)
        try:
            principal = await self._known()
            welcome = await self.admitted(principal)
        except PlatformError as error:
            log.info(f"{self.topic}.socket.refused", code=error.code)  # noqa: G004 (an event's name)
            await self.close()
            return
        await self.accept(subprotocol=next(iter(spoken(list(self.scope.get("subprotocols") or ()))), None))
        self._door.enter(self.tell)
        await self.tell(
            {
                "t": "welcome",
                "v": VERSION,
                "user": principal.label,
                **welcome,
                "heartbeat_seconds": self._heartbeat_seconds,
                "ttl": self._evidence.seconds_left(now=timezone.now()),
            }
        )
        self._heart = asyncio.create_task(self._beat())
        await self.opened()

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        """Do what the client asks, or say what is wrong with it."""
        try:
            message = self._parsed(text_data.encode() if text_data is not None else bytes_data or b"")
        except BadCommand as error:
            await self.tell(problem(None, error))
            return
        await self.answer(message)

    async def answer(self, message: Mapping[str, Any]) -> None:
        """Do what a message asks and answer with its id."""
        try:
            reply = await self._refresh(message) if message.get("op") == "refresh" else await self.do(message)
        except PlatformError as error:
            await self.tell(problem(message.get("id"), error))
            return
        await self.tell({"t": "ok", "id": message.get("id"), **reply})

    async def disconnect(self, code: int) -> None:
        """Stop everything that runs for the client."""
        self._door.leave(self.tell)
        await end([*([self._heart] if self._heart is not None else []), *self.tasks()])

    async def tell(self, message: Mapping[str, Any]) -> None:
        """Send one message."""
        await self.tell_bytes(orjson.dumps(message))

    async def tell_bytes(self, message: bytes) -> None:
        """Send one message that is JSON already; a client that takes nothing for too long must come back."""
        try:
            async with self._sending, asyncio.timeout(SLOW_SECONDS):
                await self.send(text_data=message.decode())
        except TimeoutError:
            log.info(f"{self.topic}.socket.slow")  # noqa: G004 (an event's name)
            self.end_with(CLOSE_SLOW)

    async def _known(self) -> Principal:
        self._door.check()
        principal = await self._evidence.principal(now=timezone.now())
        self._check(principal)
        return principal

    def _check(self, principal: Principal) -> None:
        if not principal.may(self.required_scope):
            raise Forbidden(f"the scope {self.required_scope} is missing")
        if not self.may_stay(principal):
            raise Forbidden("what this socket reads is not yours any more")

    async def _refresh(self, message: Mapping[str, Any]) -> Mapping[str, Any]:
        return await refreshed(self._evidence, message.get("ticket"), self._check)

    async def _beat(self) -> None:
        """Tell the client that silence is silence, and end the connection of whoever may not listen any more."""
        while True:
            await asyncio.sleep(self._heartbeat_seconds)
            now = timezone.now()
            code = await close_code(self._evidence, self._check, now=now)
            if code is not None:
                await self.close(code=code)
                return
            await self.tell({"t": "hb", "at": now.isoformat(), **self.pulse(now=now)})

    def _parsed(self, raw: bytes) -> dict[str, Any]:
        if len(raw) > LONGEST_MESSAGE:
            raise BadCommand(
                f"a message has at most {LONGEST_MESSAGE} bytes", code=self.unreadable or "message_too_long"
            )
        try:
            message = orjson.loads(raw)
        except orjson.JSONDecodeError as error:
            raise BadCommand("a message is one JSON object", code=self.unreadable or "not_json") from error
        if not isinstance(message, dict):
            raise BadCommand("a message is one JSON object", code=self.unreadable or "not_json")
        return message


async def last_word(sending: Awaitable[None]) -> None:
    """Let a close be sent, but wait for nobody who does not read."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(LAST_WORD_SECONDS):
            await sending


async def close_code(evidence: Evidence, check: Callable[[Principal], None], *, now: datetime) -> int | None:
    """Return the code that must end the socket now, None while its client may stay."""
    try:
        check(await evidence.principal(now=now))
    except EvidenceExpired:
        return CLOSE_EXPIRED if evidence.overdue_seconds(now=now) >= GRACE_SECONDS else None
    except PlatformError:
        return CLOSE_REVOKED
    return None


async def refreshed(evidence: Evidence, ticket: object, check: Callable[[Principal], None]) -> dict[str, Any]:
    """Go on with a fresh ticket, if there is one, and return how long that lasts; raises PlatformError."""
    now = timezone.now()
    if ticket is None:
        principal = await evidence.principal(now=now)
    elif isinstance(ticket, str):
        principal = await evidence.refresh(ticket, now=now)
    else:
        raise BadCommand("ticket is the text of a ticket", code="bad_field", field="ticket")
    check(principal)
    return {"op": "refresh", "ttl": evidence.seconds_left(now=now)}


def problem(message_id: object, error: PlatformError) -> dict[str, Any]:
    """Return the error message of a fault."""
    code = error.fault if isinstance(error, BadCommand) else error.code
    return {"t": "err", "id": message_id, "code": code, "detail": str(error), "field": error.field}
