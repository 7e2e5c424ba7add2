"""Decode an answer as a strictly typed client does: literal by literal."""

import re
from datetime import datetime
from typing import Any

from tests.sandbox.typed_table import ANY, DAY, FLAG, NUMBER, TEXT, TIME, TOKEN, WHOLE

LAYOUT = re.compile(r"\d{4}-\d\d-\d\d([ T]\d\d:\d\d:\d\d([+-]\d{4})?)?")


def refusals(value: Any, spec: Any, path: str = "data") -> list[str]:
    """Return each place where a typed client would refuse `value`."""
    if isinstance(spec, list):
        return _list(value, spec[0], path)
    if isinstance(spec, dict):
        return _object(value, spec, path)
    return [] if _is(value, spec) else [f"{path}: {value!r} is no {spec}"]


def _list(value: Any, spec: Any, path: str) -> list[str]:
    if value is None:
        return []
    if not isinstance(value, list):
        return [f"{path}: {value!r} is no list"]
    return list(dict.fromkeys(found for one in value for found in refusals(one, spec, f"{path}[]")))


def _object(value: Any, spec: dict[str, Any], path: str) -> list[str]:
    if value is None:
        return []
    if not isinstance(value, dict):
        return [f"{path}: {value!r} is no object"]
    if "*" in spec:
        return [found for name in value for found in refusals(value[name], spec["*"], f"{path}.{name}")]
    found = []
    for wanted, kind in spec.items():
        name = wanted.rstrip("?")
        if name in value:
            found += refusals(value[name], kind, f"{path}.{name}")
        elif name == wanted:
            found.append(f"{path}.{name}: missing")
    return found


def _is(value: Any, kind: str) -> bool:
    if kind == WHOLE:
        return _is_integer(value) and -(2**31) <= value < 2**31
    if kind == TOKEN:
        return _is_integer(value) and 0 <= value < 2**32
    if kind == NUMBER:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if kind == TEXT:
        return value is None or isinstance(value, str)
    if kind in {TIME, DAY}:
        return value is None or value == "" or (isinstance(value, str) and _is_time(value))
    return kind == ANY or (kind == FLAG and isinstance(value, bool))


def _is_integer(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_time(text: str) -> bool:
    """Say whether one of the layouts fits; Go's zone is of four digits and all of its numbers have two."""
    if not LAYOUT.fullmatch(text):
        return False
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return False
    return True
