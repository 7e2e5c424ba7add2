"""The order socket: today's orders of the caller's accounts, then every change, resumable by offset."""

import asyncio
from collections.abc import Collection, Mapping
from functools import partial
from typing import Any
from urllib.parse import parse_qs

from channels.db import database_sync_to_async
from django.utils import timezone

from accounts.models import BrokerAccount
from accounts.queries import Principal, visible_accounts
from market_data.bus import AsyncBus
from market_data.errors import BadCommand
from market_data.event_streams import EventStream, Waiting, is_position
from market_data.sockets import HEARTBEAT_SECONDS, Door, JsonSocket
from market_data.together import end
from orders.clock import trading_day
from orders.queries import orders_of_day
from orders.stream import order_document, stream_of

SCOPE = "orders:read"


class OrderConsumer(JsonSocket):
    """One client of /ws/v1/orders; each account is read at the client's own pace, so nothing piles up here."""

    required_scope = SCOPE
    topic = "orders"

    def __init__(
        self, *, bus: AsyncBus, door: Door | None = None, heartbeat_seconds: float = HEARTBEAT_SECONDS
    ) -> None:
        super().__init__(door=door, heartbeat_seconds=heartbeat_seconds)
        self._bus = bus
        self._accounts: dict[str, BrokerAccount] = {}
        self._readers: dict[str, asyncio.Task[None]] = {}
        # By account and order, the newest sequence that was told.
        self._sequences: dict[str, dict[str, int]] = {}
        self._waiting = Waiting()

    async def admitted(self, principal: Principal) -> Mapping[str, Any]:
        """Find the accounts the client may see."""
        self._accounts = await database_sync_to_async(_visible)(principal)
        return {"accounts": sorted(self._accounts)}

    async def opened(self) -> None:
        """Subscribe to what the address asks for, else to every visible account."""
        await self.answer(self._first_wish())

    def may_stay(self, principal: Principal) -> bool:
        """A client that lost one of its accounts must come back without it."""
        return all(principal.sees(row.pk) for row in self._accounts.values())

    def tasks(self) -> Collection[asyncio.Task[None]]:
        """Stop reading."""
        readers = list(self._readers.values())
        self._readers.clear()
        return readers

    async def do(self, message: Mapping[str, Any]) -> Mapping[str, Any]:
        """Read accounts, or read them no more."""
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
                raise BadCommand(f"op was {other!r}: send sub, unsub or ping", code="op_unknown", field="op")
        return {"accounts": sorted(self._readers)}

    def _first_wish(self) -> dict[str, Any]:
        query = parse_qs(self.scope.get("query_string", b"").decode("latin-1"), keep_blank_values=True)
        if "accounts" not in query:
            return {"op": "sub", "id": 0, "accounts": sorted(self._accounts)}
        return {"op": "sub", "id": 0, "accounts": [label for label in query["accounts"][0].split(",") if label]}

    def _labels(self, message: Mapping[str, Any]) -> list[str]:
        labels = message.get("accounts", sorted(self._accounts))
        if not isinstance(labels, list) or not all(isinstance(label, str) for label in labels):
            raise BadCommand("accounts must be a list of labels", code="accounts_invalid", field="accounts")
        unknown = [label for label in labels if label not in self._accounts]
        if unknown:
            raise BadCommand(f"no account {unknown[0][:50]}", code="account_unknown", field="accounts")
        return labels

    async def _subscribe(self, label: str, *, after: str | None) -> None:
        await self._unsubscribe(label)
        account = self._accounts[label]
        self._sequences[label] = {}
        stream = EventStream(
            bus=self._bus,
            stream=stream_of(account.pk),
            snapshot=partial(self._tell_snapshot, account),
            event=partial(self._tell_event, label),
            waiting=self._waiting,
        )
        await stream.begin(after)
        self._readers[label] = asyncio.create_task(stream.read(overfull=self.overfull))

    async def _unsubscribe(self, label: str) -> None:
        task = self._readers.pop(label, None)
        if task is not None:
            await end([task])

    async def _tell_snapshot(self, account: BrokerAccount, offset: str) -> None:
        documents = await database_sync_to_async(_documents)(account)
        self._sequences[account.label] = {document["id"]: document["sequence"] for document in documents}
        await self.tell({"t": "snap", "account": account.label, "offset": offset, "orders": documents})

    async def _tell_event(self, label: str, offset: str, event: Mapping[str, Any]) -> None:
        if not _is_known(event, self._sequences[label]):
            await self.tell({"t": "ev", "account": label, "offset": offset, **event})


def _visible(principal: Principal) -> dict[str, BrokerAccount]:
    return {account.label: account for account in visible_accounts(principal)}


def _documents(account: BrokerAccount) -> list[dict[str, Any]]:
    rows = orders_of_day(account_ids=[account.pk], day=trading_day(timezone.now()))
    return [order_document(order) for order in rows]


def _offsets(message: Mapping[str, Any], labels: list[str]) -> dict[str, str]:
    after = message.get("after", {})
    if not isinstance(after, dict):
        raise BadCommand("after maps labels to offsets", code="after_invalid", field="after")
    for label, offset in after.items():
        if label not in labels:
            raise BadCommand(
                f"after names {label[:50]}, which is not subscribed to", code="after_invalid", field="after"
            )
        if not is_position(offset):
            raise BadCommand(f"the offset of {label} is not one of ours", code="after_invalid", field="after")
    return after


def _is_known(event: Mapping[str, Any], known: dict[str, int]) -> bool:
    """Drop what the snapshot holds; a fact of an order's sequence is told once."""
    order = event.get("order")
    if not isinstance(order, dict):
        return False
    before = known.get(order["id"], 0)
    known[order["id"]] = max(before, order["sequence"])
    return bool(order["sequence"] <= before)
