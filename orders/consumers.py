"""The order socket: today's orders of the caller's accounts, then every change, resumable by offset."""

import asyncio
from collections.abc import Collection, Mapping
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs

import orjson
import structlog
from channels.db import database_sync_to_async
from channels.generic.websocket import AsyncWebsocketConsumer
from django.utils import timezone

from accounts.authentication import authenticate_socket
from accounts.errors import PlatformError
from accounts.models import BrokerAccount
from accounts.queries import Principal, visible_accounts
from market_data.bus import AsyncBus
from orders.clock import trading_day
from orders.queries import orders_of_day
from orders.stream import order_document, stream_of

log = structlog.get_logger(__name__)

VERSION = 1
SCOPE = "orders:read"
HEARTBEAT_SECONDS = 5.0
LONGEST_MESSAGE = 64 * 1024
# Reading the stream starts this much before the snapshot; what the snapshot holds already is dropped by its sequence.
OVERLAP = timedelta(seconds=5)
CLOSE_REVOKED = 3500


class Fault(Exception):
    """What is wrong with a message of the client's."""

    def __init__(self, code: str, detail: str, *, field: str | None = None) -> None:
        super().__init__(detail)
        self.code = code
        self.field = field


class OrderConsumer(AsyncWebsocketConsumer):
    """One client of /ws/v1/orders; each account is read at the client's own pace, so nothing piles up here."""

    def __init__(self, *, bus: AsyncBus) -> None:
        super().__init__()
        self._bus = bus
        self._accounts: dict[str, BrokerAccount] = {}
        self._readers: dict[str, asyncio.Task[None]] = {}
        self._heart: asyncio.Task[None] | None = None
        self._sending = asyncio.Lock()

    async def connect(self) -> None:
        """Accept who may read orders and subscribe to what the address asks for, else to every visible account."""
        try:
            principal = await authenticate_socket(self.scope)
        except PlatformError as error:
            log.info("orders.socket.refused", code=error.code)
            await self.close()
            return
        if not principal.may(SCOPE):
            log.info("orders.socket.refused", code="scope_missing", user=principal.label)
            await self.close()
            return
        self._accounts = await database_sync_to_async(_visible)(principal)
        await self.accept()
        await self._send(
            {
                "t": "welcome",
                "v": VERSION,
                "user": principal.label,
                "accounts": sorted(self._accounts),
                "heartbeat_seconds": HEARTBEAT_SECONDS,
            }
        )
        self._heart = asyncio.create_task(self._beat())
        await self._answer(self._first_wish())

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        """Do what the client asks, or say what is wrong with it."""
        raw = text_data.encode() if text_data is not None else bytes_data or b""
        try:
            message = _parsed(raw)
        except Fault as fault:
            await self._send(_error(None, fault))
            return
        await self._answer(message)

    async def disconnect(self, code: int) -> None:
        """Stop reading."""
        tasks = [task for task in [self._heart, *self._readers.values()] if task is not None]
        self._readers.clear()
        await _end(tasks)

    async def _answer(self, message: Mapping[str, Any]) -> None:
        try:
            reply = await self._do(message)
        except Fault as fault:
            await self._send(_error(message.get("id"), fault))
            return
        await self._send({"t": "ok", "id": message.get("id"), **reply})

    async def _do(self, message: Mapping[str, Any]) -> dict[str, Any]:
        match message.get("op"):
            case "sub":
                labels = self._labels(message)
                after = _offsets(message, labels)
                for label in labels:
                    await self._subscribe(label, after=after.get(label))
            case "unsub":
                for label in self._labels(message):
                    await self._unsubscribe(label)
            case "ping":
                return {"at": timezone.now().isoformat()}
            case other:
                raise Fault("op_unknown", f"op was {other!r}: send sub, unsub or ping", field="op")
        return {"accounts": sorted(self._readers)}

    def _first_wish(self) -> dict[str, Any]:
        query = parse_qs(self.scope.get("query_string", b"").decode("latin-1"), keep_blank_values=True)
        if "accounts" not in query:
            return {"op": "sub", "id": 0, "accounts": sorted(self._accounts)}
        return {"op": "sub", "id": 0, "accounts": [label for label in query["accounts"][0].split(",") if label]}

    def _labels(self, message: Mapping[str, Any]) -> list[str]:
        labels = message.get("accounts", sorted(self._accounts))
        if not isinstance(labels, list) or not all(isinstance(label, str) for label in labels):
            raise Fault("accounts_invalid", "accounts must be a list of labels", field="accounts")
        unknown = [label for label in labels if label not in self._accounts]
        if unknown:
            raise Fault("account_unknown", f"no account {unknown[0][:50]}", field="accounts")
        return labels

    async def _subscribe(self, label: str, *, after: str | None) -> None:
        await self._unsubscribe(label)
        account = self._accounts[label]
        known: dict[str, int] = {}
        if after is None or not await self._kept(account, after):
            after = _offset_before_now()
            known = await self._send_snapshot(account, offset=after)
        self._readers[label] = asyncio.create_task(self._read(account, after=after, known=known))

    async def _unsubscribe(self, label: str) -> None:
        task = self._readers.pop(label, None)
        if task is not None:
            await _end([task])

    async def _kept(self, account: BrokerAccount, after: str) -> bool:
        """Say whether every event behind the offset is still in the stream."""
        first = await self._bus.first_event(stream=stream_of(account.pk))
        return first is not None and _order_of(first) <= _order_of(after)

    async def _send_snapshot(self, account: BrokerAccount, *, offset: str) -> dict[str, int]:
        documents = await database_sync_to_async(_documents)(account)
        await self._send({"t": "snap", "account": account.label, "offset": offset, "orders": documents})
        return {document["id"]: document["sequence"] for document in documents}

    async def _read(self, account: BrokerAccount, *, after: str, known: dict[str, int]) -> None:
        async for offset, event in self._bus.events(stream=stream_of(account.pk), after=after):
            if _is_known(event, known):
                continue
            await self._send({"t": "ev", "account": account.label, "offset": offset, **event})

    async def _beat(self) -> None:
        """Tell the client that silence is silence, and end the connection of whoever may not listen any more."""
        while True:
            await asyncio.sleep(HEARTBEAT_SECONDS)
            try:
                principal = await authenticate_socket(self.scope)
            except PlatformError:
                await self.close(code=CLOSE_REVOKED)
                return
            if not principal.may(SCOPE) or not all(principal.sees(row.pk) for row in self._accounts.values()):
                await self.close(code=CLOSE_REVOKED)
                return
            await self._send({"t": "hb", "at": timezone.now().isoformat()})

    async def _send(self, message: Mapping[str, Any]) -> None:
        async with self._sending:
            await self.send(text_data=orjson.dumps(message).decode())


