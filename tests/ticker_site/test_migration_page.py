"""Every route the migration page promises exists."""

import re
from typing import Any

from drf_spectacular.generators import SchemaGenerator

from tests.architecture.sources import ROOT

ROW = re.compile(r"^\|(?P<original>[^|]*)\|(?P<here>[^|]*)\|")
DEED = re.compile(r"\b((?:GET|POST|PUT|PATCH|DELETE)(?:, (?:GET|POST|PUT|PATCH|DELETE))*) (/[a-z/{}_-]+)")
OUTSIDE = {"/healthz", "/readyz", "/metrics", "/docs", "/schema"}


def promised() -> set[tuple[str, str]]:
    found = set()
    for line in (ROOT / "docs/migration.md").read_text().splitlines():
        row = ROW.match(line)
        for methods, path in DEED.findall(row["here"] if row else ""):
            found |= {(method, re.sub(r"{\w+}", "{}", path)) for method in methods.split(", ")}
    return found


def test_every_new_route_is_there() -> None:
    schema: Any = SchemaGenerator().get_schema(request=None, public=True)
    there = {
        (method.upper(), re.sub(r"{\w+}", "{}", path.removeprefix("/api/v1")))
        for path, methods in schema["paths"].items()
        for method in methods
    }

    assert {deed for deed in promised() if deed[1] not in OUTSIDE} - there == set()
