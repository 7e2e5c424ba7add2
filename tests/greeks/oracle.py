"""Black-76 at forty digits: the judge of the kernel."""

from dataclasses import dataclass

import mpmath as mp
import numpy as np
import numpy.typing as npt

DIGITS = 40


@dataclass(frozen=True, slots=True)
class Truth:
    """True volatility of a price as given, and the true sensitivities at it."""

    iv: float
    iv_error: float
    sensitivities: dict[str, float]


def normal(x: mp.mpf) -> mp.mpf:
    return mp.erfc(-x / mp.sqrt(2)) / 2


def black(*, forward: float, strike: float, t: float, r: float, sign: float, iv: float) -> mp.mpf:
    with mp.workdps(DIGITS):
        f, k, years, rate, sigma = (mp.mpf(float(value)) for value in (forward, strike, t, r, iv))
        total = sigma * mp.sqrt(years)
        d1 = mp.log(f / k) / total + total / 2
        side = int(sign)
        return mp.exp(-rate * years) * side * (f * normal(side * d1) - k * normal(side * (d1 - total)))


def truth(*, price: float, forward: float, strike: float, t: float, r: float, sign: float, near: float) -> Truth:
    """Newton's correction of `near` is exact to twice its digits, so one step gives the true volatility."""
    with mp.workdps(DIGITS):
        f, k, years, rate = (mp.mpf(float(value)) for value in (forward, strike, t, r))
        root = mp.sqrt(years)
        discount = mp.exp(-rate * years)
        miss = black(forward=forward, strike=strike, t=t, r=r, sign=sign, iv=near) - mp.mpf(float(price))
        d1 = mp.log(f / k) / (near * root) + near * root / 2
        error = miss / (discount * f * density(d1) * root)
        sigma = mp.mpf(float(near)) - error
        return Truth(float(sigma), float(abs(error)), _sensitivities(f, k, years, rate, int(sign), sigma))


def density(x: mp.mpf) -> mp.mpf:
    return mp.exp(-x * x / 2) / mp.sqrt(2 * mp.pi)


def _sensitivities(f: mp.mpf, k: mp.mpf, t: mp.mpf, r: mp.mpf, sign: int, sigma: mp.mpf) -> dict[str, float]:
    total = sigma * mp.sqrt(t)
    d1 = mp.log(f / k) / total + total / 2
    d2 = d1 - total
    discount = mp.exp(-r * t)
    price = discount * sign * (f * normal(sign * d1) - k * normal(sign * d2))
    bell = discount * density(d1)
    delta = discount * sign * normal(sign * d1)
    values = {
        "delta": delta,
        "gamma": bell / (f * total),
        "theta": (r * price - f * bell * sigma / (2 * mp.sqrt(t))) / 365,
        "vega": f * bell * mp.sqrt(t) / 100,
        "rho": -t * price / 100,
        "vanna": -bell * d2 / sigma / 100,
        "charm": (r * delta + bell * d2 / (2 * t)) / 365,
        "vomma": f * bell * mp.sqrt(t) * d1 * d2 / sigma / 10_000,
    }
    return {name: float(value) for name, value in values.items()}


def erfcx_coefficients(*, degree: int) -> npt.NDArray[np.float64]:
    """Chebyshev fit of (1 + 2y) erfcx(y) in u = (y - 3) / (y + 3), as powers of u, highest first."""
    with mp.workdps(60):
        nodes = [mp.cos(mp.pi * (2 * j + 1) / 400) for j in range(200)]
        values = [_scaled_erfcx(u) for u in nodes]
        fit = [
            2 * sum(values[j] * mp.cos(mp.pi * n * (2 * j + 1) / 400) for j in range(200)) / 200
            for n in range(degree + 1)
        ]
        fit[0] /= 2
        return np.array([float(c) for c in reversed(_powers(fit))])


def _scaled_erfcx(u: mp.mpf) -> mp.mpf:
    y = 3 * (1 + u) / (1 - u)
    return (1 + 2 * y) * mp.erfc(y) * mp.exp(y * y)


def _powers(chebyshev: list[mp.mpf]) -> list[mp.mpf]:
    rows = [[mp.mpf(1)], [mp.mpf(0), mp.mpf(1)]]
    while len(rows) < len(chebyshev):
        following = [mp.mpf(0)] + [2 * value for value in rows[-1]]
        for i, value in enumerate(rows[-2]):
            following[i] -= value
        rows.append(following)
    powers = [mp.mpf(0)] * len(chebyshev)
    for weight, row in zip(chebyshev, rows, strict=True):
        for i, value in enumerate(row):
            powers[i] += weight * value
    return powers
