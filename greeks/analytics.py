"""Numbers traders read off a chain: put-call ratio, max pain, expected move, gamma exposure, rank. Pure."""

from dataclasses import dataclass

import numpy as np

from greeks import kernel
from greeks.kernel import Floats

ZERO_GAMMA_POINTS = 41
ZERO_GAMMA_REACH = 0.10
SIGN_ASSUMPTION = "dealers long calls and short puts: call gamma counts plus, put gamma minus"


@dataclass(frozen=True, slots=True)
class Ratios:
    """Put over call; NaN where no call was open or traded."""

    open_interest: float
    volume: float


@dataclass(frozen=True, slots=True)
class Exposure:
    """Gamma exposure under SIGN_ASSUMPTION.

    `rupees_per_percent` scales by S^2 / 100: rupees of hedging for a one per cent move. `units_per_rupee` is the plain
    sum of gamma times open interest. `unpriced` counts options with open interest and no gamma, missing from the sums.
    """

    rupees_per_percent: float
    units_per_rupee: float
    zero_gamma: float
    unpriced: int


@dataclass(frozen=True, slots=True)
class Straddle:
    """The straddle at the strike nearest the forward, and the move it pays for."""

    strike: float
    price: float
    iv: float
    expected_move: float


def put_call_ratios(*, sign: Floats, open_interest: Floats, volume: Floats) -> Ratios:
    return Ratios(open_interest=_put_over_call(sign, open_interest), volume=_put_over_call(sign, volume))


def max_pain(*, strike: Floats, sign: Floats, open_interest: Floats) -> float:
    """Return the strike at which option holders as a whole are paid least, NaN without open interest."""
    held = np.nan_to_num(open_interest)
    if not held.any():
        return float("nan")
    settlements = np.unique(strike)
    paid = np.maximum(sign * (settlements[:, None] - strike), 0.0) @ held
    return float(settlements[np.argmin(paid)])


def straddle(*, strike: Floats, sign: Floats, price: Floats, iv: Floats, forward: float, t: float) -> Straddle:
    """Return the priced straddle nearest the forward; the expected move is one standard deviation at its volatility."""
    calls = {float(k): i for i, k in enumerate(strike) if sign[i] > 0 and np.isfinite(price[i])}
    puts = {float(k): i for i, k in enumerate(strike) if sign[i] < 0 and np.isfinite(price[i])}
    both = sorted(calls.keys() & puts.keys(), key=lambda k: (abs(k - forward), k))
    if not both:
        return Straddle(*[float("nan")] * 4)
    call, put = calls[both[0]], puts[both[0]]
    known = [float(iv[row]) for row in (call, put) if np.isfinite(iv[row])]
    level = sum(known) / len(known) if known else float("nan")
    return Straddle(
        strike=both[0],
        price=float(price[call] + price[put]),
        iv=level,
        expected_move=forward * level * float(np.sqrt(t)),
    )


def gamma_exposure(  # noqa: PLR0913 (columns of one chain)
    *, spot: float, forward: float, strike: Floats, sign: Floats, t: Floats, r: float, iv: Floats, open_interest: Floats
) -> Exposure:
    """Return gamma exposure of open interest in units (not lots), and the level where it changes sign."""
    held = np.nan_to_num(open_interest)
    gamma = kernel.greeks(forward, strike, t, r, sign, iv).gamma
    per_rupee = float(np.nansum(sign * gamma * held))
    return Exposure(
        rupees_per_percent=per_rupee * spot * spot / 100.0,
        units_per_rupee=per_rupee,
        zero_gamma=_zero_gamma(forward / spot, spot, strike, sign, t, r, iv, held),
        unpriced=int(np.count_nonzero((held > 0.0) & ~np.isfinite(gamma))),
    )


def rank(*, level: float, history: Floats) -> float:
    """Return where a level stands between the lowest and highest of its history, 0 to 100; NaN without a range."""
    low, high = (float(np.min(history)), float(np.max(history))) if len(history) else (0.0, 0.0)
    return 100.0 * (level - low) / (high - low) if high > low else float("nan")


def percentile(*, level: float, history: Floats) -> float:
    """Return the share of history strictly below a level, 0 to 100; NaN without history."""
    return 100.0 * float(np.mean(history < level)) if len(history) else float("nan")


def constant_maturity(*, t: Floats, iv: Floats, target: float) -> float:
    """Return the volatility at one maturity, total variance interpolated in time and flat volatility outside."""
    usable = np.isfinite(iv) & (t > 0.0)
    if not usable.any():
        return float("nan")
    order = np.argsort(t[usable])
    years, level = t[usable][order], iv[usable][order]
    if target <= years[0] or target >= years[-1]:
        return float(level[0] if target <= years[0] else level[-1])
    return float(np.sqrt(np.interp(target, years, level * level * years) / target))


def between_maturities(*, t: Floats, value: Floats, target: float) -> float:
    """Return a skew at one maturity, interpolated in time and flat outside; NaN without a known one."""
    usable = np.isfinite(value) & (t > 0.0)
    if not usable.any():
        return float("nan")
    order = np.argsort(t[usable])
    return float(np.interp(target, t[usable][order], value[usable][order]))


def _put_over_call(sign: Floats, quantity: Floats) -> float:
    calls = float(np.nansum(quantity[sign > 0]))
    return float(np.nansum(quantity[sign < 0])) / calls if calls else float("nan")


def _zero_gamma(  # noqa: PLR0913, PLR0917 (columns of one chain)
    growth: float, spot: float, strike: Floats, sign: Floats, t: Floats, r: float, iv: Floats, held: Floats
) -> float:
    """The level nearest the spot where exposure crosses zero with volatilities held, NaN when it does not."""
    levels = spot * np.linspace(1.0 - ZERO_GAMMA_REACH, 1.0 + ZERO_GAMMA_REACH, ZERO_GAMMA_POINTS)
    shape = (len(levels), len(strike))
    tiled = [np.broadcast_to(column, shape).ravel() for column in (strike, t, sign, iv)]
    forwards = np.broadcast_to((levels * growth)[:, None], shape).ravel()
    gamma = kernel.greeks(forwards, tiled[0], tiled[1], r, tiled[2], tiled[3]).gamma.reshape(shape)
    total = np.nansum(sign * gamma * held, axis=1)
    crossings = np.flatnonzero(total[:-1] * total[1:] < 0.0)
    if not len(crossings):
        return float("nan")
    share = total[crossings] / (total[crossings] - total[crossings + 1])
    found = levels[crossings] + share * (levels[crossings + 1] - levels[crossings])
    return float(found[np.argmin(np.abs(found - spot))])
