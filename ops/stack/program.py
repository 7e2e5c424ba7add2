"""What the supervisor must know of one program to start it, wait for it and stop it."""

import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class UnixUser:
    """The operating-system user a child runs as when the supervisor is root."""

    uid: int
    gid: int


class Stage(IntEnum):
    """The order of the end: what takes work in goes first, what remembers it goes last."""

    EDGE = 1
    WORKER = 2
    EXCHANGE = 3
    CACHE = 4
    DATABASE = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """One child, long-running or run to its end."""

    name: str
    command: tuple[str, ...]
    folder: Path
    environment: Mapping[str, str]
    stage: Stage = Stage.EDGE
    user: UnixUser | None = None
    pass_fds: tuple[int, ...] = ()
    # Ready is: this answers true for the process id, and a line with this text was printed. Without both: at once.
    ready: Callable[[int], bool] | None = None
    ready_text: str = ""
    # A crowded machine takes three times as long to load the web process as a quiet one takes for everything.
    ready_seconds: float = 90.0
    start_attempts: int = 3
    # Sent one after another, each after `stop_seconds` of patience; SIGKILL follows by itself.
    stop_signals: tuple[signal.Signals, ...] = (signal.SIGTERM,)
    stop_seconds: float = 5.0
    # For the death of the supervisor. Everything here is built to be killed, and a stuck child would hold its place.
    death_signal: signal.Signals = signal.SIGKILL
    restart_seconds: float = 1.0
    # A quiet program writes to its log file only.
    quiet: bool = False
