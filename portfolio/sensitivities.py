"""Positions of accounts as positions of a book of Greeks, by whose and by which strategy's they are."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from greeks.book import Position
from greeks.holdings import position_of
from market_data.models import Instrument
from market_data.queries import instruments_by_keys
from portfolio.deltas import key_of
from portfolio.exposure import number
from portfolio.readings import Part

# What a strategy traded net, in the broker's quantities, by account label, instrument token and strategy.
Shares = Mapping[tuple[str, int], Mapping[str, float]]


@dataclass(frozen=True, slots=True)
class Held:
    """Positions, what their instruments are called by token, and the rows whose instrument nobody knows."""

    positions: list[Position]
    names: dict[int, str]
    unknown: list[dict[str, Any]]


def positions_of(*, parts: Sequence[Part], shares: Shares, underlying: str | None = None) -> Held:
    """Return the net positions of all accounts.

    A position is split by strategy as far as our own trades explain it; the rest has no strategy. What a strategy
    traded is counted once, however many products the instrument is held under.
    """
    left = {key: dict(mine) for key, mine in shares.items()}
    rows = [(part, row) for part in parts for row in (part.answer or {"net": []})["net"] if number(row, "quantity")]
    known = instruments_by_keys([key_of(row) for _, row in rows])
    positions: list[Position] = []
    unknown: list[dict[str, Any]] = []
    for part, row in rows:
        instrument = known.get(key_of(row))
        if instrument is None:
            unknown.append(
                {"account": part.account.label, "instrument": key_of(row), "quantity": number(row, "quantity")}
            )
            continue
        positions += _split(part, row, instrument, left.pop((part.account.label, instrument.instrument_token), {}))
    chosen = [one for one in positions if underlying in {None, one.key.underlying}]
    return Held(chosen, {row.instrument_token: key for key, row in known.items()}, unknown)


def _split(part: Part, row: Mapping[str, Any], instrument: Instrument, mine: Mapping[str, float]) -> Iterator[Position]:
    multiplier = number(row, "multiplier") or 1.0
    left = number(row, "quantity")
    explained = sum(mine.values())
    for strategy, quantity in (*sorted(mine.items()), ("", left - explained)):
        if quantity:
            yield position_of(
                instrument=instrument,
                quantity=quantity * multiplier,
                price=number(row, "last_price"),
                account=part.account.label,
                group=part.account.group.name if part.account.group else "",
                strategy=strategy,
            )
