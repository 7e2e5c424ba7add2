"""Publishes recorded ticks again, on a channel of their own: clients of the tick socket ask for it with `replay`."""

import argparse
import sys
import time
from datetime import datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from accounts.errors import PlatformError
from market_data.asking import Asked, resolve_all
from market_data.bus import sync_bus
from market_data.calendar import IST
from market_data.management.progress import Bar
from market_data.replay import play, recorded


class Command(BaseCommand):
    """Assembles one call of market_data.replay.play."""

    help = __doc__

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Choose what, and how fast."""
        parser.add_argument("--from", type=_moment, required=True, dest="start", help="ISO 8601; IST without an offset")
        parser.add_argument("--to", type=_moment, required=True, dest="end", help="ISO 8601; IST without an offset")
        parser.add_argument("--speed", type=_speed, default=1.0, help="times the pace it was recorded at (%(default)s)")
        parser.add_argument("--instrument", action="append", default=[], dest="keys", help="NSE:INFY; default: all")

    def handle(self, *, start: datetime, end: datetime, speed: float, keys: list[str], **options: Any) -> None:
        """Replay and say how much."""
        bar = Bar(stream=sys.stderr, title="replay")
        span = (end - start).total_seconds()
        try:
            tokens = [row.instrument_token for row in resolve_all(Asked(keys=keys))]
            done = play(
                ticks=recorded(start=start, end=end, tokens=tokens),
                speed=speed,
                bus=sync_bus(),
                run=int(time.time()),
                told=lambda moment: bar.show(
                    f"{datetime.fromtimestamp(moment, IST):%H:%M:%S}", (moment - start.timestamp()) / span
                ),
            )
        except PlatformError as error:
            raise CommandError(str(error)) from error
        finally:
            bar.close()
        self.stdout.write(f"run {done.run}: {done.ticks} ticks in {done.batches} messages")


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=IST)


def _speed(text: str) -> float:
    speed = float(text)
    if not 0 < speed <= 10_000:  # noqa: PLR2004 (named by the message)
        raise argparse.ArgumentTypeError("a speed is above 0 and at most 10000")
    return speed
