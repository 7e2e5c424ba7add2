"""What must hold for every option."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from greeks import kernel
from greeks.kernel import COLUMNS
from tests.greeks.book import index_book

strikes = st.floats(0.5, 2.0)
years = st.floats(0.002, 3.0)
rates = st.floats(-0.02, 0.15)
volatilities = st.floats(0.05, 2.0)
signs = st.sampled_from([1.0, -1.0])


@given(strike=strikes, t=years, r=rates, sign=signs, iv=volatilities)
def test_a_price_survives_the_round_trip(strike: float, t: float, r: float, sign: float, iv: float) -> None:
    forward, scaled = 24_000.0, 24_000.0 * strike
    price = kernel.price(forward, scaled, t, r, sign, iv)
    solved = kernel.solve(price, forward, scaled, t, r, sign, tick=1e-6)

    if solved.flags[0]:
        assert solved.time_value[0] < 1e-6
        return

    again = kernel.price(forward, scaled, t, r, sign, solved.iv)
    assert abs(again[0] - price[0]) <= 1e-9


@given(strike=strikes, t=years, r=rates, iv=volatilities)
def test_call_minus_put_is_the_discounted_forward(strike: float, t: float, r: float, iv: float) -> None:
    call, put = (kernel.greeks(1.0, strike, t, r, sign, iv) for sign in (1.0, -1.0))
    discount = np.exp(-r * t)

    assert call.delta[0] - put.delta[0] == pytest.approx(discount, rel=1e-13)
    assert call.intrinsic[0] + call.time_value[0] - put.intrinsic[0] - put.time_value[0] == pytest.approx(
        discount * (1.0 - strike), abs=1e-14
    )
    for name in ("gamma", "vega", "vanna", "vomma"):
        assert getattr(call, name)[0] == getattr(put, name)[0]


@given(strike=strikes, t=years, r=rates, sign=signs, iv=volatilities)
def test_a_higher_price_means_a_higher_volatility(strike: float, t: float, r: float, sign: float, iv: float) -> None:
    low, high = (kernel.price(1.0, strike, t, r, sign, level)[0] for level in (iv, iv * 1.01))
    solved = kernel.solve([low, high], 1.0, strike, t, r, sign, tick=1e-9)

    if not solved.flags.any():
        assert solved.iv[0] < solved.iv[1]


@given(strike=strikes, t=years, r=rates, sign=signs, iv=volatilities)
def test_the_currency_unit_does_not_matter(strike: float, t: float, r: float, sign: float, iv: float) -> None:
    one, many = (kernel.greeks(unit, unit * strike, t, r, sign, iv) for unit in (1.0, 1_024.0))

    assert many.delta[0] == one.delta[0]
    assert many.gamma[0] * 1_024.0 == pytest.approx(one.gamma[0], rel=1e-15, abs=1e-290)
    for name in ("theta", "vega", "rho", "vomma"):
        assert getattr(many, name)[0] == pytest.approx(getattr(one, name)[0] * 1_024.0, rel=1e-15, abs=1e-290)


def test_order_and_batching_do_not_change_a_bit() -> None:
    book = index_book(rows=20_011)
    whole = book.solve()
    order = np.random.default_rng(9).permutation(len(book))

    shuffled = book.part(order).solve()
    pieces = [book.part(slice(i, i + 1_237)).solve() for i in range(0, len(book), 1_237)]

    for name in COLUMNS:
        assert np.array_equal(getattr(shuffled, name), getattr(whole, name)[order]), name
        assert np.array_equal(np.concatenate([getattr(piece, name) for piece in pieces]), getattr(whole, name)), name


def test_every_row_alone_equals_the_row_in_the_batch() -> None:
    book = index_book(rows=40)
    whole = book.solve()

    for row in range(len(book)):
        assert book.part(slice(row, row + 1)).solve().iv[0] == whole.iv[row]


def test_a_given_output_is_filled_and_returned() -> None:
    book = index_book(rows=10_000)
    out = kernel.Result.allocate(10_000)

    assert book.solve(out=out) is out
    assert np.array_equal(out.iv, book.solve().iv)


def test_inputs_are_left_alone() -> None:
    book = index_book(rows=100)
    before = book.price.copy()
    book.price.flags.writeable = False

    book.solve()

    assert np.array_equal(book.price, before)
