"""Each finding of the audits is held by tests that exist and run."""

import ast

import pytest

from tests.architecture.sources import ROOT
from tests.security.findings import FINDINGS


def functions_of(path: str) -> dict[str, ast.FunctionDef | ast.AsyncFunctionDef]:
    tree = ast.parse((ROOT / path).read_text())
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    return {node.name: node for node in ast.walk(tree) if isinstance(node, kinds)}


@pytest.mark.parametrize("finding", FINDINGS)
def test_a_finding_stays_mended(finding: str) -> None:
    missing = [f"{path}::{name}" for path, name in FINDINGS[finding] if name not in functions_of(path)]

    assert FINDINGS[finding]
    assert missing == []


@pytest.mark.parametrize("finding", FINDINGS)
def test_its_tests_assert_something(finding: str) -> None:
    for path, name in FINDINGS[finding]:
        body = ast.unparse(functions_of(path)[name])
        assert "assert " in body or "pytest.raises" in body


def test_both_audits_are_whole() -> None:
    numbered = {finding.split()[0] for finding in FINDINGS}

    assert {f"CVE-TICKER-{number:03}" for number in range(1, 24)} <= numbered
    assert {f"CRITICAL-{number:03}" for number in range(1, 5)} <= numbered
    assert {f"HIGH-{number:03}" for number in range(1, 12)} <= numbered
    assert {f"MEDIUM-{number:03}" for number in range(1, 10)} <= numbered
    assert {f"LOW-{number:03}" for number in range(1, 5)} <= numbered
