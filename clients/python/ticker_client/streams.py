"""Streams: ticks, orders and option chains, that come back after a break and miss nothing they can have."""

import asyncio
import itertools
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Final, Generic, Self, TypeVar, cast

from ticker_client.errors import ApiError
from ticker_client.link import Link
from ticker_client.shapes import Document, Order
from ticker_client.ticks import Frame, Mode, Tick, decode_binary, decode_json

TICK_SILENCE: Final = 5.0
EVENT_SILENCE: Final = 20.0
WINDOW: Final = 16
NAMES: Final = ("symbols", "tokens", "lists", "chains")

Item = TypeVar("Item")


class _Stream(ABC, Generic[Item]):
    """What all streams share: a link, numbers for commands, and one iteration however often it is left and taken up."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._ids = itertools.count(1)
        self._source: AsyncGenerator[Item] | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        await self.close()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Item:
        if self._source is None:
            self._source = self._items()
        try:
            return await anext(self._source)
        except asyncio.CancelledError:
            # A cancelled wait ends the connection; whoever listens again goes on from where the stream was.
            self._source = None
            raise

    @property
    def connections(self) -> int:
        """How often the stream was connected."""
        return self._link.connections

    async def close(self) -> None:
        """End the stream."""
        await self._link.close()
        if self._source is not None:
            await self._source.aclose()

    @abstractmethod
    def _items(self) -> AsyncGenerator[Item]:
        """Yield what the stream is made of."""

    async def _send(self, op: str, **command: Any) -> None:
        await self._link.send({"op": op, "id": next(self._ids), **command})

    def _notice(self, message: Mapping[str, Any]) -> None:
        """Obey what any stream may be told; raises ApiError for a command that was refused."""
        if message["t"] == "err":
            raise ApiError(400, message)
        if message["t"] == "draining":
            self._link.leave_soon(message["after_ms"] / 1000)


class TickStream(_Stream[Tick]):
    """Ticks of instruments; iterate it.

    Wishes survive breaks. After one the stream goes on from where it was; only last values that were overtaken in the
    meantime are left out. A listener that works slowly gets fewer ticks, never older ones. A command that is refused
    raises ApiError from the iteration, as a name that means nothing does where no other name of the wish does either;
    `rejected` holds the names that mean nothing beside ones that do.
    """

    def __init__(self, url: str, api_key: str, *, binary: bool = True, max_hz: float | None = None) -> None:
        form = "ticker.v1.bin" if binary else "ticker.v1.json"
        super().__init__(
            Link(f"{_socket_root(url)}/ws/v1/ticks", api_key, subprotocol=form, silence_seconds=TICK_SILENCE)
        )
        self._max_hz = max_hz
        self._wanted: dict[Mode, dict[str, set[str | int]]] = {mode: {name: set() for name in NAMES} for mode in Mode}
        self._positions: dict[tuple[Mode, int], tuple[int, int]] = {}
        self._fields: Mapping[str, Sequence[str]] = {}
        self._replaying: Mapping[str, Any] | None = None
        self.symbols: dict[int, str] = {}
        self.rejected: list[Document] = []
        self.stale_shards: set[int] = set()

    async def subscribe(
        self,
        *symbols: str,
        mode: Mode | str = Mode.QUOTE,
        tokens: Iterable[int] = (),
        lists: Iterable[str] = (),
        chains: Iterable[str] = (),
    ) -> None:
        """Want ticks of symbols such as NSE:INFY, of tokens, saved lists, and chains such as NIFTY:2026-11-26."""
        mode = Mode(mode)
        named: dict[str, set[str | int]] = {
            "symbols": set(symbols),
            "tokens": set(tokens),
            "lists": set(lists),
            "chains": set(chains),
        }
        for name, values in named.items():
            for other in Mode:
                self._wanted[other][name] -= values
            self._wanted[mode][name] |= values
        if self._fields:
            await self._subscribe(mode, named, since=[])

    async def unsubscribe(self, *symbols: str, tokens: Iterable[int] = ()) -> None:
        """Want them no more."""
        given = list(tokens)
        for mode in Mode:
            self._wanted[mode]["symbols"] -= set(symbols)
            self._wanted[mode]["tokens"] -= set(given)
        await self._send("unsub", symbols=list(symbols), tokens=given)

    async def replay(self, *symbols: str, tokens: Iterable[int] = (), mode: Mode | str = Mode.QUOTE) -> None:
        """Want recorded ticks too, while somebody replays them; they carry `replayed`. Without a name: all of them."""
        self._replaying = {"symbols": list(symbols), "tokens": list(tokens), "mode": Mode(mode).value}
        if self._fields:
            await self._send("replay", **self._replaying)

    async def _items(self) -> AsyncGenerator[Tick]:
        async for message in self._link.messages():
            frame = await self._frame(message)
            if frame is None:
                continue
            whole = frame.replay or self._take(frame)
            for tick in frame.ticks:
                yield tick
            if not frame.replay:
                # After the caller has worked: a busy one gets fewer frames, never older ones.
                await self._send("ack", n=1)
            if not whole:
                await self._send("resume", since=self._oldest())

    async def _frame(self, message: Mapping[str, Any] | bytes) -> Frame | None:
        if isinstance(message, bytes):
            return decode_binary(message)
        if message["t"] in {"d", "snap", "replay"}:
            return decode_json(message, self._fields)
        await self._hear(message)
        return None

    async def _hear(self, message: Mapping[str, Any]) -> None:
        match message["t"]:
            case "welcome":
                self._fields = message["f"]
                await self._want_again()
            case "ok" if message.get("op") == "sub":
                self.symbols |= {int(token): str(key) for token, key in message["accepted"]}
                self.rejected += message["rejected"]
            case "stale" if "i" not in message:
                self.stale_shards.add(message["s"])
            case "live" if "i" not in message:
                self.stale_shards.discard(message["s"])
            case _:
                self._notice(message)

    async def _want_again(self) -> None:
        for mode, named in self._wanted.items():
            if any(named.values()):
                await self._subscribe(mode, named, since=self._since(mode))
        if self._replaying is not None:
            await self._send("replay", **self._replaying)

    async def _subscribe(
        self, mode: Mode, named: Mapping[str, set[str | int]], *, since: list[tuple[int, int, int]]
    ) -> None:
        names = {name: sorted(values, key=str) for name, values in named.items()}
        pace = {"max_hz": self._max_hz} if self._max_hz else {}
        await self._send("sub", mode=mode.value, since=since, window=WINDOW, **names, **pace)

    def _take(self, frame: Frame) -> bool:
        """Note how far the stream is; return False where something in between is missing."""
        key = (frame.mode, frame.shard)
        held = self._positions.get(key)
        if frame.snapshot:
            if held is None or held[0] != frame.epoch or held[1] > frame.to_sequence:
                self._positions[key] = (frame.epoch, frame.to_sequence)
            return True
        if held is not None and held[0] == frame.epoch and frame.from_sequence > held[1]:
            return False
        self._positions[key] = (frame.epoch, frame.to_sequence)
        return True

    def _since(self, mode: Mode) -> list[tuple[int, int, int]]:
        return [(shard, *held) for (of, shard), held in self._positions.items() if of is mode]

    def _oldest(self) -> list[tuple[int, int, int]]:
        oldest: dict[int, tuple[int, int]] = {}
        for (_, shard), held in self._positions.items():
            known = oldest.get(shard)
            if known is None or known[0] != held[0] or known[1] > held[1]:
                oldest[shard] = held
        return [(shard, *held) for shard, held in oldest.items()]


@dataclass(frozen=True, slots=True)
class OrderEvent:
    """One change of one order, or, where `kind` is snapshot, one order as it stood when the stream began."""

    account: str
    kind: str
    offset: str
    order: Order | None
    raw: Document


class OrderStream(_Stream["OrderEvent"]):
    """Every change of the orders of the key's accounts, or of some of them; iterate it.

    It begins with today's orders, and goes on after a break from the event it had last.
    """

    def __init__(self, url: str, api_key: str, *, accounts: Sequence[str] | None = None) -> None:
        route = f"{_socket_root(url)}/ws/v1/orders?accounts="
        super().__init__(Link(route, api_key, subprotocol=None, silence_seconds=EVENT_SILENCE))
        self._accounts = accounts
        self._after: dict[str, str] = {}

    async def _items(self) -> AsyncGenerator[OrderEvent]:
        async for message in self._link.messages():
            if isinstance(message, bytes):
                continue
            if message["t"] == "welcome":
                labels = list(self._accounts if self._accounts is not None else message["accounts"])
                after = {label: self._after[label] for label in labels if label in self._after}
                await self._send("sub", accounts=labels, after=after)
            elif message["t"] == "snap":
                self._after[message["account"]] = message["offset"]
                for order in message["orders"]:
                    yield OrderEvent(message["account"], "snapshot", message["offset"], order, order)
            elif message["t"] == "ev":
                self._after[message["account"]] = message["offset"]
                yield _event(message)
            else:
                self._notice(message)


def _event(message: Mapping[str, Any]) -> OrderEvent:
    event = dict(message)
    order = cast("Order | None", event.get("order"))
    return OrderEvent(event["account"], str(event.get("kind", "event")), event["offset"], order, event)


@dataclass(slots=True)
class ChainUpdate:
    """A chain as it stands after one message; `changed` are the places of the rows that moved."""

    chain: str
    sequence: int
    head: Document
    analytics: Document
    columns: dict[str, list[Any]] = field(default_factory=dict)
    changed: Sequence[int] = ()


class ChainStream(_Stream["ChainUpdate"]):
    """Option chains with their Greeks, whole after every message; iterate it."""

    def __init__(self, url: str, api_key: str, *chains: str) -> None:
        route = f"{_socket_root(url)}/ws/v1/chains"
        super().__init__(Link(route, api_key, subprotocol=None, silence_seconds=EVENT_SILENCE))
        self._wanted = list(chains)
        self.chains: dict[str, ChainUpdate] = {}

    async def _items(self) -> AsyncGenerator[ChainUpdate]:
        async for message in self._link.messages():
            if isinstance(message, bytes):
                continue
            if message["t"] == "welcome":
                await self._send("sub", chains=self._wanted)
            elif message["t"] in {"snap", "d"}:
                yield self._put(message)
            else:
                self._notice(message)

    def _put(self, message: Mapping[str, Any]) -> ChainUpdate:
        name = message["chain"]
        update = ChainUpdate(name, message["to_seq"], message["head"], message["analytics"])
        if message["t"] == "snap":
            update.columns = {key: list(values) for key, values in message["columns"].items()}
            update.changed = range(len(update.columns["strike"]))
        else:
            update.columns = self.chains[name].columns
            update.changed = message["rows"]
            for column, values in message["columns"].items():
                for place, value in zip(message["rows"], values, strict=True):
                    update.columns[column][place] = value
        self.chains[name] = update
        return update


def _socket_root(url: str) -> str:
    return "ws" + url.rstrip("/").removeprefix("http")
