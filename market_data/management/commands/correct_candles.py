"""Puts the broker's minutes of a day over those that were built from ticks, once the exchanges have closed."""

import argparse
import sys
from dataclasses import asdict
from datetime import date
from typing import Any

from django.utils import timezone

from accounts.management.operating import Answer, OperatorCommand, Trial
from accounts.management.progress import Bar
from accounts.sessions import Sessions
from market_data.correction import correct_day, day_of, due
from market_data.history import Broker


class Command(OperatorCommand):
    """Assembles one call of market_data.correction.correct_day."""

    help = __doc__
    trial = Trial.SAID

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Choose the day."""
        parser.add_argument("--day", type=date.fromisoformat, help="a day in India; default: the last to close")

    def answer(self, *, day: date | None, preview: bool, **options: Any) -> Answer:
        """Correct and say what changed."""
        now = timezone.now()
        chosen = day or day_of(now)
        if preview:
            count = len(due(day=chosen, now=now))
            return Answer(document={"day": chosen, "instruments": count}, lines=[f"{count} instruments asked for"])
        bar = Bar(stream=sys.stderr, title="minutes")
        done = correct_day(
            day=chosen,
            broker=Broker(sessions=Sessions(), now=now),
            now=now,
            told=lambda count, of: bar.show(f"{count} of {of} instruments", count / of),
        )
        bar.close()
        return Answer(
            document={"day": chosen, **asdict(done)},
            lines=[f"{done.asked} asked for, {done.minutes} minutes changed; {done.failed} failed, {done.left} left"],
            error=f"{done.failed} instruments could not be read" if done.failed else "",
        )
