"""Asks the broker for the minutes that holes in the stream left out."""

import sys
from dataclasses import asdict
from typing import Any

from django.utils import timezone

from accounts.management.operating import Answer, OperatorCommand, Trial
from accounts.management.progress import Bar
from accounts.sessions import Sessions
from market_data.backfill import backfill, due
from market_data.history import Broker


class Command(OperatorCommand):
    """Assembles one call of market_data.backfill.backfill."""

    help = __doc__
    trial = Trial.SAID

    def answer(self, *, preview: bool, **options: Any) -> Answer:
        """Fill and say what was filled."""
        now = timezone.now()
        if preview:
            holes = len(due(now=now))
            return Answer(document={"gaps": holes}, lines=[f"{holes} holes asked for and filled"])
        bar = Bar(stream=sys.stderr, title="holes")
        done = backfill(
            broker=Broker(sessions=Sessions(), now=now),
            now=now,
            told=lambda count, of: bar.show(f"{count} of {of} holes", count / of),
        )
        bar.close()
        line = (
            f"{done.gaps} holes filled, {done.asked} asked for, {done.minutes} minutes changed; "
            f"{done.failed} failed, {done.left} instruments left"
        )
        trouble = f"{done.failed} instruments could not be read" if done.failed else ""
        return Answer(document=asdict(done), lines=[line], error=trouble)
