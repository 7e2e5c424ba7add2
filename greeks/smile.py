"""Raw SVI through the out-of-the-money volatilities of one expiry, its arbitrage checks, and the skew read off it."""

from dataclasses import dataclass

import numpy as np
from scipy.optimize import least_squares

from greeks import kernel
from greeks.errors import NotEnoughQuotes
from greeks.kernel import Floats

LEAST_POINTS = 5
GRID_POINTS = 201
GRID_REACH = 1.5
SKEW_DELTA = 0.25
_TOLERANCE = 1e-9


@dataclass(frozen=True, slots=True)
class Svi:
    """Total variance w(k) = a + b (rho (k - m) + sqrt((k - m)^2 + sigma^2)), k = ln(strike / forward)."""

    a: float
    b: float
    rho: float
    m: float
    sigma: float

    def variance(self, *, k: Floats) -> Floats:
        """Return total variance."""
        shifted = k - self.m
        w: Floats = self.a + self.b * (self.rho * shifted + np.sqrt(shifted * shifted + self.sigma**2))
        return w

    def volatility(self, *, k: Floats, t: float) -> Floats:
        """Return volatility as a fraction."""
        iv: Floats = np.sqrt(self.variance(k=k) / t)
        return iv

    def density(self, *, k: Floats) -> Floats:
        """Return Gatheral's g(k); the slice is free of butterfly arbitrage where it is not negative."""
        shifted = k - self.m
        radius = np.sqrt(shifted * shifted + self.sigma**2)
        w = self.variance(k=k)
        first = self.b * (self.rho + shifted / radius)
        second = self.b * self.sigma**2 / radius**3
        g: Floats = (1.0 - 0.5 * k * first / w) ** 2 - 0.25 * first**2 * (1.0 / w + 0.25) + 0.5 * second
        return g


@dataclass(frozen=True, slots=True)
class Fit:
    """A fitted slice: its error in volatility points, the range of quotes behind it, its least density g(k)."""

    svi: Svi
    rmse_points: float
    worst_points: float
    points: int
    low: float
    high: float
    least_density: float

    @property
    def butterfly_free(self) -> bool:
        return self.least_density >= -_TOLERANCE


@dataclass(frozen=True, slots=True)
class Skew:
    """Volatilities as fractions at the forward and at 25 delta; NaN where the smile does not reach that delta."""

    atm: float
    call: float
    put: float
    slope: float

    @property
    def risk_reversal(self) -> float:
        return self.call - self.put

    @property
    def butterfly(self) -> float:
        return 0.5 * (self.call + self.put) - self.atm


def fit(*, k: Floats, iv: Floats, t: float, weight: Floats | None = None, start: Svi | None = None) -> Fit:
    """Return the least-squares slice, weighted by vega unless told otherwise; raises NotEnoughQuotes below five."""
    usable = np.isfinite(k) & np.isfinite(iv) & (iv > 0.0)
    k, iv = k[usable], iv[usable]
    if len(k) < LEAST_POINTS:
        raise NotEnoughQuotes(f"a smile needs {LEAST_POINTS} usable quotes, was given {len(k)}")
    weight = _vega_weight(k, iv, t) if weight is None else weight[usable]
    best = min((_descend(k, iv, t, weight, first) for first in _starts(k, iv, t, start)), key=lambda found: found[0])
    svi = best[1]
    miss = 100.0 * (svi.volatility(k=k, t=t) - iv)
    return Fit(
        svi=svi,
        rmse_points=float(np.sqrt(np.mean(miss * miss))),
        worst_points=float(np.max(np.abs(miss))),
        points=len(k),
        low=float(k.min()),
        high=float(k.max()),
        least_density=float(svi.density(k=np.linspace(*_reach(k), GRID_POINTS)).min()),
    )


def calendar_gap(*, near: Fit, far: Fit) -> float:
    """Return the least far-minus-near total variance over their common quotes; negative means calendar arbitrage."""
    k = np.linspace(max(near.low, far.low), min(near.high, far.high), GRID_POINTS)
    return float((far.svi.variance(k=k) - near.svi.variance(k=k)).min())


