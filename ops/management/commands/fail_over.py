"""Moves an account's data to the others, or back."""

import argparse
import json
from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from accounts.errors import PlatformError
from ops import failover
from ops.management.whoami import operator_name

EXAMPLES = """examples:
  manage.py fail_over desk-1 --plan                                  what would move, and to whom
  manage.py fail_over desk-1 --reason "lag above a second"           move its data for an hour
  manage.py fail_over desk-1 --minutes 0 --reason "key is leaking"   until restored; takes no new orders either
  manage.py fail_over desk-1 --back --reason "broker fixed it"       bring it back

Orders never move: they stay with their account."""


class Command(BaseCommand):
    """Assembles one call of ops.failover."""

    help = "Move an account's instruments to the other accounts, or back."

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> Any:
        """Keep the line breaks of the examples."""
        kwargs |= {"epilog": EXAMPLES, "formatter_class": argparse.RawDescriptionHelpFormatter}
        return super().create_parser(prog_name, subcommand, **kwargs)

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Name the account and the direction."""
        parser.add_argument("label", help="the account's label")
        how = parser.add_mutually_exclusive_group()
        how.add_argument("--plan", action="store_true", help="say what would move and change nothing")
        how.add_argument("--back", action="store_true", help="restore the account")
        parser.add_argument("--minutes", type=int, default=60, help="comes back by itself; 0 is until restored")
        parser.add_argument("--reason", default="", help="goes into the audit trail")
        parser.add_argument("--json", action="store_true", help="answer in JSON")

    def handle(self, **options: Any) -> None:
        """Do it and say what moved."""
        try:
            move = self._move(options)
        except PlatformError as error:
            raise CommandError(str(error)) from error
        if options["json"]:
            answer = move and {"instruments": move.instruments, "takers": dict(move.takers), "unplaced": move.unplaced}
            self.stdout.write(json.dumps(answer))
        elif move is None:
            self.stdout.write(f"{options['label']} is active again")
        else:
            takers = ", ".join(f"{label} takes {count}" for label, count in sorted(move.takers.items()))
            self.stdout.write(f"{move.instruments} instruments of {move.label}: {takers or 'nobody can take them'}")

    def _move(self, options: dict[str, Any]) -> failover.Move | None:
        label, now = options["label"], timezone.now()
        if options["plan"]:
            return failover.plan(label=label, now=now)
        if options["back"]:
            failover.restore(label=label, reason=options["reason"], actor=operator_name(), now=now)
            return None
        until = now + timedelta(minutes=options["minutes"]) if options["minutes"] else None
        return failover.fail_over(label=label, reason=options["reason"], actor=operator_name(), now=now, until=until)
