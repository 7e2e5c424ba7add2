"""One streaming connection of one account, as the feed sees it."""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Final, Never, Protocol

import numpy as np

from kite.socket import ConnectionState, Phase
from kite.types import Login, Mode

STREAMING: Final = frozenset({Phase.OPEN, Phase.SUSPECT})
SAMPLES: Final = 2_000


class Socket(Protocol):
    """What the feed needs of `kite.socket.Connection`."""

    latency: float | None

    async def run(self) -> Never:
        """Keep the connection open until cancelled."""

    async def set_wanted(self, wanted: Mapping[int, Mode]) -> None:
        """Hold exactly these instruments."""


class Connect(Protocol):
    """Makes a socket; the feed's way to be given another one."""

    def __call__(
        self,
        login: Login,
        *,
        on_frame: Callable[[bytes, float], None],
        on_text: Callable[[dict[str, object]], None],
        on_state: Callable[[ConnectionState], None],
    ) -> Socket:
        """Return a socket that is not open yet."""


class Line:
    """A connection, what it holds and how it does."""

    def __init__(
        self,
        login: Login,
        *,
        label: str,
        connect: Connect,
        on_frame: Callable[[str, bytes, float], None],
        on_text: Callable[["Line", dict[str, object]], None],
        on_state: Callable[["Line", ConnectionState], None],
    ) -> None:
        self.login = login
        self.label = label
        self.wanted: dict[int, Mode] = {}
        self.settling = False
        self.state = ConnectionState(Phase.CONNECTING)
        self.last_frame_at = time.time()
        self._on_frame = on_frame
        self._on_text = on_text
        self._on_state = on_state
        self.socket = connect(login, on_frame=self._frame, on_text=self._text, on_state=self._moved)
        self.task: asyncio.Task[Never] = asyncio.create_task(self.socket.run(), name=f"line {label}")

    async def hold(self, wanted: Mapping[int, Mode]) -> None:
        """Stream exactly these instruments."""
        if wanted != self.wanted:
            self.wanted = dict(wanted)
            await self.socket.set_wanted(wanted)

    def is_streaming(self) -> bool:
        """Say whether the broker was told what is wanted and the link stands."""
        return self.state.phase in STREAMING

    async def close(self) -> None:
        """Close the connection."""
        self.task.cancel()
        await asyncio.wait([self.task])

    def report(self, *, now: float) -> dict[str, object]:
        """Return how the connection does."""
        latency = self.socket.latency
        return {
            "phase": self.state.phase,
            "cause": self.state.cause,
            "attempt": self.state.attempt,
            "tokens": len(self.wanted),
            "last_tick_age": round(now - self.last_frame_at, 3),
            "ping_ms": None if latency is None else round(latency * 1000, 2),
        }

    def _frame(self, frame: bytes, received_at: float) -> None:
        self.last_frame_at = received_at
        self._on_frame(self.login.account_id, frame, received_at)

    def _text(self, message: dict[str, object]) -> None:
        self._on_text(self, message)

    def _moved(self, state: ConnectionState) -> None:
        self.state = state
        self._on_state(self, state)


class Pace:
    """How late and how fast one account's packets are, over the last samples."""

    def __init__(self) -> None:
        self._delays: deque[tuple[float, float, int]] = deque(maxlen=SAMPLES)

    def note(self, *, received_at: float, published_at: float, packets: int) -> None:
        """Count a frame that has just been published."""
        self._delays.append((received_at, published_at - received_at, packets))

    def report(self, *, now: float, window: float = 10.0) -> dict[str, object]:
        """Return ticks per second and the lag from arrival to publication, in milliseconds."""
        recent = [sample for sample in self._delays if sample[0] > now - window]
        if not recent:
            return {"ticks_per_second": 0.0, "lag_ms": None}
        middle, late = np.percentile([delay for _, delay, _ in recent], [50, 99]) * 1000
        span = max(now - recent[0][0], 0.05)
        return {
            "ticks_per_second": round(sum(packets for _, _, packets in recent) / span, 1),
            "lag_ms": {"p50": round(float(middle), 2), "p99": round(float(late), 2)},
        }
