"""Loads the quantities above which an exchange freezes an order from the file that the exchange publishes."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from django.core.management.base import CommandParser
from django.utils import timezone

from accounts.management.operating import WRONG, Answer, Failure, OperatorCommand
from accounts.management.whoami import operator_name
from market_data import freezes


class Command(OperatorCommand):
    """Assembles one call of market_data.freezes.load."""

    help = __doc__
    examples = """examples:
  manage.py load_freeze_quantities qtyfreeze.csv --reason "notice of November" --dry-run
  manage.py load_freeze_quantities bfo.csv --exchange BFO --reason "notice of November\""""

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare file, exchange and reason."""
        parser.add_argument("file", type=Path, help="comma-separated, with the columns SYMBOL and VOL_FRZ_QTY")
        parser.add_argument("--exchange", default="NFO", help="exchange of the contracts, NFO by default")
        parser.add_argument("--reason", required=True, help="why, for the audit trail")

    def answer(self, *, file: Path, exchange: str, reason: str, **options: Any) -> Answer:
        """Load and say what changed."""
        try:
            text = file.read_text(encoding="utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            raise Failure(f"{file}: {error}", code="file_unreadable", returncode=WRONG) from error
        done = freezes.load(
            exchange=exchange,
            quantities=freezes.read_file(text),
            actor=operator_name(),
            reason=reason,
            now=timezone.now(),
        )
        line = f"{done.read} read, {done.new} new, {done.changed} changed; {done.contracts} contracts follow"
        return Answer(document=asdict(done), lines=[line])
