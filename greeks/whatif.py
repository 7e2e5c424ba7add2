"""One option under any profile: its price from a volatility, or its volatility from a price, with all Greeks. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from greeks import kernel
from greeks.conventions import NSE_RATE, ForwardSource, Profile
from greeks.kernel import DAYS_PER_YEAR, POINTS, Flag, Floats

NAN = float("nan")


@dataclass(frozen=True, slots=True)
class Case:
    """An option as it might be: `years` in the profile's own years, price or iv, spot or forward."""

    profile: Profile
    strike: float
    sign: float
    years: float
    rate: float
    dividend: float = 0.0
    spot: float = NAN
    forward: float = NAN
    price: float = NAN
    iv: float = NAN


@dataclass(frozen=True, slots=True)
class Answers:
    """One row a case; prices and Greeks in the profile's units, `annual` as the textbooks differentiate."""

    forward: Floats
    forward_source: tuple[ForwardSource, ...]
    rate: Floats
    price: Floats
    result: kernel.Result
    annual_theta: Floats
    annual_vega: Floats
    annual_rho: Floats


def answer(*, cases: Sequence[Case]) -> Answers:
    """Value every case; a case that admits no value has flags and NaN, and disturbs no other."""
    rows = [_terms(case) for case in cases]
    names = ("forward", "rate", "strike", "sign", "years", "price", "iv", "spot")
    forward, rate, strike, sign, years, price, iv, spot = (
        np.array([float(row[name]) for row in rows], np.float64) for name in names
    )
    given = np.isfinite(iv)
    found = kernel.Result.allocate(len(rows))
    _put(found, given, kernel.greeks(forward[given], strike[given], years[given], rate[given], sign[given], iv[given]))
    solved = kernel.solve(price[~given], forward[~given], strike[~given], years[~given], rate[~given], sign[~given])
    _put(found, ~given, solved)
    on_spot = np.array([case.profile.on_spot for case in cases], bool)
    if on_spot.any():
        known = np.where(years > 0.0, years, NAN)
        _put(found, on_spot, _part(kernel.to_spot(result=found, forward=forward, spot=spot, t=known), on_spot))
    found.flags[~np.isfinite(forward)] |= np.uint16(Flag.NO_FORWARD)
    return Answers(
        forward=forward,
        forward_source=tuple(ForwardSource(int(row["source"])) for row in rows),
        rate=rate,
        price=np.where(given, found.intrinsic + found.time_value, price),
        result=found,
        annual_theta=found.theta * DAYS_PER_YEAR,
        annual_vega=found.vega * POINTS,
        annual_rho=found.rho * POINTS,
    )


def _terms(case: Case) -> dict[str, float]:
    compat = case.profile is Profile.NSE_COMPAT
    rate, dividend = (NSE_RATE, 0.0) if compat else (case.rate, case.dividend)
    given = np.isfinite(case.forward) and not case.profile.on_spot
    forward = case.forward if given else case.spot * float(np.exp((rate - dividend) * case.years))
    source = ForwardSource.GIVEN if given else ForwardSource.SPOT
    return {
        "forward": forward,
        "source": source if np.isfinite(forward) else ForwardSource.NONE,
        "rate": rate,
        "strike": case.strike,
        "sign": case.sign,
        "years": case.years,
        "price": case.price,
        "iv": case.iv,
        "spot": case.spot,
    }


def _put(into: kernel.Result, where: "np.ndarray[tuple[int, ...], np.dtype[np.bool_]]", values: kernel.Result) -> None:
    for name in (*kernel.COLUMNS, "flags"):
        getattr(into, name)[where] = getattr(values, name)


def _part(values: kernel.Result, where: "np.ndarray[tuple[int, ...], np.dtype[np.bool_]]") -> kernel.Result:
    return kernel.Result(**{name: getattr(values, name)[where] for name in (*kernel.COLUMNS, "flags")})
