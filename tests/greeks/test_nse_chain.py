"""The profiles on real chains of the exchange."""

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from greeks import kernel
from greeks.conventions import NSE_RATE
from tests.greeks.nse import (
    LEAST_GAPS,
    LEAST_SHARE,
    MOST_GAP,
    WITHIN,
    NseChain,
    call_put_gaps,
    chains,
    parse,
    read,
)


@pytest.fixture(scope="module")
def real_chains() -> list[NseChain]:
    return chains()


def test_the_exchange_profile_prints_the_exchange_volatilities(real_chains: list[NseChain]) -> None:
    for chain in real_chains:
        spot, miss = chain.judged()

        assert len(miss) > 100
        assert abs(spot / chain.spot - 1.0) < 0.005
        assert np.mean(miss <= WITHIN) >= LEAST_SHARE
        assert np.median(miss) < 0.004


def test_the_printed_spot_does_for_a_page_whose_volatilities_are_of_that_moment(real_chains: list[NseChain]) -> None:
    chain = next(each for each in real_chains if each.taken_at.year == 2019)

    assert np.mean(chain.misses(spot=chain.spot)[chain.published()] <= WITHIN) >= LEAST_SHARE


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


def page(**changes: Any) -> dict[str, Any]:
    """A small page with a call and a put a strike, a week before expiry."""
    return {
        "timestamp": "24-Nov-2026 15:30:00",
        "underlyingValue": 24_000.0,
        "data": [
            {
                "expiryDate": "01-Dec-2026",
                "strikePrice": strike,
                "CE": leg(strike, 1.0, iv=0.14, spot=24_000.0, days=7),
                "PE": leg(strike, -1.0, iv=0.15, spot=24_000.0, days=7),
            }
            for strike in np.arange(23_700.0, 24_301.0, 50.0).tolist()
        ],
        **changes,
    }


def test_numbers_may_be_text_and_what_is_no_number_is_unknown() -> None:
    rows = page()["data"]
    rows[0]["CE"] |= {"lastPrice": "1,234.50", "impliedVolatility": "-", "totalTradedVolume": None}
    rows[1]["PE"] |= {"impliedVolatility": 0}

    chain = parse(page(data=rows))

    assert chain.last[0] == 1_234.5
    assert np.isnan([chain.iv[0], chain.volume[0]]).all()
    assert chain.published().sum() == 24


@pytest.mark.parametrize("shape", ["records", "filtered", "bare"])
@pytest.mark.parametrize("packed", [True, False])
def test_a_page_may_stand_whole_or_in_its_parts(tmp_path: Path, shape: str, packed: bool) -> None:
    body = page(
        underlyingValue=None, data=[{**row, "CE": {**row["CE"], "underlyingValue": 24_000.0}} for row in page()["data"]]
    )
    whole = {"bare": body, "records": {"records": body, "filtered": {"data": []}}, "filtered": {"filtered": body}}[
        shape
    ]
    text = json.dumps(whole).encode()
    path = tmp_path / ("page.json.gz" if packed else "page.json")
    path.write_bytes(gzip.compress(text) if packed else text)

    chain = read(path)

    assert (chain.spot, len(chain.strike)) == (24_000.0, 26)
    spot, miss = chain.judged()
    assert spot == 24_000.0
    assert np.mean(miss <= WITHIN) == 1.0


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"timestamp": ""}, "no known way to write a date: ''"),
        ({"timestamp": None}, "timestamp"),
        ({"data": []}, "no option"),
        ({"underlyingValue": None}, "underlyingValue"),
    ],
)
def test_a_page_that_cannot_be_judged_says_what_is_missing(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        parse(page(**changes))


def test_a_page_without_a_published_volatility_judges_nothing() -> None:
    quiet = [
        {**row, "CE": {**row["CE"], "impliedVolatility": 0}, "PE": {**row["PE"], "impliedVolatility": None}}
        for row in page()["data"]
    ]

    spot, miss = parse(page(data=quiet)).judged()

    assert (spot, len(miss)) == (24_000.0, 0)


def test_the_default_profile_gives_call_and_put_one_volatility(real_chains: list[NseChain]) -> None:
    for chain in real_chains:
        pooled = call_put_gaps(chain)

        assert len(pooled) >= LEAST_GAPS
        assert np.median(pooled) < MOST_GAP


def test_spot_instead_of_the_forward_would_tear_call_and_put_apart(real_chains: list[NseChain]) -> None:
    for chain in real_chains:
        assert np.median(call_put_gaps(chain, on_spot=True)) > MOST_GAP
