"""Asks the broker for the minutes that holes in the stream left out."""

import sys
from typing import Any

from django.core.management.base import BaseCommand
from django.utils import timezone

from accounts.sessions import Sessions
from market_data.backfill import backfill
from market_data.history import Broker
from market_data.management.progress import Bar


class Command(BaseCommand):
    """Assembles one call of market_data.backfill.backfill."""

    help = __doc__

    def handle(self, **options: Any) -> None:
        """Fill and say what was filled."""
        now = timezone.now()
        bar = Bar(stream=sys.stderr, title="holes")
        done = backfill(
            broker=Broker(sessions=Sessions(), now=now),
            now=now,
            told=lambda count, of: bar.show(f"{count} of {of} holes", count / of),
        )
        bar.close()
        self.stdout.write(
            f"{done.gaps} holes filled, {done.asked} asked for, {done.minutes} minutes changed; "
            f"{done.failed} failed, {done.left} instruments left"
        )
