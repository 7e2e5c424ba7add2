"""One reader a chain in a web process: it keeps the latest blob and renders each message once for all clients."""

import asyncio
import contextlib
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import orjson
import structlog

from greeks import store
from greeks.errors import BadChainBlob, ChainNotReady, UnknownChain
from greeks.serializers import columns_document, head_document, summary_document
from greeks.store import Chain, ChainKey
from greeks.summary import summarise
from market_data.bus import AsyncBus
from market_data.errors import FeedDown

log = structlog.get_logger(__name__)

FIXED: Final = frozenset({"strike", "side"})


class Board:
    """The latest state of one chain, and at which sequence each of its rows last changed."""

    def __init__(self, key: ChainKey) -> None:
        self.key = key
        self.chain: Chain | None = None
        self.watchers = 0
        self._changed: npt.NDArray[np.uint64] = np.zeros(0, np.uint64)
        self._moved = asyncio.Event()
        self._rendered: dict[int | None, bytes] = {}

    @property
    def sequence(self) -> int:
        """Return the latest sequence, 0 before the first."""
        return self.chain.sequence if self.chain else 0

    def put(self, chain: Chain) -> None:
        """Take over a newer state and wake everybody who waits for one."""
        before = self.chain
        if before is not None and chain.sequence <= before.sequence:
            return
        if before is None or before.header["layout"] != chain.header["layout"]:
            self._changed = np.full(len(chain.rows), chain.sequence, np.uint64)
        else:
            self._changed[chain.rows != before.rows] = chain.sequence
        self.chain = chain
        self._rendered.clear()
        self._moved.set()
        self._moved = asyncio.Event()

    async def beyond(self, sequence: int) -> Chain:
        """Return the latest state once it is later than the sequence."""
        while self.chain is None or self.chain.sequence <= sequence:
            await self._moved.wait()
        return self.chain

    def message(self, *, chain: Chain, seen: Chain | None, now: datetime) -> bytes:
        """Return a snapshot, or what changed since the state the client has seen."""
        fits = seen is not None and seen.header["layout"] == chain.header["layout"]
        since = seen.sequence if fits and seen is not None else None
        if since not in self._rendered:
            self._rendered[since] = orjson.dumps(self._document(chain, since, now))
        return self._rendered[since]

    def _document(self, chain: Chain, since: int | None, now: datetime) -> dict[str, Any]:
        head = head_document(chain=chain, now=now)
        common = {
            "chain": str(self.key),
            "to_seq": chain.sequence,
            "head": head,
            "analytics": summary_document(summary=summarise(chain=chain)),
        }
        if since is None:
            columns: Mapping[str, Any] = {"tradingsymbol": chain.symbols, **columns_document(rows=chain.rows)}
            return {"t": "snap", **common, "columns": columns}
        rows = np.flatnonzero(self._changed > since)
        columns = {
            name: values for name, values in columns_document(rows=chain.rows[rows]).items() if name not in FIXED
        }
        return {"t": "d", "from_seq": since, **common, "rows": rows.tolist(), "columns": columns}


class ChainHub:
    """The boards of a web process; a board is read while somebody watches it."""

    def __init__(self, *, bus: AsyncBus) -> None:
        self._bus = bus
        self._boards: dict[ChainKey, Board] = {}
        self._readers: dict[ChainKey, asyncio.Task[None]] = {}

    async def live(self) -> dict[str, Chain]:
        """Return the heads of the live chains by name; raises ChainNotReady before the first computation."""
        blob = await self._bus.get_blob(store.INDEX)
        if blob is None:
            raise ChainNotReady("no chain was computed yet", field="chain")
        return {str(head.key): head for head in store.unpack_index(blob)}

    async def watch(self, key: ChainKey) -> Board:
        """Return the chain's board and keep it read; raises UnknownChain, ChainNotReady."""
        if str(key) not in await self.live():
            raise UnknownChain(f"no live chain {key}", field="chain")
        board = self._boards.setdefault(key, Board(key))
        board.watchers += 1
        if key not in self._readers:
            self._readers[key] = asyncio.create_task(self._read(board))
        return board

    async def leave(self, key: ChainKey) -> None:
        """Stop reading the chain when its last watcher leaves."""
        board = self._boards[key]
        board.watchers -= 1
        if board.watchers:
            return
        del self._boards[key]
        reader = self._readers.pop(key)
        reader.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await reader

    async def _read(self, board: Board) -> None:
        async for _ in self._bus.notices(board.key.blob):
            try:
                blob = await self._bus.get_blob(board.key.blob)
                if blob is not None:
                    board.put(store.unpack(blob))
            except (FeedDown, BadChainBlob) as error:
                log.warning("greeks.hub.unread", chain=str(board.key), reason=str(error))
