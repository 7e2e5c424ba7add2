"""What one computed chain says as a whole, read off its stored rows."""

from dataclasses import dataclass

import numpy as np

from greeks import analytics, smile
from greeks.analytics import Exposure, Ratios, Straddle
from greeks.kernel import Flag, Floats
from greeks.smile import Fit, Skew
from greeks.store import Chain

NOT_A_SMILE_POINT = Flag.FROM_PARITY | Flag.STALE_PRICE | Flag.WIDE_SPREAD


@dataclass(frozen=True, slots=True)
class Summary:
    """Numbers of a chain; NaN where its rows do not carry them. `priced` options have a volatility."""

    priced: int
    unpriced: int
    atm_iv: float
    max_pain: float
    ratios: Ratios
    straddle: Straddle
    exposure: Exposure


@dataclass(frozen=True, slots=True)
class SmilePoints:
    """Out-of-the-money volatilities by strike, and the log-moneyness they stand at."""

    strike: Floats
    k: Floats
    iv: Floats


def summarise(*, chain: Chain) -> Summary:
    """Return the chain's numbers."""
    strike, sign, iv, held = (chain.column(name) for name in ("strike", "sign", "iv", "oi"))
    forward, spot, years = (chain.value(name) for name in ("forward", "spot", "years"))
    found = analytics.straddle(strike=strike, sign=sign, price=chain.column("price"), iv=iv, forward=forward, t=years)
    priced = int(np.count_nonzero(np.isfinite(iv)))
    return Summary(
        priced=priced,
        unpriced=len(iv) - priced,
        atm_iv=found.iv,
        max_pain=analytics.max_pain(strike=strike, sign=sign, open_interest=held),
        ratios=analytics.put_call_ratios(sign=sign, open_interest=held, volume=chain.column("volume")),
        straddle=found,
        exposure=analytics.gamma_exposure(
            spot=spot if np.isfinite(spot) else forward,
            forward=forward,
            strike=strike,
            sign=sign,
            t=np.full(len(iv), years),
            r=chain.value("rate"),
            iv=iv,
            open_interest=held,
        ),
    )


def smile_points(*, chain: Chain) -> SmilePoints:
    """Return the volatilities a smile may be drawn through: out of the money, from live and narrow markets."""
    strike, sign, iv = (chain.column(name) for name in ("strike", "sign", "iv"))
    forward = chain.value("forward")
    outside = sign * (strike - forward) >= 0.0
    usable = outside & np.isfinite(iv) & ((chain.rows["flags"] & NOT_A_SMILE_POINT) == 0)
    rows = np.flatnonzero(usable)
    rows = rows[np.argsort(strike[rows], kind="stable")]
    return SmilePoints(strike=strike[rows], k=np.log(strike[rows] / forward), iv=iv[rows])


def fitted(*, chain: Chain) -> tuple[SmilePoints, Fit, Skew]:
    """Return the points, the slice through them and its skew; raises NotEnoughQuotes."""
    points, years = smile_points(chain=chain), chain.value("years")
    found = smile.fit(k=points.k, iv=points.iv, t=years)
    return points, found, smile.skew(slice_fit=found, t=years)
