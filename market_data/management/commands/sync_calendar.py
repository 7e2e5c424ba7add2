"""Loads holidays and special sessions from the holiday library and the exchanges' circulars."""

from dataclasses import asdict
from typing import Any

from django.utils import timezone

from accounts.management.operating import Answer, OperatorCommand
from market_data.trading_days import sync


class Command(OperatorCommand):
    """Assembles one call of market_data.trading_days.sync."""

    help = __doc__

    def answer(self, **options: Any) -> Answer:
        """Load and say what changed."""
        done = sync(now=timezone.now())
        line = f"{done.added} odd trading days added, {done.removed} removed, {done.kept} as they were"
        return Answer(document=asdict(done), lines=[line])
