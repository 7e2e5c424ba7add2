"""JSON bodies, bounded in depth, each name once."""

import json
import re
from collections.abc import Mapping
from typing import IO, Any, Final

from rest_framework.exceptions import ParseError
from rest_framework.parsers import JSONParser

DEEPEST: Final = 20
# No column of PostgreSQL holds it. A backslash before the escape would make it five plain characters.
NUL: Final = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")


class BoundedJSONParser(JSONParser):
    """Refuses what a careful client never sends: names twice in one object, NaN, and nesting beyond 20 levels."""

    def parse(
        self, stream: IO[Any], _media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> Any:
        """Return the document; raises ParseError with the reason."""
        encoding = (parser_context or {}).get("encoding", "utf-8")
        try:
            text = stream.read().decode(encoding)
        except (UnicodeDecodeError, LookupError) as error:
            raise ParseError(f"the body is not {encoding}") from error
        if deepest(text) > DEEPEST:
            raise ParseError(f"the body is nested deeper than {DEEPEST} levels")
        try:
            found = json.loads(text, object_pairs_hook=_each_once, parse_constant=_no_constant)
        except ValueError as error:
            raise ParseError(f"the body is not JSON: {error}") from error
        if NUL.search(text):
            raise ParseError("the body holds a NUL character")
        return found


def deepest(text: str) -> int:
    """Return how deep objects and lists are nested, without parsing."""
    depth = most = 0
    quoted = escaped = False
    for character in text:
        if quoted:
            quoted = escaped or character != '"'
            escaped = character == "\\" and not escaped
        elif character == '"':
            quoted = True
        elif character in "[{":
            depth += 1
            most = max(most, depth)
        elif character in "]}":
            depth -= 1
    return most


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        twice = sorted({name for name in names if names.count(name) > 1})
        raise ParseError(f"{', '.join(twice)[:100]}: the name occurs twice in one object")
    return found


def _no_constant(name: str) -> None:
    raise ParseError(f"{name} is not JSON")
