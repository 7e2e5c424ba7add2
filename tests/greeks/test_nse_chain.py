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
    parity_forwards,
)
from greeks.kernel import Floats
from tests.greeks.nse import WITHIN, NseChain, chains, parse

RATE = 0.065
NEAR = 0.02


@pytest.fixture(scope="module")
def real_chains() -> list[NseChain]:
    return chains()


def test_the_exchange_profile_prints_the_exchange_volatilities(real_chains: list[NseChain]) -> None:
    for chain in real_chains:
        spot = chain.tied_spot()
        # A fitted spot is judged on the rows it was not fitted on.
        published = np.flatnonzero(chain.published())
        rows = published if spot == chain.spot else published[1::2]

        miss = chain.misses(spot=spot)[rows]

        assert len(miss) > 100
        assert abs(spot / chain.spot - 1.0) < 0.005
        assert np.mean(miss <= WITHIN) >= 0.98
        assert np.median(miss) < 0.004


def test_the_printed_spot_does_for_a_page_whose_volatilities_are_of_that_moment(real_chains: list[NseChain]) -> None:
    chain = next(each for each in real_chains if each.taken_at.year == 2019)

    assert np.mean(chain.misses(spot=chain.spot)[chain.published()] <= WITHIN) >= 0.98


def leg(strike: float, sign: float, *, iv: float, spot: float, days: int) -> dict[str, float]:
    t = days / 365
    value = kernel.price(spot * np.exp(NSE_RATE * t), strike, t, NSE_RATE, sign, iv)[0]
    names = {"lastPrice": round(float(value) / 0.05) * 0.05, "totalTradedVolume": 10, "impliedVolatility": 100 * iv}
    return {"strikePrice": strike, "buyPrice1": 1.0, "sellPrice1": 1.1, **names}


@pytest.mark.parametrize("stamp", ["24-Nov-2026 15:30:00", "24-11-2026 15:30"])
def test_newer_layouts_and_an_expiry_day_are_read(stamp: str) -> None:
    page = {
        "timestamp": stamp,
        "underlyingValue": 24_000.0,
        "data": [
            {"expiryDates": "24-11-2026", "strikePrice": strike, **sides}
            for strike in np.arange(23_700.0, 24_301.0, 50.0).tolist()
            for sides in [{"CE": leg(strike, 1.0, iv=0.14, spot=24_010.0, days=1), "PE": {"strikePrice": strike}}]
        ],
    }

    chain = parse(page)

    assert set(chain.expiry) == {chain.taken_at.date()}
    assert np.isnan(chain.last[chain.sign < 0.0]).all()
    assert chain.published().sum() == 13
    assert chain.tied_spot() == pytest.approx(24_010.0, abs=0.5)


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
    parity = parity_forwards(
        strike=strike[None],
        call=call[None],
        put=put[None],
        age=np.zeros((1, len(strike))),
        spot=np.array([chain.spot]),
        years=np.array([t]),
        rate=np.array([RATE]),
    )
    if not agrees(parity=parity)[0]:
        return np.array([])
    forward = chain.spot if on_spot else parity.value[0]
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
