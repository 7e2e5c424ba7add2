"""Moves an account's data to the others, or back."""

from argparse import ArgumentParser
from contextlib import nullcontext
from datetime import timedelta
from typing import Any

from django.core.management.base import CommandParser
from django.utils import timezone

from accounts.management.operating import Answer, OperatorCommand, Trial, taken_back
from accounts.management.whoami import operator_name
from ops import failover

EXAMPLES = """examples:
  manage.py fail_over desk-1 --dry-run                               what would move, and to whom
  manage.py fail_over desk-1 --reason "lag above a second"           move its data for an hour
  manage.py fail_over desk-1 --minutes 0 --reason "key is leaking"   until restored; takes no new orders either
  manage.py fail_over desk-1 --back --reason "broker fixed it"       bring it back

Orders never move: they stay with their account."""


class Command(OperatorCommand):
    """Assembles one call of ops.failover."""

    help = "Move an account's instruments to the other accounts, or back."
    trial = Trial.SAID
    examples = EXAMPLES

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Name the account and the direction."""
        parser.add_argument("label", help="the account's label")
        parser.add_argument("--back", action="store_true", help="restore the account")
        parser.add_argument("--minutes", type=int, default=60, help="comes back by itself; 0 is until restored")
        parser.add_argument("--reason", default="", help="goes into the audit trail")

    def add_trial(self, parser: CommandParser) -> None:
        """Know --dry-run by its older name too."""
        says = "say what would move, to whom, and change nothing"
        parser.add_argument("--dry-run", "--plan", dest="preview", action="store_true", help=says)

    def answer(self, *, label: str, back: bool, preview: bool, **options: Any) -> Answer:
        """Do it and say what moved."""
        now, reason = timezone.now(), options["reason"]
        if back:
            with taken_back() if preview else nullcontext():
                failover.restore(label=label, reason=reason, actor=operator_name(), now=now)
            return Answer(document={"account": label, "state": "active"}, lines=[f"{label} is active again"])
        if preview:
            return _told(failover.plan(label=label, now=now))
        until = now + timedelta(minutes=options["minutes"]) if options["minutes"] else None
        return _told(failover.fail_over(label=label, reason=reason, actor=operator_name(), now=now, until=until))


def _told(move: failover.Move) -> Answer:
    takers = ", ".join(f"{label} takes {count}" for label, count in sorted(move.takers.items()))
    return Answer(
        document={"instruments": move.instruments, "takers": dict(move.takers), "unplaced": move.unplaced},
        lines=[f"{move.instruments} instruments of {move.label}: {takers or 'nobody can take them'}"],
    )
