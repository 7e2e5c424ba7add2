"""The tag that finds an order again."""

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orders.tags import (
    ALPHABET,
    LENGTH,
    MAX_ATTEMPT,
    NUMBER_BITS,
    ForeignTag,
    Tag,
    decode,
    encode,
    installation_code,
    number_of,
)

TAGS = st.builds(
    Tag,
    installation=st.integers(0, 1023),
    number=st.integers(0, (1 << NUMBER_BITS) - 1),
    attempt=st.integers(0, MAX_ATTEMPT),
)


@given(TAGS)
def test_a_tag_says_what_was_put_in(tag: Tag) -> None:
    text = encode(tag)

    assert decode(text) == tag
    assert len(text) == LENGTH
    assert text.isalnum()


@given(TAGS, st.integers(0, LENGTH - 1), st.sampled_from(ALPHABET))
def test_one_changed_character_is_found(tag: Tag, place: int, character: str) -> None:
    text = encode(tag)
    changed = text[:place] + character + text[place + 1 :]

    if changed == text:
        return
    with pytest.raises(ForeignTag):
        decode(changed)


@given(TAGS, st.integers(0, LENGTH - 2))
def test_two_swapped_neighbours_are_found(tag: Tag, place: int) -> None:
    text = encode(tag)
    swapped = text[:place] + text[place + 1] + text[place] + text[place + 2 :]

    if swapped == text:
        return
    with pytest.raises(ForeignTag):
        decode(swapped)


@pytest.mark.parametrize("text", ["", "mktp", "MYSTRATEGY1", "A" * 19, "a" * 20, "1" * 20, "A" * 20, "A" * 21])
def test_other_peoples_tags_are_foreign(text: str) -> None:
    with pytest.raises(ForeignTag):
        decode(text)


def test_a_tag_is_spelled_like_this() -> None:
    tag = Tag(installation=installation_code("local"), number=123456789, attempt=1)

    assert encode(tag) == "BN7AAAAAAADVXTIVABI4"


def test_numbers_of_two_orders_differ() -> None:
    first = number_of(UUID("12345678-1234-4234-8234-123456789abc"))
    other = number_of(UUID("12345678-1234-4234-8234-123456789abd"))

    assert first != other
    assert 0 <= first < 1 << NUMBER_BITS
