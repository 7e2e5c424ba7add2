"""Makes the option history's days ahead and drops those past their time."""

import argparse
from typing import Any

from django.core.management.base import BaseCommand
from django.utils import timezone

from greeks.option_store import KEPT_DAYS, maintain


class Command(BaseCommand):
    """Assembles one call of greeks.option_store.maintain."""

    help = __doc__

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Choose how long option minutes are kept."""
        parser.add_argument("--keep-days", type=int, default=KEPT_DAYS, help="days of minutes to keep (%(default)s)")

    def handle(self, *, keep_days: int, **options: Any) -> None:
        """Make, drop and say so."""
        made, dropped = maintain(now=timezone.now(), keep_days=keep_days)
        self.stdout.write(f"made {', '.join(made) or 'none'}; dropped {', '.join(dropped) or 'none'}")
