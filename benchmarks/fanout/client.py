"""The load client's driver: starts it, speaks its line protocol, reads what it saw."""

import asyncio
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.fanout.machine import Cores, pin
from benchmarks.fanout.ticks import Prices

ANSWER_SECONDS: Final = 90.0
LINE_BYTES: Final = 1 << 20


class ClientBroken(RuntimeError):
    """The load client ended or did not answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What the reading clients saw since the last reset; times from publishing to receiving, in microseconds."""

    ticks: int
    frames: int
    bytes: int
    gaps: int
    lost_clients: int
    p50_us: int
    p99_us: int
    max_us: int


@dataclass(frozen=True, slots=True)
class Caught:
    """How much a client that had stopped read before the newest sequence; `late` where it never came."""

    late: bool
    frames: int
    bytes: int


class LoadClient:
    """One process with many sockets."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.pid = process.pid

    @classmethod
    async def start(cls, *, program: Path | None, cores: Cores) -> "LoadClient":
        """Start the C program or, without one, the same in Python."""
        command = [str(program)] if program else [sys.executable, "-m", "benchmarks.fanout.load"]
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe, limit=LINE_BYTES)
        pin(process.pid, cores.others)
        return cls(process)

    async def open(self, *, port: int, clients: int, slow: int, subprotocol: str, message: str) -> None:
        """Connect and subscribe this many; the last `slow` can be stalled."""
        answer = await self._ask(f"open {port} {clients} {slow} {subprotocol or '-'} /ws {message}")
        if answer != f"opened {clients} 0":
            raise ClientBroken(f"of {clients} clients, ready and lost: {answer}")

    async def reset(self) -> None:
        """Begin to count anew."""
        await self._ask("reset")

    async def wait_ticks(self, each: int, *, seconds: float) -> bool:
        """Return when every reading client has had so many ticks since the reset; False when they never came."""
        return await self._ask(f"wait {each} {int(seconds * 1000)}") == "ok"

    async def wait_sequence(self, sequence: int, *, seconds: float) -> bool:
        """Return when every reading client is at the sequence; False when one never came there."""
        return (await self._ask(f"until {sequence} {int(seconds * 1000)}")).startswith("ok")

    async def stall(self) -> None:
        """Stop reading the slow clients' sockets."""
        await self._ask("stall")

    async def resume(self, sequence: int, *, seconds: float) -> Caught:
        """Let the slow ones read on until they are at the sequence; the slowest is told of."""
        word, frames, size = (await self._ask(f"resume {sequence} {int(seconds * 1000)}")).split()
        return Caught(late=word != "ok", frames=int(frames), bytes=int(size))

    async def wrong(self, prices: Prices) -> int:
        """Return how many clients hold other last prices than these."""
        return int((await self._ask("check " + " ".join(map(str, prices.tolist())))).split()[1])

    async def seen(self) -> Seen:
        """Return what was seen since the reset."""
        return Seen(**json.loads(await self._ask("stats")))

    async def close(self) -> None:
        """Close every socket."""
        await self._ask("close")

    async def stop(self) -> None:
        """End the process."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        await asyncio.wait_for(self._process.wait(), 10)

    async def _ask(self, line: str) -> str:
        sink, source = self._process.stdin, self._process.stdout
        if sink is None or source is None:
            raise ClientBroken("the load client has no pipes")
        sink.write(line.encode() + b"\n")
        await sink.drain()
        async with asyncio.timeout(ANSWER_SECONDS):
            answer = await source.readline()
        if not answer:
            raise ClientBroken(f"the load client ended after {line[:40]!r}")
        return answer.decode().strip()
