"""Takes back what is open under a halt and closes its positions, and looks until the broker shows nothing."""

import argparse
import time
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from accounts.errors import PlatformError
from accounts.sessions import Sessions
from ops import clearing
from ops.management.whoami import operator_name
from ops.stops import HaltReport
from orders.clock import DatabaseClock

EXAMPLES = """examples:
  manage.py flatten 12                  cancel and close under halt 12; a second person has to have approved it
  manage.py flatten 12 --orders-only    only take the open orders back

manage.py resume lists the halts. The orders leave through the workers, within each account's budget."""


class Command(BaseCommand):
    """Assembles the clearing of one halt and follows it to its end."""

    help = __doc__

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> Any:
        """Keep the line breaks of the examples."""
        kwargs |= {"epilog": EXAMPLES, "formatter_class": argparse.RawDescriptionHelpFormatter}
        return super().create_parser(prog_name, subcommand, **kwargs)

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Name the halt."""
        parser.add_argument("halt", type=int, metavar="HALT", help="number, as manage.py resume shows it")
        parser.add_argument("--orders-only", action="store_true", help="leave the positions as they are")

    def handle(self, **options: Any) -> None:
        """Begin, and look until it has ended."""
        clock, sessions = DatabaseClock(), Sessions()
        try:
            report = clearing.begin(
                halt_id=options["halt"],
                flatten=not options["orders_only"],
                actor=operator_name(),
                now=timezone.now(),
            )
        except PlatformError as error:
            raise CommandError(str(error)) from error
        while report.state == HaltReport.State.RUNNING:
            report = clearing.pursue(report_id=report.pk, sessions=sessions, clock=clock)
            left = sum(len(rows) for rows in report.left.values())
            self.stdout.write(
                f"{report.state}: {report.cancels} cancels, {report.closings} closing orders, {left} left"
            )
            if report.state == HaltReport.State.RUNNING:
                time.sleep(clearing.LOOK_AGAIN.total_seconds())
        if report.state != HaltReport.State.DONE:
            raise CommandError(f"not clear: {report.left}")
