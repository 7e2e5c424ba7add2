"""Judge option chains of the exchange: does `nse_compat` print its volatilities, does the default join the two sides?

python -m benchmarks.nse FILE...

A file is the page's JSON as it came, plain or gzipped. Without a file those beside the repository are read. `within` is
the share of traded rows with a published volatility that lie within 0.01 point; the volatilities of an index are made
with a tick the page does not print, so its spot is fitted on every second row and judged on the others. `gap` is the
median |IV call - IV put| within 2 % of the spot under the default profile.
"""

import argparse
import sys
from pathlib import Path

import numpy as np

from tests.greeks.nse import FOLDER, LEAST_GAPS, LEAST_SHARE, MOST_GAP, WITHIN, NseChain, call_put_gaps, files, read


def main() -> int:
    """Print a line a file; return 1 when one misses a promise, 2 when one cannot be judged."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="*", type=Path, metavar="FILE")
    asked = parser.parse_args().files or files()
    if not asked:
        parser.error(f"no file was named and none lies in {FOLDER.name}")
    print(
        f"{'file':<28}{'taken':<18}{'rows':>6}{'spot':>11}{'tied to':>11}{'within':>9}{'median':>9}{'gap':>7}{'of':>5}"
    )
    return max(_judged(path) for path in asked)


def _judged(path: Path) -> int:
    try:
        chain = read(path)
    except (OSError, ValueError, KeyError) as error:
        print(f"{path.name:<28}cannot be judged: {error}")
        return 2
    return _printed(path.name, chain)


def _printed(name: str, chain: NseChain) -> int:
    spot, miss = chain.judged()
    gaps = call_put_gaps(chain)
    if not len(miss):
        print(f"{name:<28}cannot be judged: no traded row has a published volatility")
        return 2
    share, gap = float(np.mean(miss <= WITHIN)), float(np.median(gaps)) if len(gaps) else float("nan")
    print(
        f"{name:<28}{chain.taken_at:%Y-%m-%d %H:%M}  {len(miss):>6}{chain.spot:>11.2f}{spot:>11.2f}{share:>9.2%}"
        f"{np.median(miss):>9.4f}{gap:>7.3f}{len(gaps):>5}"
    )
    broken = share < LEAST_SHARE or (len(gaps) >= LEAST_GAPS and gap >= MOST_GAP)
    return int(broken)


if __name__ == "__main__":
    sys.exit(main())
