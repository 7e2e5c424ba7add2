"""Holes in the stream: when they began, which instruments they hit, and when the last of them streams again."""

from collections.abc import Awaitable, Callable, Set
from dataclasses import dataclass
from functools import partial
from typing import Protocol, TypeVar

from market_data.ledger import Ledger

T = TypeVar("T")
EVERYTHING = "feed"


class InThread(Protocol):
    """Runs a call of the ledger in its thread."""

    def __call__(self, call: Callable[[], T]) -> Awaitable[T]:
        """Return the call's result."""


@dataclass(slots=True)
class Gap:
    """One hole; `tokens` None stands for everything, `key` is None until it is stored."""

    label: str
    cause: str
    since: float
    tokens: Set[int] | None
    key: int | None = None


class Gaps:
    """The holes that are not closed yet."""

    def __init__(self) -> None:
        self._open: list[Gap] = []

    def __len__(self) -> int:
        return len(self._open)

    def note_restart(self, *, since: float) -> None:
        """Everything was silent between the last process's last word and now."""
        self._open.append(Gap(EVERYTHING, "the feed was restarted", since, None))

    def note_loss(self, *, label: str, cause: str, since: float, tokens: Set[int]) -> None:
        """A connection was lost; its later attempts belong to the same hole."""
        if tokens and not any(gap.label == label and gap.tokens == tokens for gap in self._open):
            self._open.append(Gap(label, cause, since, tokens))

    async def settle(self, *, ledger: Ledger, run: InThread, wanted: Set[int], streaming: Set[int], now: float) -> None:
        """Store new holes and close those whose instruments stream again or are wanted no more."""
        for gap in list(self._open):
            tokens = wanted if gap.tokens is None else gap.tokens
            if gap.key is None:
                gap.key = await run(
                    partial(
                        ledger.open_gap, label=gap.label, cause=gap.cause, started_at=gap.since, tokens=sorted(tokens)
                    )
                )
            if tokens & wanted <= streaming:
                await run(partial(ledger.close_gap, gap_id=gap.key, ended_at=now))
                self._open.remove(gap)
