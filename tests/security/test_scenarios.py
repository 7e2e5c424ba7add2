"""Each scenario is played by tests that exist, and each item of both OWASP lists has its file."""

import pytest

from tests.architecture.sources import ROOT
from tests.security.scenarios import SCENARIOS
from tests.security.test_audit_findings import functions_of

ITEMS = [*(f"a{number:02}" for number in range(1, 11)), *(f"api{number:02}" for number in range(1, 11))]


def test_there_are_thirty_two() -> None:
    assert [name.split()[0] for name in SCENARIOS] == [f"SEC-{number:03}" for number in range(1, 33)]


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_a_scenario_is_played(scenario: str) -> None:
    missing = [f"{path}::{name}" for path, name in SCENARIOS[scenario] if name not in functions_of(path)]

    assert SCENARIOS[scenario]
    assert missing == []


@pytest.mark.parametrize("item", ITEMS)
def test_an_item_of_owasp_has_a_file(item: str) -> None:
    (found,) = (ROOT / "tests/security").glob(f"test_{item}_*.py")

    assert "def test_" in found.read_text()
