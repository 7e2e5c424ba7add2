"""Last values of many instruments: one row each, and the sequence at which it last changed."""

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from kite.wire import TICK, Rows

Slots = npt.NDArray[np.intp]
Tokens = npt.NDArray[np.uint32]
FIRST_CAPACITY: Final = 1024
# numpy copies a structured row field by field, a plain block of bytes at once: fifteen times as fast.
BLOCK: Final = np.dtype((np.void, TICK.itemsize))


def take(rows: Rows, places: Slots) -> Rows:
    """Return a copy of the rows at these places."""
    taken: Rows = rows.view(BLOCK).take(places).view(TICK)
    return taken


def join(parts: Sequence[Rows]) -> Rows:
    """Return the parts as one."""
    if len(parts) == 1:
        return parts[0]
    joined: Rows = np.concatenate([part.view(BLOCK) for part in parts]).view(TICK)
    return joined


class SlotIndex:
    """Gives each instrument a slot, which stays the instrument's for good."""

    def __init__(self) -> None:
        self.size = 0
        self._sorted: Tokens = np.zeros(0, np.uint32)
        self._slot_of_sorted: Slots = np.zeros(0, np.intp)

    def find(self, tokens: Tokens) -> tuple[Slots, npt.NDArray[np.bool_]]:
        """Return the slots, and which of the tokens have one."""
        if not len(self._sorted):
            return np.zeros(len(tokens), np.intp), np.zeros(len(tokens), np.bool_)
        places = np.searchsorted(self._sorted, tokens)
        places[places == len(self._sorted)] = 0
        return self._slot_of_sorted[places], self._sorted[places] == tokens

    def add(self, tokens: Tokens) -> Slots:
        """Give distinct new tokens the next slots."""
        fresh = np.arange(self.size, self.size + len(tokens))
        self.size += len(tokens)
        merged = np.concatenate((self._sorted, tokens))
        order = np.argsort(merged, kind="stable")
        self._sorted = merged[order]
        self._slot_of_sorted = np.concatenate((self._slot_of_sorted, fresh))[order]
        return fresh


class LastValues:
    """Rows by instrument, and the sequence at which each last changed; version 0 is a slot without a value."""

    def __init__(self) -> None:
        self.rows: Rows = np.zeros(FIRST_CAPACITY, TICK)
        self.version: npt.NDArray[np.uint64] = np.zeros(FIRST_CAPACITY, np.uint64)
        # Where a slot's last row stands in the rows being put, counted from 1.
        self._newest: Slots = np.zeros(FIRST_CAPACITY, np.intp)
        self._index = SlotIndex()

    @property
    def size(self) -> int:
        """Return how many slots are given."""
        return self._index.size

    def slots(self, tokens: Tokens) -> Slots:
        """Return a slot per token, giving new tokens one."""
        found, known = self._index.find(tokens)
        if not known.all():
            self._add(np.unique(tokens[~known]))
            found, _ = self._index.find(tokens)
        return found

    def put(self, rows: Rows, sequence: int) -> Slots:
        """Store rows, the last one winning where a token repeats; return the distinct slots that changed."""
        slots = self.slots(rows["instrument_token"])
        self._newest[slots] = np.arange(1, len(rows) + 1)
        changed = np.flatnonzero(self._newest[: self.size])
        self.rows.view(BLOCK)[changed] = rows.view(BLOCK)[self._newest[changed] - 1]
        self._newest[changed] = 0
        self.version[changed] = sequence
        return changed

    def put_newer(self, rows: Rows, sequence: int) -> Slots:
        """Store only the rows received later than what is held; tokens are distinct."""
        slots = self.slots(rows["instrument_token"])
        newer = (rows["received_at"] > self.rows["received_at"][slots]) | (self.version[slots] == 0)
        changed: Slots = slots[newer]
        self.rows.view(BLOCK)[changed] = rows.view(BLOCK)[newer]
        self.version[changed] = sequence
        return changed

    def count(self) -> int:
        """Return how many instruments have a value."""
        return int(np.count_nonzero(self.version[: self.size]))

    def held(self) -> Rows:
        """Return the rows that have a value."""
        return take(self.rows, np.flatnonzero(self.version[: self.size]))

    def drop(self, tokens: Tokens) -> None:
        """Forget the values of these tokens."""
        found, known = self._index.find(tokens)
        gone = found[known]
        self.version[gone] = 0
        self.rows[gone] = np.zeros(1, TICK)[0]
        self.rows["instrument_token"][gone] = tokens[known]

    def _add(self, tokens: Tokens) -> None:
        self._reserve(self.size + len(tokens))
        self.rows["instrument_token"][self._index.add(tokens)] = tokens

    def _reserve(self, wanted: int) -> None:
        capacity = len(self.rows)
        if wanted <= capacity:
            return
        while capacity < wanted:
            capacity *= 2
        rows, version = np.zeros(capacity, TICK), np.zeros(capacity, np.uint64)
        rows[: self.size] = self.rows[: self.size]
        version[: self.size] = self.version[: self.size]
        self.rows, self.version = rows, version
        self._newest = np.zeros(capacity, np.intp)
