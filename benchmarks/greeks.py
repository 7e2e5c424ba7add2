"""Time the Greeks kernel beside its peers on one book, in one process, and check the ratios we promise.

python -m benchmarks.greeks [--rows 100000]
"""

import argparse
import importlib.util
import sys
import time
from collections.abc import Callable
from itertools import combinations

import numpy as np
from vollib.black.greeks import analytical
from vollib.black.implied_volatility import implied_volatility

from greeks import kernel
from tests.greeks import oracle
from tests.greeks.book import Book, index_book

LEAST_OVER_VOLLIB = 150.0
MOST_GROWTH = 1.3
BUDGET_MS = {10_000: 10.0, 50_000: 40.0}
VOLLIB_ROWS = 1_000
ROUNDS = 5
JUDGED_ROWS = 300
REPEATS = 5


def best_seconds(work: Callable[[], object], *, repeats: int = REPEATS) -> float:
    """Return the fastest of the repeats after one warm-up."""
    work()
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        work()
        times.append(time.perf_counter() - started)
    return min(times)


def kernel_seconds(book: Book) -> float:
    out = kernel.Result.allocate(len(book))
    return best_seconds(lambda: book.solve(out=out), repeats=max(REPEATS, 400_000 // len(book)))


def vollib_full_set(book: Book) -> list[float]:
    """Return the volatilities after computing them and the five Greeks one option at a time."""
    found = []
    names = [getattr(analytical, name) for name in ("delta", "gamma", "theta", "vega", "rho")]
    columns = (book.price.tolist(), book.forward.tolist(), book.strike.tolist(), book.t.tolist(), book.sign.tolist())
    for price, forward, strike, t, sign in zip(*columns, strict=True):
        flag = "c" if sign > 0 else "p"
        iv = implied_volatility(price, forward, strike, book.r, t, flag)
        for name in names:
            name(flag, forward, strike, t, book.r, iv)
        found.append(iv)
    return found


def pyvolr_full_set(book: Book) -> np.ndarray:
    """Return pyvolr's volatilities after computing them and the five Greeks."""
    import pyvolr  # noqa: PLC0415 (an optional peer, not a dependency)

    flag = book.sign.astype(np.int8)
    iv = pyvolr.black76.implied_volatility(book.price, book.forward, book.strike, book.t, book.r, flag)
    for name in ("delta", "gamma", "theta", "vega", "rho"):
        getattr(pyvolr.black76, name)(book.forward, book.strike, book.t, book.r, iv, flag)
    return np.asarray(iv)


def worst_error(book: Book, iv: np.ndarray | list[float]) -> float:
    """Return the largest absolute volatility error against forty digits."""
    return max(
        oracle.truth(
            price=book.price[i],
            forward=book.forward[i],
            strike=book.strike[i],
            t=book.t[i],
            r=book.r,
            sign=book.sign[i],
            near=iv[i],
        ).iv_error
        for i in range(len(book))
    )


def growth_table() -> tuple[dict[int, float], float]:
    """Return nanoseconds per option by batch size, and the most it grows from any batch to a larger one."""
    books = {rows: index_book(rows=rows) for rows in (1_000, 10_000, 50_000, 200_000)}
    rounds = [{rows: kernel_seconds(book) for rows, book in books.items()} for _ in range(ROUNDS)]
    cost = {rows: 1e9 * min(found[rows] for found in rounds) / rows for rows in books}
    return cost, max(cost[large] / cost[small] for small, large in combinations(cost, 2))


def main() -> int:
    """Print the tables; return 1 when a promise is broken."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000)
    rows = parser.parse_args().rows
    book, judged = index_book(rows=rows), index_book(rows=JUDGED_ROWS, seed=77)
    few = book.part(slice(0, VOLLIB_ROWS))

    # In turns, so that a busy machine slows both alike.
    rounds = [(kernel_seconds(book), best_seconds(lambda: vollib_full_set(few), repeats=1)) for _ in range(ROUNDS)]
    ours = min(seconds for seconds, _ in rounds) / rows
    vollib = min(seconds for _, seconds in rounds) / len(few)
    print(f"{'engine':<24}{'ns per full set':>16}{'ratio':>10}{'worst IV error':>16}")
    print_engine("this kernel", ours, ours, worst_error(judged, judged.solve().iv))
    print_engine("vollib", vollib, ours, worst_error(judged, vollib_full_set(judged)))
    print_pyvolr(book, judged, ours)

    cost, growth = growth_table()
    print("\nrows        ns per option      ms")
    for size, each in cost.items():
        print(f"{size:<12}{each:>13.0f}{each * size / 1e6:>8.2f}")
    print(f"most growth of the cost per option: {growth:.2f}")
    broken = broken_promises(vollib / ours, growth, cost)
    print("\n".join(broken) or "every promise kept")
    return 1 if broken else 0


def print_pyvolr(book: Book, judged: Book, ours: float) -> None:
    if importlib.util.find_spec("pyvolr") is None:
        print(f"{'pyvolr':<24}skipped: not installed")
        return
    theirs = best_seconds(lambda: pyvolr_full_set(book), repeats=3) / len(book)
    error = worst_error(judged, pyvolr_full_set(judged))
    print_engine("pyvolr", theirs, ours, error)


def print_engine(name: str, seconds: float, ours: float, error: float) -> None:
    print(f"{name:<24}{1e9 * seconds:>16.0f}{seconds / ours:>10.1f}{error:>16.1e}")


def broken_promises(over_vollib: float, growth: float, cost: dict[int, float]) -> list[str]:
    """Return a sentence for every promise the measurement breaks."""
    broken = []
    if over_vollib < LEAST_OVER_VOLLIB:
        broken.append(f"BROKEN: {over_vollib:.0f}x vollib, promised {LEAST_OVER_VOLLIB:.0f}x")
    if growth > MOST_GROWTH:
        broken.append(f"BROKEN: cost grows {growth:.2f}x, promised {MOST_GROWTH}x")
    broken += [
        f"BROKEN: {rows} options took {cost[rows] * rows / 1e6:.1f} ms, promised {budget} ms"
        for rows, budget in BUDGET_MS.items()
        if cost[rows] * rows / 1e6 > budget
    ]
    return broken


if __name__ == "__main__":
    sys.exit(main())
