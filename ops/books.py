"""Delta and vega of what the accounts hold: the positions read last, priced by the live chains."""

from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache

from django.db.models import Max

from greeks import book
from greeks.holdings import chains_of
from market_data.errors import FeedDown
from ops.standing import Holding
from portfolio.models import Reading
from portfolio.readings import Part
from portfolio.sensitivities import positions_of

EVERY_SECONDS = 5
TOTAL = "all accounts"


@dataclass(frozen=True, slots=True)
class Book:
    """One line an account with positions, the total last, and how old the oldest of the positions is."""

    lines: tuple[Holding, ...]
    read_at: datetime | None


def read(*, now: datetime) -> Book:
    """Return the book, priced anew every few seconds and whenever positions were read."""
    latest = Reading.objects.filter(kind=Reading.Kind.POSITIONS).aggregate(at=Max("read_at"))["at"]
    return Book((), None) if latest is None else _priced(latest, int(now.timestamp()) // EVERY_SECONDS)


@lru_cache(maxsize=1)
def _priced(_latest: datetime, _slot: int) -> Book:
    rows = Reading.objects.filter(kind=Reading.Kind.POSITIONS).select_related("account__group")
    parts = [Part(row.account, row.answer, row.read_at) for row in rows.order_by("account__label")]
    held = positions_of(parts=parts, shares={})
    try:
        chains = chains_of(positions=held.positions)
    except FeedDown:
        chains = {}
    legs, unpriced = book.collect(positions=held.positions, chains=chains, by="account")
    missing: dict[str, int] = {}
    for each in unpriced:
        missing[each.position.account] = missing.get(each.position.account, 0) + 1
    lines = [_line(name, legs.get(name), missing.get(name, 0)) for name in sorted({*legs, *missing})]
    return Book((*lines, _total(lines)) if lines else (), min(part.read_at for part in parts if part.read_at))


def _line(name: str, legs: book.Legs | None, unpriced: int) -> Holding:
    if legs is None:
        return Holding(account=name, delta_rupees=0.0, vega=0.0, legs=0, unpriced=unpriced)
    sums = book.totals(legs=legs)
    return Holding(
        account=name,
        delta_rupees=round(sums.delta_rupees),
        vega=round(sums.vega),
        legs=sums.legs,
        unpriced=unpriced,
    )


def _total(lines: list[Holding]) -> Holding:
    return Holding(
        account=TOTAL,
        delta_rupees=sum(line.delta_rupees for line in lines),
        vega=sum(line.vega for line in lines),
        legs=sum(line.legs for line in lines),
        unpriced=sum(line.unpriced for line in lines),
    )
