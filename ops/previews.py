"""What an operator is shown before a deed: what it would touch, and the questions beside the reason."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from accounts.queries import Principal

Form = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Touch:
    """One line of what a verb touches."""

    count: str
    what: str


@dataclass(frozen=True, slots=True)
class Option:
    """One answer to a choice."""

    value: str
    text: str


@dataclass(frozen=True, slots=True)
class Choice:
    """A question beside the reason."""

    name: str
    label: str
    options: tuple[Option, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """The dialog before the deed."""

    title: str
    text: str
    touches: tuple[Touch, ...]
    confirm: str
    mild: bool = False
    choices: tuple[Choice, ...] = field(default=())


@dataclass(frozen=True, slots=True)
class Verb:
    """How a verb is shown and how it is done, which answers the sentence the operator reads afterwards.

    Before a stepped-up verb the operator proves once more who he is; stopping never asks.
    """

    show: Callable[[str, datetime], Preview]
    do: Callable[[str, Form, Principal, datetime], str]
    stepped_up: bool = False


def choice_of(name: str, label: str, options: Mapping[str, str]) -> Choice:
    """Return a question with its answers by value."""
    return Choice(name=name, label=label, options=tuple(Option(*pair) for pair in options.items()))
