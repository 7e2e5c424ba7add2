"""Makes the tick table's days ahead and drops ticks and minutes past their time."""

import argparse
from datetime import timedelta
from typing import Any

from django.utils import timezone

from accounts.management.operating import Answer, OperatorCommand, Trial
from market_data import minutes
from market_data.partitions import TICKS


class Command(OperatorCommand):
    """Assembles one call of market_data.partitions.TICKS.maintain."""

    help = __doc__
    trial = Trial.SAID

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Choose how long ticks are kept."""
        parser.add_argument(
            "--keep-days", type=int, default=TICKS.keep_days, help="days of ticks to keep (%(default)s)"
        )
        parser.add_argument(
            "--keep-candle-days", type=int, default=minutes.KEPT.days, help="days of minutes to keep (%(default)s)"
        )

    def answer(self, *, keep_days: int, keep_candle_days: int, preview: bool, **options: Any) -> Answer:
        """Make, drop and say so."""
        now = timezone.now()
        oldest = now - timedelta(days=keep_candle_days)
        made, dropped = (TICKS.plan if preview else TICKS.maintain)(now=now, keep_days=keep_days)
        forgotten = minutes.count(before=oldest) if preview else minutes.forget(before=oldest)
        line = (
            f"made {', '.join(made) or 'none'}; dropped {', '.join(dropped) or 'none'}; {forgotten} minutes forgotten"
        )
        return Answer(document={"made": made, "dropped": dropped, "minutes": forgotten}, lines=[line])
