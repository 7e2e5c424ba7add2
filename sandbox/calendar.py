"""Holidays and special sessions of every exchange: from the data file, the command line and the control API."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, time
from pathlib import Path
from typing import Any

DATA = Path(__file__).parent / "data" / "calendar.json"
EXCHANGES = ("NSE", "BSE", "NFO", "BFO", "CDS", "BCD", "MCX", "NCO")
EVENING = frozenset({"MCX", "NCO"})
EVENING_HOURS = (time(17, 0), time(23, 30))

Hours = tuple[time, time]


@dataclass(frozen=True, slots=True)
class Day:
    """A day that is not as the week has it; without hours the exchange is shut."""

    name: str
    hours: Hours | None = None


@dataclass(slots=True)
class Calendar:
    """The odd days by exchange and date."""

    days: dict[tuple[str, date], Day] = field(default_factory=dict)

    def find(self, *, exchange: str, day: date) -> Day | None:
        return self.days.get((exchange, day))

    def mark(self, *, exchanges: Iterable[str], day: date, entry: Day | None) -> None:
        """Set a day of some exchanges; None makes it an ordinary day again."""
        for exchange in exchanges:
            if exchange not in EXCHANGES:
                raise ValueError(f"no exchange {exchange}; known: {', '.join(EXCHANGES)}")
            if entry is None:
                self.days.pop((exchange, day), None)
            else:
                self.days[exchange, day] = entry

    def rows(self, *, exchange: str) -> list[dict[str, object]]:
        found = sorted((day, entry) for (name, day), entry in self.days.items() if name == exchange)
        return [{"date": day.isoformat(), "name": entry.name, "hours": _texts(entry.hours)} for day, entry in found]


def read_calendar(path: Path = DATA) -> Calendar:
    """Read `holidays` and `special`; `evening` leaves the commodity exchanges their evening session."""
    document = json.loads(path.read_text(encoding="utf-8"))
    calendar = Calendar()
    for row in (*document.get("holidays", ()), *document.get("special", ())):
        _mark(calendar, row)
    return calendar


def change_calendar(calendar: Calendar, row: dict[str, Any]) -> None:
    """Obey a row of the file's form sent to a running exchange; `"ordinary": true` takes a day's mark away."""
    if row.get("ordinary"):
        calendar.mark(exchanges=_exchanges(row), day=date.fromisoformat(row["date"]), entry=None)
    else:
        _mark(calendar, row)


def parse_holiday(text: str) -> dict[str, object]:
    """Read `2026-12-01` or `MCX,NCO:2026-12-01`."""
    names, _, day = text.rpartition(":")
    return _row(names, day, "holiday of the command line")


def parse_special(text: str) -> dict[str, object]:
    """Read `2026-11-08T18:00-19:00` or `NSE,BSE:2026-11-08T18:00-19:00`."""
    moment, _, closes = text.rpartition("-")
    head, _, opens = moment.partition("T")
    names, _, day = head.rpartition(":")
    time.fromisoformat(opens), time.fromisoformat(closes)
    return {**_row(names, day, "session of the command line"), "opens": opens, "closes": closes}


def _row(names: str, day: str, name: str) -> dict[str, object]:
    date.fromisoformat(day)
    return {"date": day, "name": name, **({"exchanges": names.split(",")} if names else {})}


def _mark(calendar: Calendar, row: dict[str, Any]) -> None:
    day, name, exchanges = date.fromisoformat(row["date"]), str(row.get("name", "")), _exchanges(row)
    hours = (time.fromisoformat(row["opens"]), time.fromisoformat(row["closes"])) if "opens" in row else None
    if hours is not None and hours[0] >= hours[1]:
        raise ValueError(f"a session must open before it closes, was {row['opens']} to {row['closes']}")
    for exchange in exchanges:
        late = EVENING_HOURS if row.get("evening") and exchange in EVENING else None
        calendar.mark(exchanges=[exchange], day=day, entry=Day(name, hours or late))


def _exchanges(row: dict[str, Any]) -> list[str]:
    given = row.get("exchanges", EXCHANGES)
    return [given] if isinstance(given, str) else list(given)


def _texts(hours: Hours | None) -> list[str] | None:
    return None if hours is None else [f"{one:%H:%M}" for one in hours]
