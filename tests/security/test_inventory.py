"""A whole run fails where an operation never showed an answer it must have shown, and a part of a run is not judged."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import requests
from django.http import HttpResponse
from django.test import RequestFactory

from tests.architecture.sources import ROOT
from tests.conformance import schema
from tests.inventory import INVENTORY, Inventory, Kind, expected, missing

LIST, NAME = "/api/v1/orders", "GET /api/v1/orders"
WANTED = {"success", "400 or 422", "401", "403", "404", "429", "second page"}


def listing() -> Any:
    return {"paths": {LIST: {"get": schema()["paths"][LIST]["get"]}}}


def noted(inventory: Inventory, *, status: int, asked: bool = False, silent: bool = False, **query: str) -> set[str]:
    with inventory.watch() as watched:
        if asked:
            inventory.broker(silent=silent)
    inventory.note(NAME, RequestFactory().get(LIST, query), HttpResponse(status=status), watched)
    return {kind for _, kind in inventory.seen}


def at_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """Say that a test which is not of every route is at work."""
    monkeypatch.setenv("PYTEST_CURRENT_TEST", "tests/orders/test_api.py::test_one (call)")


def test_the_schema_says_what_a_list_must_have_shown() -> None:
    assert expected(listing()["paths"][LIST]["get"], set()) == WANTED


@pytest.mark.parametrize("left_out", sorted(WANTED))
def test_what_nobody_saw_is_named(left_out: str) -> None:
    seen = {(NAME, kind) for kind in WANTED - {left_out}}

    assert missing(listing(), seen) == [f"{NAME}: {left_out}"]
    assert missing(listing(), {*seen, (NAME, left_out)}) == []


def test_whoever_asks_the_broker_must_have_met_its_silence() -> None:
    seen = {(NAME, kind) for kind in (*WANTED, Kind.BROKER_ASKED)}

    assert missing(listing(), seen) == [f"{NAME}: {Kind.BROKER_SILENT}"]


def test_a_success_and_a_second_page_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    at_work(monkeypatch)

    assert noted(Inventory(), status=200) == {"success"}
    assert noted(Inventory(), status=202, cursor="x") == {"success", "second page"}
    assert noted(Inventory(), status=404) == {"404"}


def test_a_success_that_the_tests_of_every_route_come_across_is_not() -> None:
    assert os.environ["PYTEST_CURRENT_TEST"].startswith("tests/security/")
    assert noted(Inventory(), status=200) == set()


def test_a_call_to_the_broker_belongs_to_the_request_that_made_it(monkeypatch: pytest.MonkeyPatch) -> None:
    at_work(monkeypatch)

    assert noted(Inventory(), status=503, asked=True, silent=True) == {"broker asked", "broker silent"}
    assert noted(Inventory(), status=200, asked=True) == {"success", "broker asked"}


def test_what_leaves_for_the_broker_is_heard() -> None:
    with INVENTORY.watch() as watched, pytest.raises(requests.ConnectionError):
        requests.get("http://127.0.0.1:1/", headers={"X-Kite-Version": "3"}, timeout=1)

    assert (watched.asked, watched.silent) == (True, True)


WHOLE = """
import pytest
from tests.inventory import Register

class Only(Register):
    pass

def pytest_configure(config):
    config.pluginmanager.register(Only(lambda: {"paths": {"/x": {"get": {"responses": {"200": {}}}}}}))
"""


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    (folder / "parts").mkdir(exist_ok=True)
    Path(folder / "pytest.ini").write_text("[pytest]\ntestpaths = parts\n")
    Path(folder / "conftest.py").write_text(WHOLE)
    Path(folder / "parts/test_one.py").write_text("def test_one(): pass\n")
    plugins = ("-p", "no:randomly", "-p", "no:django", "-p", "no:schemathesis")
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", *plugins, *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_a_whole_run_is_judged_and_a_part_of_it_is_not(tmp_path: Path) -> None:
    whole, parts = run(tmp_path, "-n", "2"), [run(tmp_path, "parts"), run(tmp_path, "-k", "one")]

    assert whole.returncode == 1
    assert "never seen of GET /x: success" in whole.stdout
    assert [part.returncode for part in parts] == [0, 0]
