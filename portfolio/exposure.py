"""What positions and holdings are worth, and how they move with their underlyings. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Line:
    """One net position in units: for commodities and currencies the quantity times its multiplier.

    `delta_units` is how many units of the underlying it moves like, None where an option has no live Greeks.
    """

    account: str
    instrument: str
    underlying: str
    units: float
    last_price: float
    pnl: float
    delta_units: float | None


@dataclass(slots=True)
class Exposure:
    """Everything held of one underlying, in rupees and units."""

    underlying: str
    long_value: float = 0.0
    short_value: float = 0.0
    pnl: float = 0.0
    delta_units: float = 0.0
    lines: int = 0
    unpriced: list[str] = field(default_factory=list)

    @property
    def net_value(self) -> float:
        """Long less short, rupees."""
        return self.long_value - self.short_value

    @property
    def gross_value(self) -> float:
        """Long and short together, rupees."""
        return self.long_value + self.short_value

    def add(self, line: Line) -> None:
        """Take one line in."""
        value = line.units * line.last_price
        self.long_value += max(value, 0.0)
        self.short_value += max(-value, 0.0)
        self.pnl += line.pnl
        self.lines += 1
        if line.delta_units is None:
            self.unpriced.append(line.instrument)
        else:
            self.delta_units += line.delta_units


@dataclass(frozen=True, slots=True)
class ProfitAndLoss:
    """An account's profit in rupees; holdings count with today's change alone."""

    realised: float
    unrealised: float
    m2m: float
    holdings_day_change: float
    holdings_pnl: float

    @property
    def today(self) -> float:
        """What the account made today: positions marked to market, and the day's change of holdings."""
        return self.m2m + self.holdings_day_change


def by_underlying(lines: Iterable[Line]) -> list[Exposure]:
    """Return one exposure an underlying, by name; lines without units are left out."""
    found: dict[str, Exposure] = {}
    for line in lines:
        if line.units:
            found.setdefault(line.underlying, Exposure(line.underlying)).add(line)
    return [found[name] for name in sorted(found)]


def profit(*, net: Iterable[Mapping[str, Any]], holdings: Iterable[Mapping[str, Any]]) -> ProfitAndLoss:
    """Return the profit of one account's net positions and holdings, rows in the broker's words."""
    positions, held = list(net), list(holdings)
    return ProfitAndLoss(
        realised=total(positions, "realised"),
        unrealised=total(positions, "unrealised"),
        m2m=total(positions, "m2m"),
        holdings_day_change=sum(number(row, "day_change") * units_held(row) for row in held),
        holdings_pnl=total(held, "pnl"),
    )


def units_held(row: Mapping[str, Any]) -> float:
    """Return how many shares a holding is: settled and yet to settle."""
    return number(row, "quantity") + number(row, "t1_quantity")


def total(rows: Iterable[Mapping[str, Any]], name: str) -> float:
    """Return the sum of a column."""
    return sum(number(row, name) for row in rows)


def number(row: Mapping[str, Any], name: str) -> float:
    """Return a cell as a number, 0 where it is absent."""
    return float(row.get(name) or 0.0)
