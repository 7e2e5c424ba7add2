"""A03: what is installed is pinned, hashed and from the index."""

import re
from pathlib import Path

import pytest

from tests.architecture.sources import ROOT

LOCKS = ("requirements.lock", "requirements-dev.lock")


def requirements(name: str) -> list[str]:
    text = (ROOT / name).read_text().replace("\\\n", " ")
    return [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]


@pytest.mark.parametrize("name", LOCKS)
def test_every_package_is_pinned_and_hashed(name: str) -> None:
    loose = [line[:60] for line in requirements(name) if not re.match(r"\S+==\S+ .*--hash=sha256:[0-9a-f]{64}", line)]

    assert requirements(name)
    assert loose == []


@pytest.mark.parametrize("name", LOCKS)
def test_nothing_comes_from_an_address(name: str) -> None:
    assert [line[:60] for line in requirements(name) if re.search(r"https?://|git\+| @ ", line)] == []


def test_the_tests_run_what_production_runs() -> None:
    production = {line.split()[0] for line in requirements("requirements.lock")}

    assert production <= {line.split()[0] for line in requirements("requirements-dev.lock")}


def test_the_browser_loads_files_of_ours_alone() -> None:
    pages = [*Path(ROOT / "templates").rglob("*.html"), *Path(ROOT / "sandbox/pages").rglob("*.html")]
    outside = [
        page.name for page in pages if re.search(r"""(?:src|<link[^>]*href)=["'](?:https?:)?//""", page.read_text())
    ]

    assert pages
    assert outside == []
