"""Fifty clients at once against a web process, one endpoint after the other."""

import asyncio
import statistics
import time
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import aiohttp


@dataclass(frozen=True, slots=True)
class Ask:
    """One request, repeated; writes get a new Idempotency-Key each."""

    name: str
    method: str
    path: str
    status: int
    body: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Times:
    """Milliseconds of one endpoint, and how many were answered a second."""

    name: str
    p50: float
    p95: float
    p99: float
    per_second: float


def measure(*, root: str, key: str, asks: list[Ask], clients: int, requests: int) -> list[Times]:
    """Return the times of every endpoint, each asked `requests` times by `clients` at once."""
    return asyncio.run(_measure(root, key, asks, clients, requests))


async def _measure(root: str, key: str, asks: list[Ask], clients: int, requests: int) -> list[Times]:
    headers = {"Authorization": f"Bearer {key}"}
    connector = aiohttp.TCPConnector(limit=clients)
    async with aiohttp.ClientSession(root, headers=headers, connector=connector) as session:
        found = []
        for ask in asks:
            await _round(session, ask, clients, clients)
            begun = time.perf_counter()
            took = sorted(await _round(session, ask, clients, requests))
            cuts = statistics.quantiles(took, n=100)
            found.append(Times(ask.name, cuts[49], cuts[94], cuts[98], requests / (time.perf_counter() - begun)))
        return found


async def _round(session: aiohttp.ClientSession, ask: Ask, clients: int, requests: int) -> list[float]:
    waiting = list(range(requests))
    took: list[float] = []

    async def client() -> None:
        while waiting:
            waiting.pop()
            begun = time.perf_counter()
            headers = {} if ask.method == "GET" else {"Idempotency-Key": str(uuid4())}
            async with session.request(ask.method, ask.path, json=ask.body, headers=headers) as answer:
                text = await answer.text()
                assert answer.status == ask.status, f"{ask.name}: {answer.status} {text[:300]}"
            took.append((time.perf_counter() - begun) * 1000)

    await asyncio.gather(*(client() for _ in range(clients)))
    return took
