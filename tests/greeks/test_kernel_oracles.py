"""The kernel against the published libraries."""

import importlib
import sys

import numpy as np
import pytest
from vollib.black import black
from vollib.black.greeks import analytical as black_greeks
from vollib.black.implied_volatility import implied_volatility
from vollib.black_scholes import black_scholes
from vollib.black_scholes.greeks import analytical as spot_greeks

from greeks import kernel
from tests.greeks.book import index_book

FLAGS = {1.0: "c", -1.0: "p"}
NAMES = ("delta", "gamma", "theta", "vega", "rho")


def test_volatilities_equal_vollib() -> None:
    book = index_book(rows=200, seed=21)
    theirs = [
        implied_volatility(book.price[i], book.forward[i], book.strike[i], book.r, book.t[i], FLAGS[book.sign[i]])
        for i in range(len(book))
    ]

    assert np.max(np.abs(book.solve().iv - theirs)) <= 1e-10


@pytest.mark.parametrize("name", NAMES)
def test_forward_sensitivities_equal_vollib(name: str) -> None:
    book = index_book(rows=200, seed=22)
    result = book.solve()
    formula = getattr(black_greeks, name)
    theirs = [
        formula(FLAGS[book.sign[i]], book.forward[i], book.strike[i], book.t[i], book.r, result.iv[i])
        for i in range(len(book))
    ]

    assert np.allclose(getattr(result, name), theirs, rtol=1e-9, atol=1e-13)


@pytest.mark.parametrize("name", NAMES)
def test_spot_sensitivities_equal_vollib(name: str) -> None:
    book = index_book(rows=200, seed=23)
    spot = book.forward * np.exp(-book.r * book.t)
    result = kernel.to_spot(result=book.solve(), forward=book.forward, spot=spot, t=book.t)
    formula = getattr(spot_greeks, name)
    theirs = [
        formula(FLAGS[book.sign[i]], spot[i], book.strike[i], book.t[i], book.r, result.iv[i]) for i in range(len(book))
    ]

    assert np.allclose(getattr(result, name), theirs, rtol=1e-9, atol=1e-11)


def test_spot_charm_is_the_slope_of_spot_delta() -> None:
    spot, rate, dividend, step = 24_000.0, 0.065, 0.012, 1e-6

    def at(t: float) -> kernel.Result:
        forward = spot * np.exp((rate - dividend) * t)
        raw = kernel.greeks(forward, 24_300.0, t, rate, 1.0, 0.13)
        return kernel.to_spot(result=raw, forward=forward, spot=spot, t=t)

    slope = (at(0.1 + step).delta[0] - at(0.1 - step).delta[0]) / (2 * step)
    assert at(0.1).charm[0] == pytest.approx(-slope / 365, rel=1e-6)


def test_prices_equal_vollib() -> None:
    call = black_scholes("c", 100.0, 110.0, 0.5, 0.06, 0.3)
    put = black("p", 100.0, 110.0, 0.5, 0.06, 0.3)

    assert kernel.price(100.0 * np.exp(0.03), 110.0, 0.5, 0.06, 1.0, 0.3)[0] == pytest.approx(call, rel=1e-13)
    assert kernel.price(100.0, 110.0, 0.5, 0.06, -1.0, 0.3)[0] == pytest.approx(put, rel=1e-13)


def test_py_vollib_is_an_alias_that_warns_and_agrees() -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == "py_vollib"]:
        del sys.modules[name]

    with pytest.warns(DeprecationWarning, match="vollib"):
        module = importlib.import_module("py_vollib.black.implied_volatility")

    theirs = module.implied_volatility(120.0, 24_000.0, 24_100.0, 0.065, 7 / 365, "c")
    assert kernel.solve(120.0, 24_000.0, 24_100.0, 7 / 365, 0.065, 1.0).iv[0] == pytest.approx(theirs, abs=1e-10)
