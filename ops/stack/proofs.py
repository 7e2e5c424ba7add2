"""The requirements that are proved by running them, and the numbers each proof must show."""

from dataclasses import dataclass
from typing import Literal

Relation = Literal["==", "<=", ">="]


@dataclass(frozen=True, slots=True)
class Bound:
    """What a number of a record must be for the proof to hold."""

    number: str
    relation: Relation
    value: float

    def holds(self, measured: float) -> bool:
        """Say whether the measured number keeps the bound."""
        if self.relation == "==":
            return measured == self.value
        return measured <= self.value if self.relation == "<=" else measured >= self.value

    def __str__(self) -> str:
        return f"{self.number} {self.relation} {self.value:g}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """One requirement: its tests carry the marker proof(id=...) and live under `tests`.

    `seeds` are the days of a simulation where nobody asks for another number.
    `not_covered` are lines of the requirement that its tests do not cover, for the record to say so.
    """

    id: str
    sentence: str
    tests: tuple[str, ...]
    bounds: tuple[Bound, ...] = ()
    long_bounds: tuple[Bound, ...] = ()
    not_covered: tuple[str, ...] = ()
    seeds: int | None = None


def exactly(number: str, value: float) -> Bound:
    """Return the bound that a number is this value."""
    return Bound(number, "==", value)


def at_most(number: str, value: float) -> Bound:
    """Return the bound that a number does not exceed this value."""
    return Bound(number, "<=", value)


def at_least(number: str, value: float) -> Bound:
    """Return the bound that a number reaches this value."""
    return Bound(number, ">=", value)
