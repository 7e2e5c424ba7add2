"""The kernel stays fast enough for one call a second over every chain."""

import time

import pytest
from vollib.black.greeks import analytical
from vollib.black.implied_volatility import implied_volatility

from greeks import kernel
from tests.greeks.book import Book, index_book

ROWS = 10_000
VOLLIB_ROWS = 150


@pytest.fixture(scope="module")
def fastest_seconds() -> float:
    book, out = index_book(rows=ROWS), kernel.Result.allocate(ROWS)
    return min(timed(book, out) for _ in range(15))


def timed(book: Book, out: kernel.Result) -> float:
    started = time.perf_counter()
    book.solve(out=out)
    return time.perf_counter() - started


def test_ten_thousand_options_fit_their_budget(fastest_seconds: float) -> None:
    assert fastest_seconds < 0.020


def test_the_full_set_is_far_faster_than_one_option_at_a_time(fastest_seconds: float) -> None:
    book = index_book(rows=VOLLIB_ROWS)
    started = time.perf_counter()
    for i in range(VOLLIB_ROWS):
        flag = "c" if book.sign[i] > 0 else "p"
        iv = implied_volatility(book.price[i], book.forward[i], book.strike[i], book.r, book.t[i], flag)
        for name in ("delta", "gamma", "theta", "vega", "rho"):
            getattr(analytical, name)(flag, book.forward[i], book.strike[i], book.t[i], book.r, iv)
    theirs = (time.perf_counter() - started) / VOLLIB_ROWS

    assert theirs / (fastest_seconds / ROWS) >= 50.0
