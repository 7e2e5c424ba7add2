"""Publishes recorded ticks again, on a channel of their own: clients of the tick socket ask for it with `replay`."""

import argparse
import sys
import time
from dataclasses import asdict
from datetime import datetime
from typing import Any

from accounts.management.operating import Answer, OperatorCommand, Trial
from accounts.management.progress import Bar
from market_data.asking import Asked, resolve_all
from market_data.bus import sync_bus
from market_data.calendar import IST
from market_data.replay import count, play, recorded


class Command(OperatorCommand):
    """Assembles one call of market_data.replay.play."""

    help = __doc__
    trial = Trial.SAID
    examples = """examples:
  manage.py replay_ticks --from 2026-11-24T09:15 --to 2026-11-24T09:30 --instrument NSE:INFY
  manage.py replay_ticks --from 2026-11-24T09:15 --to 2026-11-24T15:30 --speed 60"""

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Choose what, and how fast."""
        parser.add_argument("--from", type=_moment, required=True, dest="start", help="ISO 8601; IST without an offset")
        parser.add_argument("--to", type=_moment, required=True, dest="end", help="ISO 8601; IST without an offset")
        parser.add_argument("--speed", type=_speed, default=1.0, help="times the pace it was recorded at (%(default)s)")
        parser.add_argument("--instrument", action="append", default=[], dest="keys", help="NSE:INFY; default: all")

    def answer(
        self, *, start: datetime, end: datetime, speed: float, keys: list[str], preview: bool, **options: Any
    ) -> Answer:
        """Replay and say how much."""
        tokens = [row.instrument_token for row in resolve_all(Asked(keys=keys))]
        span = (end - start).total_seconds()
        if preview:
            ticks = count(start=start, end=end, tokens=tokens)
            line = f"{ticks} ticks of {span / speed:.0f} s published"
            return Answer(document={"ticks": ticks, "seconds": span / speed}, lines=[line])
        bar = Bar(stream=sys.stderr, title="replay")
        try:
            done = play(
                ticks=recorded(start=start, end=end, tokens=tokens),
                speed=speed,
                bus=sync_bus(),
                run=int(time.time()),
                told=lambda moment: bar.show(
                    f"{datetime.fromtimestamp(moment, IST):%H:%M:%S}", (moment - start.timestamp()) / span
                ),
            )
        finally:
            bar.close()
        return Answer(document=asdict(done), lines=[f"run {done.run}: {done.ticks} ticks in {done.batches} messages"])


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=IST)


def _speed(text: str) -> float:
    speed = float(text)
    if not 0 < speed <= 10_000:  # noqa: PLR2004 (named by the message)
        raise argparse.ArgumentTypeError("a speed is above 0 and at most 10000")
    return speed
