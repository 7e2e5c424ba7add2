"""Wants ticks of instruments: EXCHANGE:SYMBOL, or NAME for a whole option chain with its index and futures."""

import argparse
from typing import Any

from django.core.management.base import CommandError
from django.utils import timezone

from accounts.management.operating import Answer, OperatorCommand
from kite.types import Mode
from market_data.models import Instrument
from market_data.queries import chain_instruments, expiries, futures, index_instrument, instruments_by_keys
from market_data.subscriptions import wish


class Command(OperatorCommand):
    """Assembles one call of market_data.subscriptions.wish."""

    help = __doc__
    examples = """examples:
  manage.py subscribe NSE:INFY NSE:TCS --mode quote    two shares
  manage.py subscribe NIFTY --expiries 1               the index, its futures and the nearest chain"""

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Choose instruments and mode."""
        parser.add_argument("names", nargs="+", help="NSE:INFY, or NIFTY for its nearest chains")
        parser.add_argument(
            "--mode", choices=[mode.value for mode in Mode], default=Mode.FULL.value, help="how much (%(default)s)"
        )
        parser.add_argument("--expiries", type=int, default=2, help="nearest expiries of a chain (%(default)s)")
        parser.add_argument("--wanted-by", default="operator", help="who wants it (%(default)s)")

    def answer(self, *, names: list[str], mode: str, expiries: int, wanted_by: str, **options: Any) -> Answer:
        """Write the wishes."""
        found = {row.pk: row for name in names for row in _resolve(name, expiries)}
        new = wish(instruments=list(found.values()), mode=Mode(mode), wanted_by=wanted_by, now=timezone.now())
        return Answer(
            document={"instruments": len(found), "new": new, "mode": mode, "wanted_by": wanted_by},
            lines=[f"{len(found)} instruments wanted by {wanted_by}, {new} of them new"],
        )


def _resolve(name: str, count: int) -> list[Instrument]:
    if ":" in name:
        found = instruments_by_keys([name])
        if not found:
            raise CommandError(f"no listed instrument {name}")
        return list(found.values())
    chains = [row for expiry in expiries(name=name)[:count] for row in chain_instruments(name=name, expiry=expiry)]
    return [index_instrument(name), *futures(name=name), *chains]
