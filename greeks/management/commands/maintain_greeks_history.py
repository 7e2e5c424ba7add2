"""Makes the option history's days ahead and drops those past their time."""

import argparse
from typing import Any

from django.utils import timezone

from accounts.management.operating import Answer, OperatorCommand, Trial
from greeks.option_store import MINUTES


class Command(OperatorCommand):
    """Assembles one call of greeks.option_store.MINUTES.maintain."""

    help = __doc__
    trial = Trial.SAID

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Choose how long option minutes are kept."""
        parser.add_argument(
            "--keep-days", type=int, default=MINUTES.keep_days, help="days of minutes to keep (%(default)s)"
        )

    def answer(self, *, keep_days: int, preview: bool, **options: Any) -> Answer:
        """Make, drop and say so."""
        act = MINUTES.plan if preview else MINUTES.maintain
        made, dropped = act(now=timezone.now(), keep_days=keep_days)
        return Answer(
            document={"made": made, "dropped": dropped},
            lines=[f"made {', '.join(made) or 'none'}; dropped {', '.join(dropped) or 'none'}"],
        )
