"""Loads the instruments dump, from the broker or from a file."""

import argparse
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from accounts.errors import PlatformError
from accounts.queries import streaming_logins
from accounts.sessions import Sessions
from kite.errors import KiteError
from market_data.catalogue import sync


class Command(BaseCommand):
    """Assembles one call of market_data.catalogue.sync."""

    help = __doc__

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Choose where the dump comes from."""
        parser.add_argument("--file", type=Path, help="a dump as CSV; default: ask the broker")
        parser.add_argument("--allow-shrinking", action="store_true", help="accept that most instruments vanish")

    def handle(self, *, file: Path | None, allow_shrinking: bool, **options: Any) -> None:
        """Load and say what changed."""
        try:
            dump = _from_broker() if file is None else file.read_bytes()
            report = sync(dump=dump, now=timezone.now(), allow_shrinking=allow_shrinking)
        except (PlatformError, KiteError, OSError) as error:
            raise CommandError(str(error)) from error
        self.stdout.write(
            f"{report.read} read: {report.new} new, {report.changed} changed, {report.gone} gone, "
            f"{report.expired} expired, {report.doubled} doubled"
        )


def _from_broker() -> bytes:
    logins = streaming_logins(now=timezone.now())
    if not logins:
        raise CommandError("no account is logged in: log in first, or name a --file")
    return Sessions().client(logins[0]).instruments()