async def _end(tasks: Collection[asyncio.Task[None]]) -> None:
    """Cancel until it is heard: a cancellation that meets the Redis client while it connects can get lost."""
    running = set(tasks)
    while running:
        for task in running:
            task.cancel()
        _, running = await asyncio.wait(running, timeout=0.2)


def _visible(principal: Principal) -> dict[str, BrokerAccount]:
    return {account.label: account for account in visible_accounts(principal)}


def _documents(account: BrokerAccount) -> list[dict[str, Any]]:
    rows = orders_of_day(account_ids=[account.pk], day=trading_day(timezone.now()))
    return [order_document(order) for order in rows]


def _parsed(raw: bytes) -> dict[str, Any]:
    if len(raw) > LONGEST_MESSAGE:
        raise Fault("message_too_long", f"a message has at most {LONGEST_MESSAGE} bytes")
    try:
        message = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise Fault("not_json", "a message is one JSON object") from error
    if not isinstance(message, dict):
        raise Fault("not_json", "a message is one JSON object")
    return message


def _offsets(message: Mapping[str, Any], labels: list[str]) -> dict[str, str]:
    after = message.get("after", {})
    if not isinstance(after, dict):
        raise Fault("after_invalid", "after maps labels to offsets", field="after")
    for label, offset in after.items():
        if label not in labels:
            raise Fault("after_invalid", f"after names {label[:50]}, which is not subscribed to", field="after")
        if not isinstance(offset, str) or not _is_offset(offset):
            raise Fault("after_invalid", f"the offset of {label} is not one of ours", field="after")
    return after


def _is_offset(text: str) -> bool:
    left, dash, right = text.partition("-")
    return bool(dash) and left.isdecimal() and right.isdecimal() and len(text) <= 40  # noqa: PLR2004


def _order_of(offset: str) -> tuple[int, int]:
    left, _, right = offset.partition("-")
    return int(left), int(right)


def _offset_before_now() -> str:
    return f"{int((timezone.now() - OVERLAP).timestamp() * 1000)}-0"


def _is_known(event: Mapping[str, Any], known: dict[str, int]) -> bool:
    """Drop what the snapshot holds; a fact of an order's sequence is told once."""
    order = event.get("order")
    if not isinstance(order, dict):
        return False
    before = known.get(order["id"], 0)
    known[order["id"]] = max(before, order["sequence"])
    return bool(order["sequence"] <= before)


def _error(message_id: object, fault: Fault) -> dict[str, Any]:
    return {"t": "err", "id": message_id, "code": fault.code, "detail": str(fault), "field": fault.field}
