"""Takes back what is open under a halt and closes its positions, and looks until the broker shows nothing."""

import argparse
import time
from contextlib import nullcontext
from typing import Any

from django.utils import timezone

from accounts.management.operating import Answer, OperatorCommand, Trial, taken_back
from accounts.management.whoami import operator_name
from accounts.sessions import Sessions
from ops import clearing
from ops.stops import HaltReport
from orders.clock import DatabaseClock

EXAMPLES = """examples:
  manage.py flatten 12                  cancel and close under halt 12; a second person has to have approved it
  manage.py flatten 12 --orders-only    only take the open orders back
  manage.py flatten 12 --dry-run        what is open now

manage.py resume lists the halts. The orders leave through the workers, within each account's budget."""


class Command(OperatorCommand):
    """Assembles the clearing of one halt and follows it to its end."""

    help = __doc__
    trial = Trial.SAID
    examples = EXAMPLES

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Name the halt."""
        parser.add_argument("halt", type=int, metavar="HALT", help="number, as manage.py resume shows it")
        parser.add_argument("--orders-only", action="store_true", help="leave the positions as they are")

    def answer(self, *, halt: int, orders_only: bool, preview: bool, **options: Any) -> Answer:
        """Begin, and look until it has ended."""
        clock, sessions = DatabaseClock(), Sessions()
        with taken_back() if preview else nullcontext():
            report = clearing.begin(halt_id=halt, flatten=not orders_only, actor=operator_name(), now=timezone.now())
        if preview:
            open_now = clearing.survey(halt_id=halt, flatten=not orders_only, sessions=sessions, clock=clock)
            lines = [f"{label}: {what}" for label, rows in sorted(open_now.items()) for what in rows]
            return Answer(document={"halt": halt, "open": open_now}, lines=lines or ["nothing is open"])
        while report.state == HaltReport.State.RUNNING:
            report = clearing.pursue(report_id=report.pk, sessions=sessions, clock=clock)
            left = sum(len(rows) for rows in report.left.values())
            self.remark(f"{report.state}: {report.cancels} cancels, {report.closings} closing orders, {left} left")
            if report.state == HaltReport.State.RUNNING:
                time.sleep(clearing.LOOK_AGAIN.total_seconds())
        names = ("state", "cancels", "closings", "left")
        return Answer(
            document={"halt": halt, **{name: getattr(report, name) for name in names}},
            error="" if report.state == HaltReport.State.DONE else f"not clear: {report.left}",
        )
