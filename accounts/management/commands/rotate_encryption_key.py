"""manage.py rotate_encryption_key: seal every stored secret with a new key, while everything runs."""

import getpass
import sys
from argparse import ArgumentParser
from collections.abc import Callable
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from accounts import resealing
from accounts.errors import KeyRingError, SealBroken

BAR = 40


class Command(BaseCommand):
    """Can be killed at any moment: every value opens before and after, and the next run goes on from there."""

    help = "Add a key and seal every stored secret with it."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the ways to run it."""
        way = parser.add_mutually_exclusive_group()
        way.add_argument("--dry-run", dest="preview", action="store_true", help="say what would be done")
        way.add_argument("--verify", action="store_true", help="open every value and say which keys are needed")
        way.add_argument(
            "--drop-unused",
            action="store_true",
            help="take keys no value needs out of use; backups made before need them",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Run it."""
        try:
            if options["verify"]:
                self._verify()
            elif options["preview"]:
                self._say_keys()
            elif options["drop_unused"]:
                self._drop()
            else:
                self._rotate()
        except (KeyRingError, SealBroken) as error:
            raise CommandError(str(error)) from error

    def _rotate(self) -> None:
        key = resealing.begin(actor=_actor(), now=timezone.now())
        count = resealing.reseal(advance=self._bar(sum(resealing.keys_in_use().values())))
        self.stdout.write(f"{count} rows moved to key {key}.")
        self._verify()

    def _verify(self) -> None:
        self.stdout.write(f"{resealing.open_all()} values open.")
        self._say_keys()

    def _drop(self) -> None:
        dropped = resealing.drop_unused(actor=_actor(), now=timezone.now())
        self.stdout.write(f"Dropped: {', '.join(dropped) or 'none'}.")

    def _say_keys(self) -> None:
        for key, count in sorted(resealing.keys_in_use().items()):
            self.stdout.write(f"{count} values need key {key}.")

    def _bar(self, total: int) -> Callable[[int], None]:
        done = 0

        def advance(count: int) -> None:
            nonlocal done
            done += count
            filled = BAR * min(done, total) // max(total, 1)
            if sys.stderr.isatty():
                self.stderr.write(f"\r[{'#' * filled}{'.' * (BAR - filled)}] {done}", ending="")

        return advance


def _actor() -> str:
    return f"shell:{getpass.getuser()}"
