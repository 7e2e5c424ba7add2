"""The kernel against forty-digit arithmetic."""

import numpy as np
import pytest

from greeks import kernel
from greeks.kernel import Flag, Result
from tests.greeks import oracle
from tests.greeks.book import Book, index_book, wide_book

ROWS = 1_000


@pytest.fixture(scope="module")
def tick_book() -> Book:
    return index_book(rows=ROWS)


@pytest.fixture(scope="module")
def tick_truths(tick_book: Book) -> list[oracle.Truth]:
    return truths(tick_book, tick_book.solve())


def truths(book: Book, result: Result) -> list[oracle.Truth]:
    return [
        oracle.truth(
            price=book.price[i],
            forward=book.forward[i],
            strike=book.strike[i],
            t=book.t[i],
            r=book.r,
            sign=book.sign[i],
            near=result.iv[i],
        )
        for i in range(len(book))
    ]


def test_tick_rounded_quotes_give_the_true_volatility(tick_book: Book, tick_truths: list[oracle.Truth]) -> None:
    assert len(tick_book) == ROWS

    assert max(found.iv_error for found in tick_truths) <= 1e-12


@pytest.mark.parametrize("name", kernel.SENSITIVITIES)
def test_a_sensitivity_is_true_to_nine_digits(name: str, tick_book: Book, tick_truths: list[oracle.Truth]) -> None:
    expected = np.array([found.sensitivities[name] for found in tick_truths])

    measured = getattr(tick_book.solve(), name)

    assert np.max(np.abs(measured / expected - 1.0)) <= 1e-9


@pytest.mark.parametrize("name", kernel.SENSITIVITIES)
def test_sensitivities_at_a_given_volatility_equal_the_solved_ones(name: str, tick_book: Book) -> None:
    solved = tick_book.solve()

    given = kernel.greeks(tick_book.forward, tick_book.strike, tick_book.t, tick_book.r, tick_book.sign, solved.iv)

    assert np.allclose(getattr(given, name), getattr(solved, name), rtol=1e-9, atol=1e-14)


def test_unrounded_far_out_of_the_money_prices_keep_twelve_digits() -> None:
    book = wide_book(rows=3_000, seed=7)
    book = book.part((book.price > 1e-195) & (book.price < 1e-3) & (book.iv * np.sqrt(book.t) > 0.01))
    book = book.part(slice(0, 600))

    result = book.solve()

    assert len(book) == 600
    assert book.price.min() < 1e-150
    assert max(found.iv_error / found.iv for found in truths(book, result)) <= 1e-12


def test_in_the_money_error_stays_within_what_the_price_can_carry() -> None:
    book = index_book(rows=1_500, seed=3, rounded=False)
    book = book.part(np.maximum(book.sign * (book.forward - book.strike), 0.0) > 0.0)
    book = book.part(slice(0, 400))
    result = book.solve()

    for row, found in enumerate(truths(book, result)):
        ulp_in_vol = np.spacing(book.price[row]) / (100 * found.sensitivities["vega"])
        assert found.iv_error <= 200 * ulp_in_vol + 1e-13


@pytest.mark.parametrize(
    ("least", "most", "error"),
    [(0.0, 0.01, 5e-12), (0.01, 0.1, 2e-13), (0.1, 1.0, 2e-14), (1.0, 3.0, 1e-14), (3.0, 5.0, 5e-14)],
)
def test_the_wide_book_comes_back_from_its_prices(least: float, most: float, error: float) -> None:
    book = wide_book(rows=180_000)
    total = book.iv * np.sqrt(book.t)
    book = book.part((total >= least) & (total < most) & (book.price > 1e-300))

    result = book.solve()

    assert len(book) > 1_000
    assert not result.flags.any()
    assert np.max(np.abs(result.iv / book.iv - 1.0)) <= error


def test_wide_book_prices_are_the_true_prices() -> None:
    book = wide_book(rows=1_200, seed=11)
    book = book.part((book.price > 1e-290) & (book.iv * np.sqrt(book.t) < 5.0))

    for row in range(len(book)):
        true = oracle.black(
            forward=1.0, strike=book.strike[row], t=book.t[row], r=0.0, sign=book.sign[row], iv=book.iv[row]
        )
        assert abs(float(book.price[row] / true) - 1.0) <= 1e-11


def test_total_volatility_above_five_is_refused() -> None:
    book = wide_book(rows=30_000, seed=5)
    beyond = np.flatnonzero(book.iv * np.sqrt(book.t) > 5.0)[:300]
    price = np.array(
        [
            float(
                oracle.black(forward=1.0, strike=book.strike[i], t=book.t[i], r=0.0, sign=book.sign[i], iv=book.iv[i])
            )
            for i in beyond
        ]
    )

    result = kernel.solve(price, 1.0, book.strike[beyond], book.t[beyond], 0.0, book.sign[beyond])

    assert len(beyond) == 300
    assert set(result.flags) <= {Flag.OUT_OF_RANGE, Flag.ABOVE_MAX}
    assert np.isnan(result.iv).all()


def test_the_erfcx_polynomial_is_the_chebyshev_fit() -> None:
    fitted = oracle.erfcx_coefficients(degree=len(kernel._ERFCX) - 1)

    assert np.array_equal(fitted, np.array(kernel._ERFCX))
