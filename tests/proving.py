"""Counts what tests show, and tells `manage.py prove` about it where that runs them."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from ops.stack.proving import JOURNAL


class Numbers:
    """The numbers of a proof: counted by its tests, kept in its record, judged against its bounds."""

    def add(self, name: str, count: float = 1) -> None:
        """Add to a number that the tests of a proof make together."""
        tell(kind="number", name=name, how="sum", value=count)

    def most(self, name: str, value: float) -> None:
        """Keep the highest value that any test saw."""
        tell(kind="number", name=name, how="most", value=value)

    def least(self, name: str, value: float) -> None:
        """Keep the lowest value that any test saw."""
        tell(kind="number", name=name, how="least", value=value)

    def note(self, name: str, text: str) -> None:
        """Keep a word beside the numbers."""
        tell(kind="note", name=name, text=text)

    def step(self, done: int, of: int) -> None:
        """Say how far this test is."""
        tell(kind="step", done=done, of=of)


def tell(**entry: Any) -> None:
    """Write one line of the journal, if somebody reads it."""
    path = os.environ.get(JOURNAL)
    if path:
        with Path(path).open("a") as journal:
            journal.write(json.dumps(entry) + "\n")


@pytest.fixture
def numbers() -> Numbers:
    """Return where a test writes down what it counted."""
    return Numbers()


def pytest_collection_finish(session: pytest.Session) -> None:
    """Say how many tests there are."""
    tell(kind="collected", count=len(session.items))


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Say how each test ended."""
    if report.when == "call" or report.failed or report.skipped:
        tell(kind="done", test=report.nodeid, outcome=report.outcome)
