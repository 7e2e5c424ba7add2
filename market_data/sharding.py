"""Which account and which of its connections streams which instrument: capped rendezvous hashing, pure."""

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from kite.types import Mode
from market_data.errors import CapacityExceeded

PER_CONNECTION: Final = 3_000
CONNECTIONS: Final = 3
PER_ACCOUNT: Final = PER_CONNECTION * CONNECTIONS
ADMITTED: Final = 0.9

Weights = npt.NDArray[np.uint64]
Lines = tuple[Mapping[int, Mode], ...]


@dataclass(frozen=True, slots=True)
class Assignment:
    """Tokens and modes per account and connection; `unplaced` tokens found no room."""

    lines: Mapping[str, Lines]
    unplaced: tuple[int, ...]


def admit(*, wanted: int, accounts: int) -> None:
    """Raise CapacityExceeded where the wish leaves no room for the loss of a connection."""
    room = int(accounts * PER_ACCOUNT * ADMITTED)
    if wanted > room:
        raise CapacityExceeded(
            f"{wanted} instruments wanted, {accounts} accounts admit {room}: {ADMITTED:.0%} of {PER_ACCOUNT} each",
            field="instruments",
        )


def assign(*, wanted: Mapping[int, Mode], accounts: Sequence[str]) -> Assignment:
    """Spread the tokens over the accounts; the loss of one account moves only its own tokens, while there is room.

    Each token goes to the account with the highest weight for it; an account that overflows keeps the tokens that
    weigh most for it and the others go to their next choice. The answer does not depend on the order of arguments.
    """
    tokens = np.fromiter(sorted(wanted), np.uint64, len(wanted))
    names = sorted(accounts)
    owner = _place(tokens, [_seed(name) for name in names], PER_ACCOUNT)
    lines = {name: _lines(name, tokens[owner == number], wanted) for number, name in enumerate(names)}
    return Assignment(lines=lines, unplaced=tuple(int(token) for token in tokens[owner < 0]))


def shard_of(*, account_id: str, shards: int) -> int:
    """Return which feed process owns an account."""
    return zlib.crc32(account_id.encode()) % shards


def _lines(account: str, tokens: Weights, wanted: Mapping[int, Mode]) -> Lines:
    """As few connections as the admitted fill needs: an API key has only three, and other programs may want one."""
    needed = min(CONNECTIONS, -(-len(tokens) // int(PER_CONNECTION * ADMITTED)))
    line = _place(tokens, [_seed(f"{account}/{number}") for number in range(needed)], PER_CONNECTION)
    return tuple({token: wanted[token] for token in map(int, tokens[line == number])} for number in range(needed))


def _place(tokens: Weights, seeds: Sequence[int], room: int) -> npt.NDArray[np.intp]:
    """Return the number of each token's place, -1 where none has room: deferred acceptance, so the result is unique."""
    placed = np.full(len(tokens), -1, np.intp)
    if not seeds or not len(tokens):
        return placed
    weights = np.stack([_mix(tokens ^ np.uint64(seed)) for seed in seeds], axis=1)
    choices = np.argsort(weights, axis=1)[:, ::-1]
    tried = np.zeros(len(tokens), np.intp)
    open_ = np.arange(len(tokens))
    while len(open_):
        placed[open_] = choices[open_, tried[open_]]
        refused = [_overflow(np.flatnonzero(placed == place), weights[:, place], room) for place in range(len(seeds))]
        open_ = np.concatenate(refused)
        placed[open_] = -1
        tried[open_] += 1
        open_ = open_[tried[open_] < len(seeds)]
    return placed


def _overflow(held: npt.NDArray[np.intp], weights: Weights, room: int) -> npt.NDArray[np.intp]:
    if len(held) <= room:
        return held[:0]
    return held[np.argsort(weights[held])[: len(held) - room]]


def _seed(name: str) -> int:
    return int(_mix(np.array([zlib.crc32(name.encode())], np.uint64))[0])


def _mix(values: Weights) -> Weights:
    """SplitMix64's finaliser: the same on every machine and in every process."""
    mixed = values + np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))
