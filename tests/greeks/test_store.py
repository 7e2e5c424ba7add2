"""The packed form of a chain."""

from datetime import date

import numpy as np
import pytest

from greeks import store
from greeks.errors import BadChainBlob, InvalidChain
from greeks.store import HEADER, ROW, ChainKey
from tests.greeks.blobs import packed


def blob(**header: object) -> bytes:
    rows = np.zeros(2, ROW)
    rows["strike"] = [100.0, 110.0]
    known = {"underlying": b"NIFTY", "expiry_ordinal": date(2026, 11, 26).toordinal(), "sequence": 7}
    return packed(rows=rows, symbols=b"ONE\nTWO", header={**known, **header})


def test_a_packed_chain_comes_back() -> None:
    chain = store.unpack(blob())

    assert chain.key == ChainKey("NIFTY", date(2026, 11, 26))
    assert chain.sequence == 7
    assert chain.symbols == ("ONE", "TWO")
    assert chain.column("strike").tolist() == [100.0, 110.0]


def test_the_rows_are_a_view_that_cannot_be_written() -> None:
    with pytest.raises(ValueError, match="read-only"):
        store.unpack(blob()).rows["strike"][0] = 1.0


def test_an_option_takes_less_than_a_hundred_bytes() -> None:
    assert ROW.itemsize <= 100


@pytest.mark.parametrize(
    "damaged", [b"", blob()[:-1], blob() + b"x", b"XXX" + blob()[3:], blob()[:3] + b"\x09" + blob()[4:]]
)
def test_damaged_bytes_are_refused(damaged: bytes) -> None:
    with pytest.raises(BadChainBlob):
        store.unpack(damaged)


def test_an_index_is_a_run_of_headers() -> None:
    heads = blob()[: HEADER.itemsize] * 3

    assert [chain.sequence for chain in store.unpack_index(heads)] == [7, 7, 7]


@pytest.mark.parametrize("damaged", [b"x", b"XXX" + blob()[3 : HEADER.itemsize]])
def test_a_damaged_index_is_refused(damaged: bytes) -> None:
    with pytest.raises(BadChainBlob):
        store.unpack_index(damaged)


def test_a_chain_is_named_by_underlying_and_expiry() -> None:
    key = store.parse_key("nifty:2026-11-26")

    assert (key, str(key)) == (ChainKey("NIFTY", date(2026, 11, 26)), "NIFTY:2026-11-26")


@pytest.mark.parametrize("name", ["", "NIFTY", "NIFTY:", "NIFTY:26-11-2026", ":"])
def test_any_other_name_is_refused(name: str) -> None:
    with pytest.raises(InvalidChain, match="NIFTY:2026-11-26"):
        store.parse_key(name)
