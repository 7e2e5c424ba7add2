"""Lets trading go on: releases halts."""

import argparse
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from accounts.audit import required
from accounts.errors import PlatformError
from accounts.queries import open_halts
from ops import halt
from ops.management.whoami import operator_name

EXAMPLES = """examples:
  manage.py resume                                       list what is halted
  manage.py resume 12 --reason "strategy fixed"          release one halt
  manage.py resume --all --reason "drill is over"        release every halt

A second person has to have approved it: ask on the Desk, and let another person approve there.
Orders that were denied meanwhile stay denied and must be sent anew."""


class Command(BaseCommand):
    """Assembles calls of ops.halt.release."""

    help = "List the halts in force, or release them."

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> Any:
        """Keep the line breaks of the examples."""
        kwargs |= {"epilog": EXAMPLES, "formatter_class": argparse.RawDescriptionHelpFormatter}
        return super().create_parser(prog_name, subcommand, **kwargs)

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Name halts by number, or all of them."""
        parser.add_argument("halts", nargs="*", type=int, metavar="HALT", help="number, as the list shows it")
        parser.add_argument("--all", action="store_true", help="release every halt")
        parser.add_argument("--reason", default="", help="goes into the audit trail")

    def handle(self, **options: Any) -> None:
        """Release what was named; without a name, list."""
        wanted: list[int] = [row.pk for row in open_halts()] if options["all"] else options["halts"]
        if not wanted:
            self._list()
            return
        try:
            reason = required(options["reason"])
            for number in wanted:
                released = halt.release(halt_id=number, actor=operator_name(), now=timezone.now(), reason=reason)
                self.stdout.write(f"released {number}: {released}")
        except PlatformError as error:
            raise CommandError(str(error)) from error

    def _list(self) -> None:
        standing = open_halts()
        if not standing:
            self.stdout.write("nothing is halted")
        for row in standing:
            since = f"since {row.engaged_at:%Y-%m-%d %H:%M} UTC by {row.engaged_by}"
            self.stdout.write(f"{row.pk:>6}  {row}  {since}: {row.reason}")
