"""A connection under test with everything it reported."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from kite.socket import Connection, ConnectionState, Options, Phase
from kite.types import Login

SECRET = "se+cret/access=token"

# The numbers of the product made quick, but not so quick that a busy machine looks like a dead broker.
QUICK = Options(
    open_timeout=2,
    ping_interval=0.1,
    pong_timeout=0.5,
    suspect_after=0.5,
    silent_after=1.0,
    close_timeout=0.1,
    backoff_first=0.01,
    backoff_last=0.1,
    backoff_rejected=0.05,
)


@dataclass
class Listener:
    """What a connection told."""

    connection: Connection = field(init=False)
    frames: list[tuple[bytes, float]] = field(default_factory=list)
    texts: list[dict[str, Any]] = field(default_factory=list)
    states: list[ConnectionState] = field(default_factory=list)

    def on_frame(self, frame: bytes, received_at: float) -> None:
        self.frames.append((frame, received_at))

    @property
    def phases(self) -> list[Phase]:
        return [state.phase for state in self.states]

    def lost(self) -> list[str]:
        return [state.cause for state in self.states if state.phase is Phase.LOST]


def stranger(root: str, *, source_address: str = "") -> Login:
    return Login("account", "key", SECRET, 1, "http://unused", root, source_address)


@asynccontextmanager
async def listening(
    root: str, *, options: Options = QUICK, source_address: str = "", login: Login | None = None
) -> AsyncIterator[Listener]:
    """Run a connection until the block ends; fail with what it raised."""
    listener = Listener()
    listener.connection = Connection(
        login or stranger(root, source_address=source_address),
        on_frame=listener.on_frame,
        on_text=listener.texts.append,
        on_state=listener.states.append,
        options=options,
    )
    running = asyncio.create_task(listener.connection.run())
    try:
        yield listener
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running


async def until(condition: Callable[[], object], *, patience: float = 20) -> None:
    """Wait for a condition, looking often."""
    async with asyncio.timeout(patience):
        while not condition():  # noqa: ASYNC110 - the condition is another program's
            await asyncio.sleep(0.005)
