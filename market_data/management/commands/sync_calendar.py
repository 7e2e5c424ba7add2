"""Loads holidays and special sessions from the holiday library and the exchanges' circulars."""

from typing import Any

from django.core.management.base import BaseCommand
from django.utils import timezone

from market_data.trading_days import sync


class Command(BaseCommand):
    """Assembles one call of market_data.trading_days.sync."""

    help = __doc__

    def handle(self, **options: Any) -> None:
        """Load and say what changed."""
        done = sync(now=timezone.now())
        self.stdout.write(f"{done.added} odd trading days added, {done.removed} removed, {done.kept} as they were")
