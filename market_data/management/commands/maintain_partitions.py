"""Makes the tick table's days ahead and drops ticks and minutes past their time."""

import argparse
from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand
from django.utils import timezone

from market_data import minutes
from market_data.partitions import KEPT_DAYS, maintain


class Command(BaseCommand):
    """Assembles one call of market_data.partitions.maintain."""

    help = __doc__

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Choose how long ticks are kept."""
        parser.add_argument("--keep-days", type=int, default=KEPT_DAYS, help="days of ticks to keep (%(default)s)")
        parser.add_argument(
            "--keep-candle-days", type=int, default=minutes.KEPT.days, help="days of minutes to keep (%(default)s)"
        )

    def handle(self, *, keep_days: int, keep_candle_days: int, **options: Any) -> None:
        """Make, drop and say so."""
        now = timezone.now()
        made, dropped = maintain(now=now, keep_days=keep_days)
        forgotten = minutes.forget(before=now - timedelta(days=keep_candle_days))
        self.stdout.write(
            f"made {', '.join(made) or 'none'}; dropped {', '.join(dropped) or 'none'}; {forgotten} minutes forgotten"
        )
