"""Time the Greeks kernel beside its peers on one book, in one run and by turns, and check the ratios we promise.

python -m benchmarks.greeks [--rows 100000] [--environments FOLDER]

vollib runs in this process. py_vollib_vectorized and pyvolr run in environments of their own, made on first use; where
one cannot be had, the reason is printed and its promise is not checked.
"""

import argparse
import contextlib
import sys
import tempfile
import time
from collections.abc import Callable
from itertools import combinations
from pathlib import Path

import numpy as np
from vollib.black.greeks import analytical
from vollib.black.implied_volatility import implied_volatility

from benchmarks.greek_environment import PINS, Peer, Unavailable
from greeks import kernel
from tests.greeks import oracle
from tests.greeks.book import Book, index_book

LEAST_OVER = {"vollib": 150.0, "py_vollib_vectorized": 8.0, "pyvolr": 2.0}
MOST_GROWTH = 1.3
BUDGET_MS = {10_000: 10.0, 50_000: 40.0}
VOLLIB_ROWS = 1_000
ROUNDS = 5
JUDGED_ROWS = 300
REPEATS = 5


def best_seconds(work: Callable[[], object], *, repeats: int = REPEATS) -> float:
    """Return the least processor time of the repeats, after one warm-up; a busy machine does not count."""
    work()
    times = []
    for _ in range(repeats):
        started = time.process_time()
        work()
        times.append(time.process_time() - started)
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


def peer_table(
    *, book: Book, judged: Book, folder: Path
) -> tuple[float, dict[str, float], dict[str, float], dict[str, str]]:
    """Return seconds per full set of the kernel and of each peer, the peers' worst errors, and why some are missing."""
    few = book.part(slice(0, VOLLIB_ROWS))
    missing: dict[str, str] = {}
    ours: list[float] = []
    theirs: dict[str, list[float]] = {"vollib": []}
    with contextlib.ExitStack() as running:
        peers = []
        for name in PINS:
            try:
                peers.append(running.enter_context(Peer(name=name, folder=folder, book=book, judged=judged)))
            except Unavailable as reason:
                missing[name] = str(reason)
        # In turns, so that a busy machine slows all alike.
        for _ in range(ROUNDS):
            ours.append(kernel_seconds(book) / len(book))
            theirs["vollib"].append(best_seconds(lambda: vollib_full_set(few), repeats=1) / len(few))
            for peer in peers:
                theirs.setdefault(peer.name, []).append(min(peer.seconds() for _ in range(3)) / len(book))
        errors = {peer.name: worst_error(judged, peer.volatilities()) for peer in peers}
    errors["vollib"] = worst_error(judged, vollib_full_set(judged))
    return min(ours), {name: min(found) for name, found in theirs.items()}, errors, missing


def main() -> int:
    """Print the tables; return 1 when a promise is broken."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument(
        "--environments", type=Path, default=Path(tempfile.gettempdir()) / "greeks-peers", help="where peers live"
    )
    asked = parser.parse_args()
    book, judged = index_book(rows=asked.rows), index_book(rows=JUDGED_ROWS, seed=77)

    ours, peers, errors, missing = peer_table(book=book, judged=judged, folder=asked.environments)
    print(f"{'engine':<24}{'ns per full set':>16}{'ratio':>10}{'worst IV error':>16}")
    print_engine("this kernel", ours, ours, worst_error(judged, judged.solve().iv))
    for name, seconds in peers.items():
        print_engine(name, seconds, ours, errors[name])
    for name, reason in missing.items():
        print(f"{name:<24}skipped: {reason}")

    cost, growth = growth_table()
    print("\nrows        ns per option      ms")
    for size, each in cost.items():
        print(f"{size:<12}{each:>13.0f}{each * size / 1e6:>8.2f}")
    print(f"most growth of the cost per option: {growth:.2f}")
    broken = broken_promises({name: seconds / ours for name, seconds in peers.items()}, growth, cost)
    print("\n".join(broken) or "every promise kept")
    return 1 if broken else 0


def print_engine(name: str, seconds: float, ours: float, error: float) -> None:
    print(f"{name:<24}{1e9 * seconds:>16.0f}{seconds / ours:>10.1f}{error:>16.1e}")


def broken_promises(over: dict[str, float], growth: float, cost: dict[int, float]) -> list[str]:
    """Return a sentence for every promise the measurement breaks."""
    broken = [
        f"BROKEN: {ratio:.1f}x {name}, promised {LEAST_OVER[name]:.0f}x"
        for name, ratio in over.items()
        if ratio < LEAST_OVER[name]
    ]
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
