"""Code of others that browsers load stands here unchanged, with its licence."""

import hashlib
import json
from typing import Any

import pytest

from tests.architecture.sources import ROOT

FOLDER = ROOT / "ops/static/vendor"
LISTED: list[dict[str, Any]] = json.loads((FOLDER / "vendored.json").read_text())
FILES = [(name, digest) for package in LISTED for name, digest in package["files"].items()]


@pytest.mark.parametrize(("name", "digest"), FILES, ids=lambda value: value if "/" in value else "")
def test_a_file_is_the_one_that_was_published(name: str, digest: str) -> None:
    assert hashlib.sha256((FOLDER / name).read_bytes()).hexdigest() == digest


def test_every_file_is_listed() -> None:
    present = {str(path.relative_to(FOLDER)) for path in FOLDER.rglob("*") if path.is_file()}

    assert present - {"vendored.json"} == {name for name, _ in FILES}


@pytest.mark.parametrize("package", LISTED, ids=lambda package: package["name"])
def test_a_package_says_what_it_is_and_under_which_licence(package: dict[str, Any]) -> None:
    licence = next(name for name in package["files"] if name.endswith("/LICENSE"))

    assert {"name", "version", "licence", "package", "package_sha256"} <= package.keys()
    assert len((FOLDER / licence).read_text()) > 500
