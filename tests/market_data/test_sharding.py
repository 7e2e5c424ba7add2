"""Which account streams what."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kite.types import Mode
from market_data.errors import CapacityExceeded
from market_data.sharding import PER_ACCOUNT, PER_CONNECTION, Assignment, admit, assign


def wish(count: int) -> dict[int, Mode]:
    return {(number + 1) << 8 | 2: Mode.QUOTE for number in range(count)}


def owners(assignment: Assignment) -> dict[int, str]:
    return {token: name for name, lines in assignment.lines.items() for line in lines for token in line}


@given(st.sets(st.integers(1, 2**32 - 1), max_size=300), st.sets(st.text("abcdef", min_size=1), max_size=5))
def test_every_token_is_streamed_exactly_once_where_an_account_exists(tokens: set[int], names: set[str]) -> None:
    assignment = assign(wanted=dict.fromkeys(tokens, Mode.LTP), accounts=list(names))

    placed = Counter(token for lines in assignment.lines.values() for line in lines for token in line)
    assert set(placed) == (tokens if names else set())
    assert set(placed.values()) <= {1}
    assert set(assignment.unplaced) == (set() if names else tokens)


@given(st.sets(st.text("abcdef", min_size=1), min_size=2, max_size=5), st.data())
def test_losing_an_account_moves_only_its_own_tokens(names: set[str], data: st.DataObject) -> None:
    lost = data.draw(st.sampled_from(sorted(names)))
    before = owners(assign(wanted=wish(400), accounts=list(names)))

    after = owners(assign(wanted=wish(400), accounts=list(names - {lost})))

    moved = {token for token, name in before.items() if after[token] != name}
    assert moved == {token for token, name in before.items() if name == lost}


def test_the_order_of_accounts_and_tokens_changes_nothing() -> None:
    wanted = wish(500)

    backwards = assign(wanted=dict(reversed(wanted.items())), accounts=["c", "b", "a"])

    assert owners(backwards) == owners(assign(wanted=wanted, accounts=["a", "b", "c"]))


def test_tokens_spread_evenly() -> None:
    counts = Counter(owners(assign(wanted=wish(6000), accounts=["a", "b", "c"])).values())

    assert min(counts.values()) > 1800


def test_no_account_and_no_connection_is_overfilled() -> None:
    assignment = assign(wanted=wish(PER_ACCOUNT + 1000), accounts=["a", "b"])

    assert assignment.unplaced == ()
    assert all(len(line) <= PER_CONNECTION for lines in assignment.lines.values() for line in lines)


def test_a_full_account_overflows_into_its_neighbour() -> None:
    assignment = assign(wanted=wish(2 * PER_ACCOUNT), accounts=["a", "b"])

    assert [sum(map(len, lines)) for lines in assignment.lines.values()] == [PER_ACCOUNT, PER_ACCOUNT]


def test_what_finds_no_room_is_named() -> None:
    assignment = assign(wanted=wish(PER_ACCOUNT + 7), accounts=["a"])

    assert len(assignment.unplaced) == 7


def test_few_tokens_need_one_connection() -> None:
    assignment = assign(wanted=wish(2_700), accounts=["a"])

    assert [len(line) for line in assignment.lines["a"]] == [2_700]


def test_modes_travel_with_their_tokens() -> None:
    assignment = assign(wanted={256265: Mode.FULL, 408065: Mode.LTP}, accounts=["a"])

    assert assignment.lines["a"] == ({256265: Mode.FULL, 408065: Mode.LTP},)


def test_nine_tenths_of_the_capacity_are_admitted() -> None:
    admit(wanted=8_100, accounts=1)


def test_more_than_nine_tenths_are_refused_with_the_numbers() -> None:
    with pytest.raises(CapacityExceeded, match="8101 instruments wanted, 1 accounts admit 8100"):
        admit(wanted=8_101, accounts=1)
