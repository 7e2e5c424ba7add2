"""Lets trading go on: releases halts."""

import argparse
from typing import Any

from django.utils import timezone

from accounts.audit import required
from accounts.management.operating import Answer, OperatorCommand
from accounts.management.whoami import operator_name
from accounts.models import TradingHalt
from accounts.queries import open_halts
from ops import halt

EXAMPLES = """examples:
  manage.py resume                                       list what is halted
  manage.py resume 12 --reason "strategy fixed"          release one halt
  manage.py resume --all --reason "drill is over"        release every halt

A second person has to have approved it: ask on the Desk, and let another person approve there.
Orders that were denied meanwhile stay denied and must be sent anew."""


class Command(OperatorCommand):
    """Assembles calls of ops.halt.release."""

    help = "List the halts in force, or release them."
    examples = EXAMPLES

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Name halts by number, or all of them."""
        parser.add_argument("halts", nargs="*", type=int, metavar="HALT", help="number, as the list shows it")
        parser.add_argument("--all", action="store_true", help="release every halt")
        parser.add_argument("--reason", default="", help="goes into the audit trail")

    def answer(self, *, halts: list[int], reason: str, **options: Any) -> Answer:
        """Release what was named; without a name, list."""
        wanted = [row.pk for row in open_halts()] if options["all"] else halts
        if not wanted:
            return _listed(open_halts())
        why, actor, now = required(reason), operator_name(), timezone.now()
        released = [halt.release(halt_id=number, actor=actor, now=now, reason=why) for number in wanted]
        return Answer(
            document={"released": [row.pk for row in released]},
            lines=[f"released {row.pk}: {row}" for row in released],
        )


def _listed(standing: list[TradingHalt]) -> Answer:
    names = ("pk", "scope", "target", "level", "reason", "engaged_by", "engaged_at")
    return Answer(
        document={"halts": [{name: getattr(row, name) for name in names} for row in standing]},
        lines=[_line(row) for row in standing] or ["nothing is halted"],
    )


def _line(row: TradingHalt) -> str:
    return f"{row.pk:>6}  {row}  since {row.engaged_at:%Y-%m-%d %H:%M} UTC by {row.engaged_by}: {row.reason}"
