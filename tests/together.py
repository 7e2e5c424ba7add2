"""Which tests share a worker: those that share what takes long to set up.

xdist's own groups are names at the end of node ids, and the ids of pytest 9.2 cannot be given an end.
"""

from typing import Any, Final

import pytest
from xdist.scheduler.loadscope import LoadScopeScheduling

# Where the tests are, and the name of what they share.
SHARED: Final = {
    "tests/journeys/": "a running platform",
    "tests/ops/test_process_ends.py": "processes that end",
    "tests/security/test_semgrep_rules.py": "one run of semgrep",
}


class Together(LoadScopeScheduling):
    """Hands out tests one by one, and those that share something in one piece."""

    def _split_scope(self, nodeid: str) -> str:
        return shared_by(str(nodeid))


def shared_by(nodeid: str) -> str:
    """Return the name of the piece that a test belongs to: its own id where it shares nothing."""
    return next((name for place, name in SHARED.items() if nodeid.startswith(place)), nodeid)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Together:
    """Let xdist hand the tests out in these pieces."""
    return Together(config, log)
