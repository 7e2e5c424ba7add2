"""Streams market data: sockets equal to what the database wants, ticks to the bus, order updates to the orders."""

import argparse
import asyncio
import os
import signal
import socket
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID

import structlog
import uvloop
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import Error, connection
from django.utils import timezone

from accounts.errors import PlatformError
from accounts.management.operating import SERVER_CODES, Layout
from accounts.sessions import Sessions
from kite.rows import BrokenRow, order_update
from market_data.bus import AsyncBus
from market_data.errors import ShardTaken
from market_data.feed import Feed
from market_data.ledger import DatabaseLedger
from market_data.spool import Spool
from orders.reconciliation import hear

log = structlog.get_logger(__name__)

STOPS = (signal.SIGTERM, signal.SIGINT)


class OrderUpdates:
    """Takes order updates off the loop, in order; one that fails here is found again by the periodic reading."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="order-updates")

    def __call__(self, account_id: str, payload: Mapping[str, object]) -> None:
        """Take one update in."""
        self._thread.submit(_hear, account_id, payload)

    def close(self) -> None:
        """Take in what has come and end the thread."""
        self._thread.shutdown(wait=True)


def _hear(account_id: str, payload: Mapping[str, object]) -> None:
    try:
        hear(account_id=UUID(account_id), row=order_update(payload), now=timezone.now())
    except (Error, PlatformError, BrokenRow) as error:
        log.warning("orders.update.unheard", account_id=account_id, reason=f"{type(error).__name__}: {error}")
        connection.close()


class Command(BaseCommand):
    """Assembles one feed process."""

    help = __doc__

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        """Say what its end means."""
        return super().create_parser(prog_name, subcommand, epilog=SERVER_CODES, formatter_class=Layout, **kwargs)

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Choose the shard."""
        parser.add_argument("--shard", type=int, default=0, help=f"0 to {settings.FEED_SHARDS - 1}")

    def handle(self, *, shard: int, **options: Any) -> None:
        """Stream until told to stop."""
        if not 0 <= shard < settings.FEED_SHARDS:
            raise CommandError(f"--shard was {shard}, FEED_SHARDS is {settings.FEED_SHARDS}")
        updates = OrderUpdates()
        try:
            uvloop.run(_stream(shard, updates))
        except* ShardTaken as group:
            raise CommandError(str(group.exceptions[0])) from group
        finally:
            updates.close()


async def _stream(shard: int, updates: OrderUpdates) -> None:
    bus = AsyncBus(url=settings.REDIS_URL)
    owner = f"{socket.gethostname()}:{os.getpid()}"
    feed = Feed(
        shard=shard,
        bus=bus,
        ledger=DatabaseLedger(shard=shard, shards=settings.FEED_SHARDS, owner=owner, sessions=Sessions()),
        on_order_update=updates,
        spool=Spool(settings.DATA_DIR / "spool" / str(shard)),
    )
    try:
        await _until_told(feed)
    finally:
        await bus.close()


async def _until_told(feed: Feed) -> None:
    """SIGTERM and SIGINT end the feed as an orderly stop."""
    loop = asyncio.get_running_loop()
    running = asyncio.ensure_future(feed.run())
    for name in STOPS:
        loop.add_signal_handler(name, running.cancel)
    await asyncio.wait([running])
    if not running.cancelled():
        running.result()
