"""Requests at a rate, however slow the answers are: a late one is measured from when it was due."""

import asyncio
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count as count_from
from uuid import uuid4

import aiohttp

from accounts.models import BrokerAccount
from benchmarks.orders.desk import Desk

LATE_SECONDS = 60.0


@dataclass(slots=True)
class Answers:
    """How long each answer took, what it said, and how long all of them took."""

    took: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    seconds: float = 0.0

    @property
    def count(self) -> int:
        return len(self.took)

    def quantile(self, percent: int) -> float:
        ordered = sorted(self.took)
        return ordered[min(len(ordered) - 1, len(ordered) * percent // 100)]


@dataclass(slots=True)
class Load:
    """Orders at a rate, in turn over the accounts."""

    desk: Desk
    count: int
    per_second: float
    only: BrokerAccount | None = None
    answers: Answers = field(default_factory=Answers)
    begun: float = 0.0
    numbers: Iterator[int] = field(default_factory=count_from)

    async def run(self, *, clients: int) -> Answers:
        """Post them all and return the answers."""
        headers = {"Authorization": f"Bearer {self.desk.key}"}
        timeout = aiohttp.ClientTimeout(total=LATE_SECONDS)
        self.begun = time.perf_counter()
        async with aiohttp.ClientSession(self.desk.root, headers=headers, timeout=timeout) as session:
            await asyncio.gather(*(self._post(session) for _ in range(clients)))
        self.answers.seconds = time.perf_counter() - self.begun
        return self.answers

    async def _post(self, session: aiohttp.ClientSession) -> None:
        while (number := next(self.numbers)) < self.count:
            due = self.begun + number / self.per_second
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            account = self.only or self.desk.accounts[number % len(self.desk.accounts)]
            headers = {"Idempotency-Key": str(uuid4())}
            try:
                async with session.post("/api/v1/orders", json=self.desk.body(account), headers=headers) as answer:
                    await answer.read()
                    self.answers.statuses[answer.status] += 1
            except (TimeoutError, aiohttp.ClientError):
                self.answers.statuses[0] += 1
            self.answers.took.append((time.perf_counter() - due) * 1000)
