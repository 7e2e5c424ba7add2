"""One reader of a saturated tick stream, ours or the official one: prints what it took a processor second.

python -m benchmarks.fanout.readers ours|official PORT SECONDS
"""

import asyncio
import json
import os
import sys
import time
from typing import Any, Final

import uvloop
from kiteconnect import KiteTicker
from twisted.internet import reactor

from kite.socket import Connection
from kite.types import Login, Mode
from market_data.bus import AsyncBus
from market_data.ingest import Ingest

WARM_SECONDS: Final = 0.5
# As in market_data.feed, which needs a database to be imported.
FLUSH_SECONDS: Final = 0.05


async def ours(port: int, seconds: float) -> None:
    """Read with the product's connection, decode and publish with every flush; the recorder's stream is left out."""
    ingest = Ingest(shard=1, epoch=1)
    bus = AsyncBus(url=os.environ["REDIS_URL"])
    connection = Connection(
        login(port),
        on_frame=lambda frame, at: ingest.receive(source="feed", frame=frame, received_at=at),
        on_text=lambda _: None,
        on_state=lambda _: None,
    )
    await connection.set_wanted({257: Mode.FULL})
    running = asyncio.create_task(connection.run())
    await flush_for(ingest, bus, WARM_SECONDS)
    before, spent = ingest.counts["packets"], time.process_time()
    await flush_for(ingest, bus, seconds)
    tell(ingest.counts["packets"] - before, time.process_time() - spent)
    running.cancel()


async def flush_for(ingest: Ingest, bus: AsyncBus, seconds: float) -> None:
    """Publish in the product's rhythm for a while."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        await asyncio.sleep(FLUSH_SECONDS)
        flushed = ingest.flush(published_at=time.time())
        if flushed is not None:
            await bus.publish_batch(batch=flushed.batch, raw=None)


def official(port: int, seconds: float) -> None:
    """Read with the broker's own library, which hands over parsed ticks; nothing is done with them."""
    taken = {"ticks": 0, "before": 0}
    spent = 0.0
    ticker = KiteTicker("key", "token", root=f"ws://127.0.0.1:{port}")

    def on_ticks(_: Any, ticks: list[Any]) -> None:
        taken["ticks"] += len(ticks)

    def begin() -> None:
        nonlocal spent
        taken["before"], spent = taken["ticks"], time.process_time()

    def end() -> None:
        tell(taken["ticks"] - taken["before"], time.process_time() - spent)
        os._exit(0)

    def on_connect(_: Any, __: Any) -> None:
        later: Any = reactor
        later.callLater(WARM_SECONDS, begin)
        later.callLater(WARM_SECONDS + seconds, end)

    ticker.on_ticks, ticker.on_connect = on_ticks, on_connect
    ticker.connect()


def login(port: int) -> Login:
    """Return a login for the stream of this run."""
    root = f"ws://127.0.0.1:{port}"
    return Login(account_id="a", api_key="k", access_token="t", version=1, rest_root="", ws_root=root)


def tell(ticks: int, spent: float) -> None:
    """Print the answer."""
    print(json.dumps({"ticks": ticks, "cpu_seconds": spent}), flush=True)


def main() -> None:
    """Read as told."""
    kind, port, seconds = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
    if kind == "ours":
        uvloop.run(ours(port, seconds))
    else:
        official(port, seconds)


if __name__ == "__main__":
    main()
