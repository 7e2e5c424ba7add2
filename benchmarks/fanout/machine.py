"""Processor time, memory, pinning and noise, as Linux counts them."""

import contextlib
import os
import platform
import time
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Final

PACKAGES: Final = (
    "django",
    "channels",
    "channels-redis",
    "uvicorn",
    "uvloop",
    "websockets",
    "redis",
    "hiredis",
    "numpy",
)


def cpu_seconds(pid: int) -> float:
    """Return the processor time of every thread, user and system, in nanosecond resolution."""
    total = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            total += int((task / "schedstat").read_text().split()[0])
    return total / 1e9


def waited_seconds(pid: int) -> float:
    """Return how long the main thread stood ready to run while its core did something else."""
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[1]) / 1e9


def resident_bytes(pid: int) -> int:
    """Return the resident memory."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, slots=True)
class Cores:
    """Where the measured process runs and where all others do; None on a machine with a single core."""

    server: int | None
    others: int | None

    @classmethod
    def choose(cls) -> "Cores":
        """Return the first two cores this process may use."""
        free = sorted(os.sched_getaffinity(0))
        return cls(free[0], free[1]) if len(free) > 1 else cls(None, None)


def pin(pid: int, core: int | None) -> None:
    """Keep a process, and the threads it will start, on one core."""
    if core is not None:
        os.sched_setaffinity(pid, {core})


@dataclass(frozen=True, slots=True)
class Noise:
    """How busy the cores were, ours included."""

    busy_share: dict[str, float]


class Watch:
    """Measures the share of time each core was not idle between its making and `read`."""

    def __init__(self) -> None:
        self._before = _core_times()

    def read(self) -> Noise:
        """Return the shares so far."""
        shares = {}
        for core, (idle, total) in _core_times().items():
            idle_before, total_before = self._before[core]
            shares[core] = round(1 - (idle - idle_before) / max(total - total_before, 1), 3)
        return Noise(shares)


def describe() -> dict[str, object]:
    """Return what a reader needs to judge the numbers."""
    return {
        "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "versions": {name: version(name) for name in PACKAGES},
    }


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _core_times() -> dict[str, tuple[int, int]]:
    times = {}
    for line in Path("/proc/stat").read_text().splitlines():
        name, *counts = line.split()
        if name.startswith("cpu") and name != "cpu":
            numbers = [int(count) for count in counts]
            times[name] = (numbers[3] + numbers[4], sum(numbers[:8]))
    return times
