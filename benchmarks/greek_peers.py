"""One peer of the Greeks kernel, timed in an interpreter of its own: nothing of ours is imported here.

python greek_peers.py NAME BOOK.npz OUT.npz: each line read from standard input times the full set once more and
prints seconds of processor time; the first also writes the volatilities of the judged rows.
"""

import sys
import time
from collections.abc import Callable

import numpy as np

FIVE = ("delta", "gamma", "theta", "vega", "rho")


def py_vollib_vectorized() -> Callable[..., np.ndarray]:
    """Return the full set of py_vollib_vectorized; Black-76 is Merton's formula with the dividend at the rate.

    Its own "black" model raises a numba error for the Greeks. They are finite differences.
    """
    import py_vollib_vectorized as peer  # type: ignore[import-not-found] # noqa: PLC0415

    def full_set(price, forward, strike, t, r, sign):  # type: ignore[no-untyped-def]
        flag, r = np.where(sign > 0, "c", "p"), np.full(len(price), r)
        iv = peer.vectorized_implied_volatility_black(price, forward, strike, r, t, flag, return_as="numpy")
        for name in FIVE:
            one = getattr(peer, f"vectorized_{name}")
            one(flag, forward, strike, t, r, iv, r, model="black_scholes_merton", return_as="numpy")
        return iv

    return full_set


def pyvolr() -> Callable[..., np.ndarray]:
    """Return the full set of pyvolr, on the one thread RAYON_NUM_THREADS leaves it."""
    import pyvolr as peer  # noqa: PLC0415

    def full_set(price, forward, strike, t, r, sign):  # type: ignore[no-untyped-def]
        flag = sign.astype(np.int8)
        iv = peer.black76.implied_vol(price, flag, forward, strike, t, r, return_as="numpy")
        peer.black76.greeks(flag, forward, strike, t, r, iv, return_as="numpy")
        return np.asarray(iv)

    return full_set


PEERS = {"py_vollib_vectorized": py_vollib_vectorized, "pyvolr": pyvolr}


def main() -> None:
    """Serve timings until the input ends."""
    name, book_path, out_path = sys.argv[1:4]
    full_set = PEERS[name]()
    book = np.load(book_path)
    columns = [book[column] for column in ("price", "forward", "strike", "t", "r", "sign")]
    judged = [book[f"judged_{column}"] for column in ("price", "forward", "strike", "t", "r", "sign")]
    np.savez(out_path, iv=full_set(*judged))
    for _ in sys.stdin:
        started = time.process_time()
        full_set(*columns)
        sys.stdout.write(f"{time.process_time() - started}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
