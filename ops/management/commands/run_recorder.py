"""Stores ticks and minute candles from the bus, exactly once."""

import asyncio
import signal
from typing import Any

import uvloop
from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser

from accounts.management.operating import SERVER_CODES, Layout
from market_data.bus import AsyncBus
from market_data.recorder import Recorder

STOPS = (signal.SIGTERM, signal.SIGINT)


class Command(BaseCommand):
    """Assembles the recorder process."""

    help = __doc__

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        """Say what its end means."""
        return super().create_parser(prog_name, subcommand, epilog=SERVER_CODES, formatter_class=Layout, **kwargs)

    def handle(self, **options: Any) -> None:
        """Store until told to stop."""
        uvloop.run(_record())


async def _record() -> None:
    bus = AsyncBus(url=settings.REDIS_URL)
    loop = asyncio.get_running_loop()
    running = asyncio.ensure_future(Recorder(shards=settings.FEED_SHARDS, bus=bus).run())
    for name in STOPS:
        loop.add_signal_handler(name, running.cancel)
    try:
        await asyncio.wait([running])
        if not running.cancelled():
            running.result()
    finally:
        await bus.close()