def skew(*, slice_fit: Fit, t: float) -> Skew:
    """Return at-the-forward volatility, its slope per unit of log-moneyness, and the 25-delta volatilities."""
    k = np.linspace(*_reach(np.array([slice_fit.low, slice_fit.high])), 4 * GRID_POINTS)
    iv = slice_fit.svi.volatility(k=k, t=t)
    delta = kernel.greeks(1.0, np.exp(k), t, 0.0, 1.0, iv).delta
    at, step = np.array([-1e-4, 0.0, 1e-4]), 2e-4
    around = slice_fit.svi.volatility(k=at, t=t)
    return Skew(
        atm=float(around[1]),
        call=_at_delta(delta, iv, SKEW_DELTA),
        put=_at_delta(delta, iv, 1.0 - SKEW_DELTA),
        slope=float((around[2] - around[0]) / step),
    )


def _at_delta(delta: Floats, iv: Floats, wanted: float) -> float:
    usable = np.isfinite(delta)
    falling_delta, falling_iv = delta[usable][::-1], iv[usable][::-1]
    if not len(falling_delta) or not falling_delta[0] <= wanted <= falling_delta[-1]:
        return float("nan")
    return float(np.interp(wanted, falling_delta, falling_iv))


def _reach(k: Floats) -> tuple[float, float]:
    return min(GRID_REACH * float(k.min()), -0.01), max(GRID_REACH * float(k.max()), 0.01)


def _vega_weight(k: Floats, iv: Floats, t: float) -> Floats:
    vega = kernel.greeks(1.0, np.exp(k), t, 0.0, 1.0, iv).vega
    vega = np.nan_to_num(vega, nan=0.0)
    weight: Floats = np.sqrt(vega / max(float(vega.max()), 1e-300)) + 1e-3
    return weight


def _starts(k: Floats, iv: Floats, t: float, start: Svi | None) -> list[Floats]:
    """Centred on the forward, and on the lowest quote. Columns: least variance, b, rho, m, sigma."""
    w = iv * iv * t
    least = float(w.min())
    if start is not None:
        floor = start.a + start.b * start.sigma * np.sqrt(1.0 - start.rho**2)
        return [np.array([floor, start.b, start.rho, start.m, start.sigma])]
    width = max(float(k.max() - k.min()), 1e-3)
    wing = max(float(w.max() - least) / width, 1e-4)
    return [
        np.array([0.9 * least, wing, -0.3, 0.0, 0.2 * width]),
        np.array([0.5 * least, wing, 0.0, float(k[np.argmin(w)]), 0.05 * width]),
    ]


def _descend(k: Floats, iv: Floats, t: float, weight: Floats, first: Floats) -> tuple[float, Svi]:
    def miss(p: Floats) -> Floats:
        value: Floats = weight * (np.sqrt(_svi(p).variance(k=k) / t) - iv)
        return value

    def jacobian(p: Floats) -> Floats:
        _, b, rho, m, sigma = p
        shifted = k - m
        radius = np.sqrt(shifted * shifted + sigma * sigma)
        inner = np.sqrt(1.0 - rho * rho)
        columns = np.stack(
            [
                np.ones_like(k),
                rho * shifted + radius - sigma * inner,
                b * (shifted + sigma * rho / inner),
                -b * (rho + shifted / radius),
                b * (sigma / radius - inner),
            ],
            axis=1,
        )
        slope: Floats = columns * (0.5 * weight / np.sqrt(_svi(p).variance(k=k) * t))[:, None]
        return slope

    low = np.array([1e-12, 0.0, -0.999, k.min() - 1.0, 1e-4])
    high = np.array([np.inf, np.inf, 0.999, k.max() + 1.0, 10.0])
    inside = np.clip(first, low + 1e-12, high - 1e-12)
    found = least_squares(
        miss, inside, jac=jacobian, bounds=(low, high), x_scale=np.maximum(np.abs(inside), 1e-4), max_nfev=200
    )
    return float(found.cost), _svi(found.x)


def _svi(p: Floats) -> Svi:
    """The first parameter is the least variance of the slice, which keeps every variance positive."""
    least, b, rho, m, sigma = (float(value) for value in p)
    return Svi(a=least - b * sigma * float(np.sqrt(1.0 - rho * rho)), b=b, rho=rho, m=m, sigma=sigma)
