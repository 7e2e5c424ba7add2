"""The table of odd trading days: read into a calendar, filled from the holiday library and the circulars."""

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, time
from pathlib import Path
from typing import Final

from django.db import transaction
from holidays import financial_holidays

from market_data.calendar import EXCHANGES, IST, Calendar, Hours
from market_data.models import MarketDay

CIRCULARS: Final = Path(__file__).parent / "data" / "market_days.json"
ESTIMATED: Final = "estimated"
# Trades under the same holidays as the exchange the library knows; commodities trade on such a day's evening.
FOLLOWERS: Final[Mapping[str, tuple[str, ...]]] = {"XNSE": ("NSE", "NFO", "CDS"), "XBOM": ("BSE", "BFO", "BCD")}
EVENING: Final = ("MCX", "NCO")
EVENING_OPENS: Final = time(17)
YEARS_AHEAD: Final = 1


@dataclass(frozen=True, slots=True, order=True)
class OddDay:
    """One row of the table, as a source gives it."""

    day: date
    name: str
    exchanges: tuple[str, ...]
    opens: time | None = None
    closes: time | None = None
    confirmed: bool = True
    source: str = MarketDay.Source.LIBRARY.value


@dataclass(frozen=True, slots=True)
class Synced:
    """What a load changed."""

    added: int
    removed: int
    kept: int


def read_calendar(*, since: date, until: date | None = None) -> Calendar:
    """Return the calendar whose odd days lie between two dates; what an operator wrote wins over what was loaded."""
    rows = MarketDay.objects.filter(confirmed=True, day__gte=since)
    if until is not None:
        rows = rows.filter(day__lte=until)
    written: dict[tuple[str, date], list[Hours]] = {}
    loaded: dict[tuple[str, date], list[Hours]] = {}
    for row in rows:
        side = written if row.source == MarketDay.Source.OPERATOR else loaded
        for exchange in row.exchanges:
            hours = side.setdefault((exchange, row.day), [])
            if row.opens is not None:
                hours.append(Hours(row.opens, row.closes))
    return Calendar(odd={key: tuple(hours) for key, hours in {**loaded, **written}.items()})


def sync(*, now: datetime) -> Synced:
    """Make the loaded rows of this year and the next what the sources say; rows an operator wrote stay."""
    year = now.astimezone(IST).year
    wanted = _wanted(range(year, year + YEARS_AHEAD + 1), year)
    with transaction.atomic():
        held = (
            MarketDay.objects.select_for_update().exclude(source=MarketDay.Source.OPERATOR).filter(day__year__gte=year)
        )
        known = {_of(row): row.pk for row in held}
        gone = [key for odd, key in known.items() if odd not in wanted]
        MarketDay.objects.filter(pk__in=gone).delete()
        new = sorted(wanted - known.keys())
        MarketDay.objects.bulk_create([_row(odd) for odd in new])
    return Synced(added=len(new), removed=len(gone), kept=len(wanted) - len(new))


def _wanted(years: Iterable[int], present: int) -> set[OddDay]:
    """A circular knows an exchange's day better than the library does."""
    circular = _circulars()
    told = {(exchange, odd.day) for odd in circular for exchange in odd.exchanges}
    found = {odd for odd in circular if odd.day.year >= present}
    for odd in _library(years, present):
        exchanges = tuple(name for name in odd.exchanges if (name, odd.day) not in told)
        if exchanges:
            found.add(OddDay(odd.day, odd.name, exchanges, odd.opens, odd.closes, odd.confirmed, odd.source))
    return found


def _library(years: Iterable[int], present: int) -> list[OddDay]:
    """Next year's holidays are the library's reckoning until the exchange's circular of December."""
    shut: dict[tuple[date, str], list[str]] = defaultdict(list)
    for market, exchanges in FOLLOWERS.items():
        for day, name in financial_holidays(market, years=list(years), language="en_IN").items():
            shut[day, name].extend(exchanges)
    found = []
    for (day, name), names in shut.items():
        confirmed = day.year <= present and ESTIMATED not in name
        ordered = tuple(exchange for exchange in EXCHANGES if exchange in names)
        found.append(OddDay(day, name, ordered, confirmed=confirmed))
        found.append(OddDay(day, name, EVENING, EVENING_OPENS, confirmed=confirmed))
    return found


def _circulars() -> set[OddDay]:
    document = json.loads(CIRCULARS.read_text(encoding="utf-8"))
    return {
        OddDay(
            date.fromisoformat(row["day"]),
            row["name"],
            tuple(row["exchanges"]),
            time.fromisoformat(row["opens"]) if "opens" in row else None,
            time.fromisoformat(row["closes"]) if "closes" in row else None,
            source=MarketDay.Source.CIRCULAR.value,
        )
        for row in document["days"]
    }


def _of(row: MarketDay) -> OddDay:
    return OddDay(row.day, row.name, tuple(row.exchanges), row.opens, row.closes, row.confirmed, row.source)


def _row(odd: OddDay) -> MarketDay:
    return MarketDay(
        day=odd.day,
        name=odd.name,
        exchanges=list(odd.exchanges),
        opens=odd.opens,
        closes=odd.closes,
        confirmed=odd.confirmed,
        source=odd.source,
    )
