"""Puts the broker's minutes of a day over those that were built from ticks, once the exchanges have closed."""

import argparse
import sys
from datetime import date
from typing import Any

from django.core.management.base import BaseCommand
from django.utils import timezone

from accounts.sessions import Sessions
from market_data.correction import correct_day, day_of
from market_data.history import Broker
from market_data.management.progress import Bar


class Command(BaseCommand):
    """Assembles one call of market_data.correction.correct_day."""

    help = __doc__

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Choose the day."""
        parser.add_argument("--day", type=date.fromisoformat, help="a day in India; default: the last to close")

    def handle(self, *, day: date | None, **options: Any) -> None:
        """Correct and say what changed."""
        now = timezone.now()
        bar = Bar(stream=sys.stderr, title="minutes")
        done = correct_day(
            day=day or day_of(now),
            broker=Broker(sessions=Sessions(), now=now),
            now=now,
            told=lambda count, of: bar.show(f"{count} of {of} instruments", count / of),
        )
        bar.close()
        self.stdout.write(
            f"{done.asked} asked for, {done.minutes} minutes changed; {done.failed} failed, {done.left} left"
        )
