"""Reproducible noise: a hash of (seed, instrument, step), so a value does not depend on who asked first."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Uints = NDArray[np.uint64]


def mix(values: Uints) -> Uints:
    """Return splitmix64 of each value."""
    with np.errstate(over="ignore"):
        z = values + np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return z ^ (z >> np.uint64(31))


def hashed(*, keys: Uints, step: int, salt: int) -> Uints:
    with np.errstate(over="ignore"):
        offset = mix(np.array([(step * 1_000_003 + salt) & 0xFFFFFFFFFFFFFFFF], dtype=np.uint64))
        return mix(keys * np.uint64(0xD1342543DE82EF95) + offset)


def uniform(values: Uints) -> NDArray[np.float64]:
    return (values >> np.uint64(11)).astype(np.float64) * (1.0 / 9007199254740992.0)


def normal(*, keys: Uints, salt: int) -> NDArray[np.float64]:
    """Return standard normals by Box and Muller."""
    first = uniform(hashed(keys=keys, step=0, salt=salt))
    second = uniform(hashed(keys=keys, step=1, salt=salt))
    return np.sqrt(-2.0 * np.log(np.maximum(first, 1e-300))) * np.cos(2.0 * np.pi * second)
