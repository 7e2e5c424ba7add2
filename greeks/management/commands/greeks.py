"""Print a live chain as a table."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError
from django.utils import timezone

from accounts.management.operating import Answer, OperatorCommand, Trial
from greeks import store
from greeks.serializers import chain_document
from greeks.summary import summarise
from market_data.bus import sync_bus

LEFT = ("oi", "volume", "vega", "theta", "gamma", "delta", "iv", "price")
RIGHT = tuple(reversed(LEFT))
WIDTHS = {"oi": 11, "volume": 11, "vega": 8, "theta": 9, "gamma": 9, "delta": 8, "iv": 7, "price": 9}
FORMATS = {
    "oi": "{:,d}",
    "volume": "{:,d}",
    "vega": "{:.2f}",
    "theta": "{:.2f}",
    "gamma": "{:.6f}",
    "delta": "{:.3f}",
    "iv": "{:.2%}",
    "price": "{:.2f}",
}


class Command(OperatorCommand):
    """manage.py greeks UNDERLYING EXPIRY."""

    help = "Print a live chain as a table: calls on the left, puts on the right."
    trial = Trial.NONE
    examples = """examples:
  manage.py greeks NIFTY 2026-11-26                  twelve strikes each side of the forward
  manage.py greeks NIFTY 2026-11-26 --strikes 0      all of them"""

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Take the chain and how much of it to print."""
        parser.add_argument("underlying", help="NIFTY")
        parser.add_argument("expiry", help="2026-11-26")
        parser.add_argument("--strikes", type=int, default=12, help="strikes each side of the forward, 0 for all")

    def answer(self, *, underlying: str, expiry: str, strikes: int, **options: Any) -> Answer:
        """Read the latest blob and print it."""
        key = store.parse_key(f"{underlying}:{expiry}")
        blob = sync_bus().get_blob(key.blob)
        if blob is None:
            raise CommandError(f"{key} was not computed: is it enabled, and do the worker, beat and the feed run?")
        chain, now = store.unpack(blob), timezone.now()
        document = chain_document(chain=chain, summary=summarise(chain=chain), now=now)
        rows = _around(document, strikes)
        lines = [_heading(document), _titles(), *map(_line, rows)]
        return Answer(document={**document, "strikes": rows}, lines=lines)


def _heading(document: dict[str, Any]) -> str:
    forward, numbers = document["forward"], document["analytics"]
    return "\n".join(
        [
            f"{document['chain']}  {document['profile']}  as of {document['as_of']} ({document['age_seconds']} s old)",
            (
                f"forward {forward['value']} from {forward['source']} ({forward['age_seconds']} s), "
                f"spot {document['spot']['value']}, rate {document['rate']:.2%}, {document['years'] * 365:.3f} days"
            ),
            (
                f"ATM IV {_shown('iv', numbers['atm_iv'])}, straddle {numbers['straddle']['price']}, "
                f"expected move {numbers['expected_move']}, PCR {numbers['put_call_ratio']['open_interest']}, "
                f"max pain {numbers['max_pain']}, {numbers['unpriced']} of {document['options']} without a value"
            ),
            "\n",
        ]
    )


def _titles() -> str:
    cells = [name.rjust(WIDTHS[name]) for name in LEFT] + ["strike".rjust(10)]
    return " ".join(cells + [name.rjust(WIDTHS[name]) for name in RIGHT])


def _around(document: dict[str, Any], count: int) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = document["strikes"]
    centre = document["forward"]["value"] or document["spot"]["value"]
    if not count or centre is None:
        return rows
    middle = min(range(len(rows)), key=lambda place: abs(rows[place]["strike"] - centre), default=0)
    return rows[max(middle - count, 0) : middle + count + 1]


def _line(row: dict[str, Any]) -> str:
    call, put = row["call"] or {}, row["put"] or {}
    cells = [_cell(call, name) for name in LEFT] + [f"{row['strike']:>10.2f}"] + [_cell(put, name) for name in RIGHT]
    reasons = sorted({reason for leg in (call, put) for reason in leg.get("flags", ())})
    return " ".join(cells) + (f"  {' '.join(reasons)}" if reasons else "")


def _cell(leg: dict[str, Any], name: str) -> str:
    return _shown(name, leg.get(name)).rjust(WIDTHS[name])


def _shown(name: str, value: float | None) -> str:
    return "-" if value is None else FORMATS[name].format(value)
