"""Option prices on a forward (Black 1976) and the smile they are quoted on, over numpy arrays."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

# Chebyshev coefficients of erfc, fractional error below 1.2e-7 (Press et al., Numerical Recipes, section 6.2).
ERFC = (
    -1.26551223, 1.00002368, 0.37409196, 0.09678418, -0.18628806, 0.27886807, -1.13520398, 1.48851587, -0.82215223,
    0.17087277,
)  # fmt: skip


def erfc(x: Floats) -> Floats:
    t = 1.0 / (1.0 + 0.5 * np.abs(x))
    series = np.zeros_like(t)
    for coefficient in reversed(ERFC):
        series = series * t + coefficient
    tail: Floats = t * np.exp(-x * x + series)
    return np.where(x >= 0, tail, 2.0 - tail)


def normal_cdf(x: Floats) -> Floats:
    return 0.5 * erfc(-x / np.sqrt(2.0))


def black_price(
    *, forward: Floats, strike: Floats, total_sigma: Floats, discount: Floats, is_call: NDArray[np.bool_]
) -> Floats:
    """Return prices whose calls and puts satisfy parity: the in-the-money side is the other plus D(F - K)."""
    sigma = np.maximum(total_sigma, 1e-9)
    d1 = np.log(forward / strike) / sigma + 0.5 * sigma
    d2 = d1 - sigma
    sign = np.where(forward >= strike, -1.0, 1.0)
    out = discount * sign * (forward * normal_cdf(sign * d1) - strike * normal_cdf(sign * d2))
    out = np.maximum(out, 0.0)
    out_is_call = sign > 0
    parity = discount * (forward - strike)
    other = np.where(out_is_call, out - parity, out + parity)
    return np.where(out_is_call == is_call, out, other)


def smile_sigma(*, log_moneyness: Floats, years: Floats, atm: Floats) -> Floats:
    """Return implied volatility on an index-like smile: dearer puts, mild wings, flatter with time."""
    scaled = log_moneyness / np.sqrt(np.maximum(years, 1 / 365))
    scaled = np.clip(scaled, -1.5, 1.5)
    shape = 1.0 - 0.55 * scaled + 0.9 * scaled * scaled
    term = 1.0 + 0.08 * np.sqrt(np.maximum(years, 0.0))
    return np.clip(atm * shape * term, 0.04, 2.5)


def implied_total_sigma(
    *, price: Floats, forward: Floats, strike: Floats, discount: Floats, is_call: NDArray[np.bool_]
) -> Floats:
    """Return sigma·√T by 60 bisections on [0, 5]; clipped at the ends when the price has no solution."""
    low = np.zeros_like(price)
    high = np.full_like(price, 5.0)
    for _ in range(60):
        middle = 0.5 * (low + high)
        model = black_price(forward=forward, strike=strike, total_sigma=middle, discount=discount, is_call=is_call)
        low = np.where(model < price, middle, low)
        high = np.where(model < price, high, middle)
    return 0.5 * (low + high)
