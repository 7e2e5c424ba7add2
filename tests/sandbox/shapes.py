"""Compare the shape of an answer with published samples: fields, JSON types, lengths of rows; recursively."""

import csv
import io
import re
from collections.abc import Iterable, Sequence
from typing import Any

WHOLE = re.compile(r"(^|_)(quantity|token|volume|lot_size|oi|orders)$")


def kind(value: Any, name: str = "") -> str:
    """Return the JSON type; a count that is whole is told from a price."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int | float):
        return "whole" if WHOLE.search(name) and float(value).is_integer() else "number"
    return "text" if isinstance(value, str) else "list" if isinstance(value, list) else "object"


def differences(ours: Any, samples: Sequence[Any], *, path: str = "") -> list[str]:
    """Return every path where `ours` has a field or a type that no sample has, or lacks what all samples have."""
    name = path.rpartition(".")[2]
    kinds = {kind(sample, name) for sample in samples}
    if kinds == {"null"} or not kinds:
        return []
    if kind(ours, name) not in kinds and not (kind(ours, name) == "whole" and "number" in kinds):
        return [f"{path}: {kind(ours, name)}, published {'|'.join(sorted(kinds))}"]
    if isinstance(ours, list):
        return _list_differences(ours, [one for one in samples if isinstance(one, list)], path)
    if isinstance(ours, dict):
        return _object_differences(ours, [one for one in samples if isinstance(one, dict)], path)
    return []


def _list_differences(ours: list[Any], samples: list[list[Any]], path: str) -> list[str]:
    if _is_row(samples):
        if len(ours) != len(samples[0]):
            return [f"{path}: {len(ours)} columns, published {len(samples[0])}"]
        columns = [[sample[place] for sample in samples] for place in range(len(ours))]
        return _once(
            found
            for place, (value, column) in enumerate(zip(ours, columns, strict=True))
            for found in differences(value, column, path=f"{path}[{place}]")
        )
    elements = [element for sample in samples for element in sample]
    return _once(found for value in ours for found in differences(value, elements, path=f"{path}[]"))


def _is_row(samples: list[list[Any]]) -> bool:
    """Say whether lists are rows of columns: one length, mixed types, as candles are."""
    lengths = {len(sample) for sample in samples}
    return len(lengths) == 1 and len({kind(value) for value in samples[0]}) > 1


def _object_differences(ours: dict[str, Any], samples: list[dict[str, Any]], path: str) -> list[str]:
    required = set.intersection(*(set(sample) for sample in samples))
    allowed = set().union(*samples)
    found = [f"{path}.{name}: missing" for name in sorted(required - ours.keys())]
    found += [f"{path}.{name}: extra" for name in sorted(ours.keys() - allowed)]
    for name in sorted(ours.keys() & allowed):
        values = [sample[name] for sample in samples if name in sample]
        found += differences(ours[name], values, path=f"{path}.{name}")
    return found


def _once(found: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(found))


def csv_differences(ours: str, published: str) -> list[str]:
    """Compare columns, their order, and what stands in them: numbers, dates, text or nothing."""
    rows, samples = (list(csv.DictReader(io.StringIO(text))) for text in (ours, published))
    if list(rows[0]) != list(samples[0]):
        return [f"columns {list(rows[0])}, published {list(samples[0])}"]
    found = []
    for name in samples[0]:
        here, there = ({cell(row[name]) for row in one} - {"nothing"} for one in (rows, samples))
        if there and "text" not in there and not here <= there:
            found.append(f".{name}: {'|'.join(sorted(here - there))}, published {'|'.join(sorted(there))}")
    return found


def cell(text: str) -> str:
    """Return what stands in a cell of a CSV."""
    if not text:
        return "nothing"
    if re.fullmatch(r"\d{4}-\d\d-\d\d", text):
        return "date"
    try:
        float(text)
    except ValueError:
        return "text"
    return "number"
