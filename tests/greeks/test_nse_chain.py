"""The profiles on real chains of the exchange."""

from datetime import date

import numpy as np
import pytest

from greeks import kernel
from greeks.conventions import (
    NSE_RATE,
    Quotes,
    agrees,
    calendar_years,
    choose_prices,
    expiry_instant,
    narrow_mids,
    nse_years,
    parity_forward,
)
from greeks.kernel import Floats
from tests.greeks.nse import NseChain, chains

RATE = 0.065
NEAR = 0.02


@pytest.fixture(scope="module")
def real_chains() -> list[NseChain]:
    return chains()


def test_the_exchange_profile_prints_the_exchange_volatilities(real_chains: list[NseChain]) -> None:
    for chain in real_chains:
        t = np.array([nse_years(today=chain.taken_at.date(), expiry=expiry) for expiry in chain.expiry])
        result = kernel.solve(chain.last, chain.spot * np.exp(NSE_RATE * t), chain.strike, t, NSE_RATE, chain.sign)
        published = (chain.iv > 0.0) & (chain.volume > 0.0)

        miss = np.abs(100.0 * result.iv - chain.iv)[published]

        assert len(miss) > 200
        assert np.mean(miss <= 0.01) >= 0.98
        assert np.median(miss) < 0.004


def test_the_default_profile_gives_call_and_put_one_volatility(real_chains: list[NseChain]) -> None:
    for chain in real_chains:
        gaps = [call_put_gaps(chain, expiry) for expiry in sorted(set(chain.expiry))]

        pooled = np.concatenate(gaps)

        assert len(pooled) >= 20
        assert np.median(pooled) < 0.5


def test_spot_instead_of_the_forward_would_tear_call_and_put_apart(real_chains: list[NseChain]) -> None:
    for chain in real_chains:
        torn = np.concatenate([call_put_gaps(chain, day, on_spot=True) for day in sorted(set(chain.expiry))])

        assert np.median(torn) > 0.5


def call_put_gaps(chain: NseChain, expiry: date, *, on_spot: bool = False) -> Floats:
    """|IV call - IV put| in points within 2 % of the spot; none for an expiry whose parity strikes disagree."""
    strike = np.unique(chain.strike[chain.of(expiry)])
    quotes = {sign: side_quotes(chain, expiry, strike, sign) for sign in (1.0, -1.0)}
    t = calendar_years(now=chain.taken_at, expires_at=expiry_instant(expiry=expiry, exchange="NFO"))
    call, put = (narrow_mids(quotes=quotes[sign]) for sign in (1.0, -1.0))
    parity = parity_forward(
        strike=strike, call=call, put=put, age=np.zeros(len(strike)), spot=chain.spot, years=t, rate=RATE
    )
    if parity is None or not agrees(parity=parity):
        return np.array([])
    forward = chain.spot if on_spot else parity.value
    ivs = [
        kernel.solve(choose_prices(quotes=quotes[sign]).value, forward, strike, t, RATE, sign, tick=0.05).iv
        for sign in (1.0, -1.0)
    ]
    gaps = 100.0 * np.abs(ivs[0] - ivs[1])[np.abs(strike / chain.spot - 1.0) < NEAR]
    found: Floats = gaps[np.isfinite(gaps)]
    return found


def side_quotes(chain: NseChain, expiry: date, strike: Floats, sign: float) -> Quotes:
    rows = np.flatnonzero(chain.of(expiry) & (chain.sign == sign))
    place = np.searchsorted(strike, chain.strike[rows])

    def aligned(values: Floats) -> Floats:
        column = np.full(len(strike), np.nan)
        column[place] = values[rows]
        return column

    return Quotes(
        bid=aligned(chain.bid),
        ask=aligned(chain.ask),
        last=aligned(np.where(chain.volume > 0.0, chain.last, np.nan)),
        quote_age=np.zeros(len(strike)),
        trade_age=np.full(len(strike), 120.0),
        tick=np.full(len(strike), 0.05),
    )
