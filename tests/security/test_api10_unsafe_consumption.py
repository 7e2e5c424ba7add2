"""API10: what the broker sends is checked like what a stranger sends."""

import numpy as np
import pytest

from kite.wire import decode
from tests.kite.frames import frame, full, index_full, ltp, quote, token

MUTATIONS, CAMPAIGN = 2_000, 100_000
SEEDS = [
    frame(ltp(token("NSE"), 150_000)),
    frame(quote(token("NFO")), full(token("NSE"))),
    frame(full(token("BFO")), full(token("MCX")), ltp(token("CDS"), 9)),
    frame(index_full(token("INDICES"), 1_700_000_000)),
]


def mutated(chance: np.random.Generator) -> bytes:
    data = bytearray(SEEDS[chance.integers(len(SEEDS))])
    for _ in range(chance.integers(1, 6)):
        place = int(chance.integers(len(data)))
        what = chance.integers(4)
        if what == 0:
            data[place] ^= 1 << int(chance.integers(8))
        elif what == 1:
            del data[place:]
        elif what == 2:
            data[place:place] = bytes(chance.integers(0, 256, size=int(chance.integers(1, 64)), dtype=np.uint8))
        else:
            data[place : place + 2] = b"\xff\xff"
        if not data:
            return b""
    return bytes(data)


def try_packets(count: int) -> None:
    chance = np.random.default_rng(20_261_124)
    for _ in range(count):
        data = mutated(chance)
        found = decode([data])
        assert np.isfinite(found.rows["last_price"]).all()
        assert len(found.rows) * 8 <= len(data)
        assert found.truncated <= 1


def test_damaged_packets_neither_break_the_decoder_nor_make_nonsense() -> None:
    try_packets(MUTATIONS)


@pytest.mark.long
def test_a_hundred_thousand_damaged_packets_do_neither() -> None:
    try_packets(CAMPAIGN)
