"""manage.py rotate_encryption_key: seal every stored secret with a new key, while everything runs."""

import getpass
import sys
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandParser
from django.utils import timezone

from accounts import resealing
from accounts.management.operating import Answer, OperatorCommand, Trial
from accounts.management.progress import Bar


class Command(OperatorCommand):
    """Can be killed at any moment: every value opens before and after, and the next run goes on from there."""

    help = "Add a key and seal every stored secret with it, while the platform goes on working."
    trial = Trial.SAID
    examples = """examples:
  manage.py rotate_encryption_key --dry-run       how many values need which key
  manage.py rotate_encryption_key                 a new key, and everything under it
  manage.py rotate_encryption_key --drop-unused   afterwards: take the old key out of use"""

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

    def add_trial(self, parser: CommandParser) -> None:
        """Leave --dry-run to the ways above: one of them at a time."""

    def answer(self, *, verify: bool, preview: bool, drop_unused: bool, **options: Any) -> Answer:
        """Run it."""
        if verify:
            return _verified({})
        if preview:
            return Answer(document=_keys(), lines=_say_keys())
        if drop_unused:
            dropped = resealing.drop_unused(actor=_actor(), now=timezone.now())
            return Answer(document={"dropped": dropped}, lines=[f"Dropped: {', '.join(dropped) or 'none'}."])
        return _rotate()


def _rotate() -> Answer:
    key = resealing.begin(actor=_actor(), now=timezone.now())
    total, done = sum(resealing.keys_in_use().values()), 0
    bar = Bar(stream=sys.stderr, title="sealing")

    def advance(count: int) -> None:
        nonlocal done
        done += count
        bar.show(f"{done} rows", done / max(total, 1))

    count = resealing.reseal(advance=advance)
    bar.close()
    return _verified({"rows": count, "key": key}, f"{count} rows moved to key {key}.")


def _verified(document: dict[str, Any], *lines: str) -> Answer:
    opened = resealing.open_all()
    return Answer(
        document={**document, "opened": opened, **_keys()},
        lines=[*lines, f"{opened} values open.", *_say_keys()],
    )


def _keys() -> dict[str, Any]:
    return {"values_by_key": dict(sorted(resealing.keys_in_use().items()))}


def _say_keys() -> list[str]:
    return [f"{count} values need key {key}." for key, count in sorted(resealing.keys_in_use().items())]


def _actor() -> str:
    return f"shell:{getpass.getuser()}"
