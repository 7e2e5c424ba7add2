"""Option books with known volatilities."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from greeks import kernel
from greeks.kernel import Floats

TICK = 0.05
TENOR_DAYS = np.array([0.5 / 24, 2 / 24, 1, 2, 4, 7, 14, 30, 60, 90, 120, 180])


@dataclass(frozen=True, slots=True)
class Book:
    """Columns of options; `iv` is the volatility the unrounded price came from."""

    price: Floats
    forward: Floats
    strike: Floats
    t: Floats
    r: float
    sign: Floats
    iv: Floats

    def part(self, rows: Any) -> "Book":
        return Book(
            self.price[rows],
            self.forward[rows],
            self.strike[rows],
            self.t[rows],
            self.r,
            self.sign[rows],
            self.iv[rows],
        )

    def solve(self, *, out: kernel.Result | None = None) -> kernel.Result:
        return kernel.solve(self.price, self.forward, self.strike, self.t, self.r, self.sign, out=out)

    def __len__(self) -> int:
        return len(self.price)


def index_book(*, rows: int, seed: int = 1, rounded: bool = True) -> Book:
    """Weekly to half-yearly index options on the 50 grid; rounded to the tick, with a positive time value."""
    random = np.random.default_rng(seed)
    drawn = 4 * rows + 100
    t = TENOR_DAYS[random.integers(0, len(TENOR_DAYS), drawn)] / 365
    strike = np.round(24_000 * (1 + random.uniform(-0.2, 0.2, drawn)) / 50) * 50
    r = 0.065
    forward = 24_000 * (1 + 0.002 * random.standard_normal(drawn)) * np.exp(r * t)
    iv = np.clip(0.12 + 0.06 * np.abs(np.log(strike / forward)) / np.sqrt(t), 0.08, 0.6)
    sign = np.where(random.random(drawn) < 0.5, 1.0, -1.0)
    price = kernel.price(forward, strike, t, r, sign, iv)
    if rounded:
        price = np.round(price / TICK) * TICK
    time_value = price - np.maximum(sign * (forward - strike), 0.0) * np.exp(-r * t)
    chosen = np.flatnonzero((price > 0.0) & (time_value >= TICK))[:rows]
    return Book(price[chosen], forward[chosen], strike[chosen], t[chosen], r, sign[chosen], iv[chosen])


def wide_book(*, rows: int, seed: int = 2) -> Book:
    """Out-of-the-money options: 1 to 600 % volatility, 15 minutes to 5 years, strikes 0.2 to 5 times the forward."""
    random = np.random.default_rng(seed)
    t = np.exp(random.uniform(np.log(15 / 525_600), np.log(5), rows))
    iv = np.exp(random.uniform(np.log(0.01), np.log(6), rows))
    strike = np.exp(random.uniform(np.log(0.2), np.log(5), rows))
    sign = np.where(strike >= 1.0, 1.0, -1.0)
    price = kernel.price(1.0, strike, t, 0.0, sign, iv)
    return Book(price, np.ones(rows), strike, t, 0.0, sign, iv)
