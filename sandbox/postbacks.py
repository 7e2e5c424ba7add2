"""Signed HTTP postbacks of order endings and changes, with switches for everything that goes wrong with them."""

from __future__ import annotations

import asyncio
import hashlib
import json
import random

import aiohttp

from sandbox.accounts import User
from sandbox.clock import stamp
from sandbox.orders import TERMINAL, Order, Status, update_row
from sandbox.settings import Settings

TIMEOUT = aiohttp.ClientTimeout(total=3.0)


def checksum(*, order_id: str, order_timestamp: str, api_secret: str) -> str:
    return hashlib.sha256(f"{order_id}{order_timestamp}{api_secret}".encode()).hexdigest()


class Postbacks:
    """Sends to one registered URL; no retries, as the broker documents none."""

    def __init__(self, *, url: str, settings: Settings, seed: int) -> None:
        self.url = url
        self.settings = settings
        self.sent = 0
        self.failed = 0
        self._random = random.Random(seed)
        self._session: aiohttp.ClientSession | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._held: bytes | None = None

    def tell(self, *, order: Order, status: Status | None, user: User) -> None:
        shown = status or order.status
        if not self.url or (shown not in TERMINAL and shown is not Status.UPDATE):
            return
        if self._random.random() < self.settings.postback_drop:
            return
        body = self.body(order=order, status=status, user=user)
        bodies = [one for one in self._in_order(body) for _ in range(1 + self.settings.postback_duplicate)]
        task = asyncio.get_running_loop().create_task(self._post_all(bodies))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def body(self, *, order: Order, status: Status | None, user: User) -> bytes:
        secret = "wrong" if self.settings.postback_bad_checksum else user.api_secret
        sign = checksum(order_id=order.order_id, order_timestamp=stamp(order.ordered_at) or "", api_secret=secret)
        return json.dumps(update_row(order, app_id=user.app_id, status=status, checksum=sign)).encode()

    def _in_order(self, body: bytes) -> list[bytes]:
        """With the reorder switch, hold every other postback back until the next one has gone."""
        if not self.settings.postback_reorder:
            return [body]
        if self._held is None:
            self._held = body
            return []
        held, self._held = self._held, None
        return [body, held]

    async def _post_all(self, bodies: list[bytes]) -> None:
        await asyncio.sleep(self.settings.postback_delay_seconds)
        for body in bodies:
            await self._post(body)

    async def _post(self, body: bytes) -> None:
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=TIMEOUT)
        try:
            async with self._session.post(self.url, data=body, headers={"Content-Type": "application/json"}):
                self.sent += 1
        except (aiohttp.ClientError, TimeoutError):
            self.failed += 1

    async def stop(self) -> None:
        for task in list(self._tasks):
            task.cancel()
        if self._session is not None:
            await self._session.close()
