"""Small programs for the supervisor, and what a test waits for."""

import os
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from ops.stack.program import Program

PATIENCE_SECONDS = 20.0
LASTING = "import signal; print('up', flush=True); signal.pause()"
STUBBORN = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); signal.pause()"


def child(name: str, source: str, **changes: object) -> Program:
    """Return a Python one-liner as a program that is ready once it prints `up`."""
    settings: dict[str, object] = {"ready_text": "up", "ready_seconds": 15.0, "restart_seconds": 0.05, **changes}
    command = (sys.executable, "-c", source)
    return Program(name=name, command=command, folder=Path("/"), environment=dict(os.environ), **settings)  # type: ignore[arg-type]


def until(condition: Callable[[], object], *, meanwhile: Callable[[], object]) -> None:
    """Do `meanwhile` until `condition` holds."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true"
        meanwhile()


def alive(pid: int) -> bool:
    """Say whether a process runs, a finished one that nobody asked about not counted."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


class Pids:
    """Remembers what the supervisor reported last."""

    def __init__(self) -> None:
        self.now: Mapping[str, int] = {}

    def __call__(self, pids: Mapping[str, int]) -> None:
        self.now = dict(pids)
