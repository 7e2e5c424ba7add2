"""The last-value table."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from market_data.table import LastValues
from tests.market_data.factories import ticks


def price_of(table: LastValues, token: int) -> float:
    return float(table.rows["last_price"][table.slots(np.array([token], np.uint32))[0]])


def test_the_last_of_repeated_tokens_wins() -> None:
    table = LastValues()

    table.put(np.concatenate((ticks({7: 1.0}), ticks({7: 2.0}))), 1)

    assert price_of(table, 7) == 2.0


def test_a_put_names_the_distinct_slots_it_changed() -> None:
    table = LastValues()
    table.put(ticks({7: 1.0, 9: 1.0}), 1)

    changed = table.put(np.concatenate((ticks({9: 2.0}), ticks({9: 3.0}))), 2)

    assert table.rows["instrument_token"][changed].tolist() == [9]
    assert sorted(table.version[: table.size].tolist()) == [1, 2]


@given(st.lists(st.lists(st.tuples(st.integers(1, 5000), st.floats(0, 1e6)), max_size=50), max_size=20))
def test_the_table_agrees_with_a_dictionary(batches: list[list[tuple[int, float]]]) -> None:
    table = LastValues()
    expected: dict[int, float] = {}
    for sequence, batch in enumerate(batches, 1):
        expected |= dict(batch)
        if batch:
            table.put(np.concatenate([ticks({token: price}) for token, price in batch]), sequence)

    held = table.held()

    assert dict(zip(held["instrument_token"].tolist(), held["last_price"].tolist(), strict=True)) == expected


def test_slots_survive_growth() -> None:
    table = LastValues()
    table.put(ticks({5: 1.5}), 1)

    table.put(ticks(dict.fromkeys(range(10, 5000), 2.0)), 2)

    assert price_of(table, 5) == 1.5


def test_a_reserved_slot_holds_no_value() -> None:
    table = LastValues()

    table.slots(np.array([7], np.uint32))

    assert len(table.held()) == 0


def test_an_older_row_does_not_replace_a_newer_one() -> None:
    table = LastValues()
    table.put(ticks({7: 2.0}, received_at=20.0), 1)

    changed = table.put_newer(ticks({7: 1.0, 8: 1.0}, received_at=10.0), 2)

    assert price_of(table, 7) == 2.0
    assert table.rows["instrument_token"][changed].tolist() == [8]


def test_a_dropped_token_is_held_no_more() -> None:
    table = LastValues()
    table.put(ticks({7: 2.0, 8: 3.0}), 1)

    table.drop(np.array([7, 999], np.uint32))

    assert table.held()["instrument_token"].tolist() == [8]
