"""Bodies that no careful client sends."""

import io
from typing import Any

import pytest
from rest_framework.exceptions import ParseError

from accounts.parsers import DEEPEST, BoundedJSONParser, deepest


def parse(text: str | bytes) -> Any:
    raw = text.encode() if isinstance(text, str) else text
    return BoundedJSONParser().parse(io.BytesIO(raw))


def nested(levels: int) -> str:
    return "[" * levels + "]" * levels


def test_a_plain_body_is_read() -> None:
    assert parse('{"a": [1, {"b": "[{"}]}') == {"a": [1, {"b": "[{"}]}


def test_a_backslash_before_an_escape_makes_it_plain_text() -> None:
    assert parse(r'{"a": "\\u0000"}') == {"a": r"\u0000"}


def test_the_deepest_allowed_is_read() -> None:
    assert parse(nested(DEEPEST)) is not None


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (nested(DEEPEST + 1), "nested deeper"),
        (nested(100_000), "nested deeper"),
        ('{"price": 1, "price": 2}', "price"),
        ('{"a": {"b": 1, "b": 1}}', "b: the name occurs twice"),
        ('{"a": NaN}', "NaN"),
        ('{"a": -Infinity}', "-Infinity"),
        ("{", "not JSON"),
        (b"\xff\xfe", "utf-8"),
        (r'{"a": "x\u0000y"}', "NUL"),
        (r'{"a\\\u0000": 1}', "NUL"),
    ],
)
def test_a_bad_body_is_refused_with_its_reason(body: str | bytes, said: str) -> None:
    with pytest.raises(ParseError, match=said):
        parse(body)


@pytest.mark.parametrize(("text", "depth"), [("1", 0), ('"[["', 0), (r'{"a\"[": []}', 2), ("[[],[[]]]", 3)])
def test_depth_counts_brackets_outside_of_texts(text: str, depth: int) -> None:
    assert deepest(text) == depth
