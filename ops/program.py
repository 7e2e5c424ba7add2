"""What the supervisor must know of one program to start it, wait for it and stop it."""

import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from ops.launch import UnixUser


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """One long-running child."""

    name: str
    command: tuple[str, ...]
    folder: Path
    environment: Mapping[str, str]
    user: UnixUser | None = None
    pass_fds: tuple[int, ...] = ()
    # Called with the process id until it answers true. Without it a started program counts as ready.
    ready: Callable[[int], bool] | None = None
    # Or: the program is ready once it has printed a line that contains this text.
    ready_text: str = ""
    ready_seconds: float = 30.0
    stop_signals: tuple[signal.Signals, ...] = (signal.SIGTERM,)
    stop_seconds: float = 5.0
    death_signal: signal.Signals = signal.SIGTERM
    restart_seconds: float = 1.0
    # A quiet program writes to its log file only.
    quiet: bool = False
