"""Many blobs kept as lanes: all their first parts in one piece, all their second parts in another. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, slots=True)
class Lane:
    """One buffer with one part of every blob; blob i has `sizes[i]` bytes of it from `starts[i]` on."""

    buffer: memoryview
    starts: npt.NDArray[np.intp]
    sizes: npt.NDArray[np.intp]


def recipe(*, sequences: Sequence[int], lanes: Sequence[Lane], places: Sequence[int]) -> str:
    """Return how the blobs at these places are woven: for each its sequence, then start and size in every lane."""
    columns = [sequences, *(column[list(places)].tolist() for lane in lanes for column in (lane.starts, lane.sizes))]
    return " ".join(map(str, _flat(columns)))


def _flat(columns: Sequence[Sequence[int]]) -> Iterator[int]:
    return (number for row in zip(*columns, strict=True) for number in row)
