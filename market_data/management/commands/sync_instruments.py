"""Loads the instruments dump, from the broker or from a file."""

import argparse
import contextlib
import sys
from dataclasses import asdict
from io import BytesIO
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError
from django.utils import timezone

from accounts.management.operating import Answer, OperatorCommand
from accounts.management.progress import Bar
from accounts.queries import streaming_logins
from accounts.sessions import Sessions
from market_data.catalogue import sync


class Command(OperatorCommand):
    """Assembles one call of market_data.catalogue.sync."""

    help = __doc__
    examples = """examples:
  manage.py sync_instruments                          as the broker lists them today
  manage.py sync_instruments --file dump.csv --dry-run"""
    # The checks load every view: two thirds as much memory again as the load itself.
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Choose where the dump comes from."""
        parser.add_argument("--file", type=Path, help="a dump as CSV; default: ask the broker")
        parser.add_argument("--allow-shrinking", action="store_true", help="accept that most instruments vanish")

    def answer(self, *, file: Path | None, allow_shrinking: bool, **options: Any) -> Answer:
        """Load and say what changed."""
        try:
            with contextlib.nullcontext(BytesIO(_from_broker())) if file is None else file.open("rb") as dump:
                bar = Bar(stream=sys.stderr, title="instruments")
                report = sync(dump=dump, now=timezone.now(), allow_shrinking=allow_shrinking, told=bar.show)
                bar.close()
        except OSError as error:
            raise CommandError(str(error)) from error
        line = (
            f"{report.read} read: {report.new} new, {report.changed} changed, {report.gone} gone, "
            f"{report.expired} expired, {report.doubled} doubled; {report.lots} new lots, {report.ticks} new tick sizes"
        )
        return Answer(document=asdict(report), lines=[line])


def _from_broker() -> bytes:
    logins = streaming_logins(now=timezone.now())
    if not logins:
        raise CommandError("no account is logged in: log in first, or name a --file")
    return Sessions().client(logins[0]).instruments()
