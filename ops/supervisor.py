"""Keeps programs running: starts them in order, restarts the ones that die, stops them in order."""

import contextlib
import os
import selectors
import signal
import socket
import subprocess
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from types import FrameType
from typing import Self

from ops.journal import Journal
from ops.launch import spawn
from ops.program import Program

LONGEST_RESTART_SECONDS = 30.0
# A program that ran this long has recovered: its next restart is quick again.
STEADY_SECONDS = 60.0
CHECK_SECONDS = 0.05
LINE_BYTES = 64 * 1024


class StartFailed(RuntimeError):
    """A program did not become ready in time."""


class StopRequested(RuntimeError):
    """A signal asked the supervisor to stop while it was still starting."""


@dataclass(slots=True)
class Child:
    """One program and the process that runs it now, if one does."""

    program: Program
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    failures: int = 0
    restart_at: float | None = None
    unfinished: bytes = b""
    ready: bool = False


class Supervisor:
    """Single-threaded, because a child is told of its parent's death by the thread that started it."""

    def __init__(self, *, journal: Journal) -> None:
        self._journal = journal
        self._children: dict[str, Child] = {}
        self._selector = selectors.DefaultSelector()
        self._signals = 0
        self._asked: signal.Signals | None = None
        self._bell, self._bell_rope = socket.socketpair()

    def __enter__(self) -> Self:
        self._bell.setblocking(False)
        self._bell_rope.setblocking(False)
        self._selector.register(self._bell, selectors.EVENT_READ, None)
        signal.set_wakeup_fd(self._bell_rope.fileno(), warn_on_full_buffer=False)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._ask_to_stop)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        return self

    def __exit__(self, *_: object) -> None:
        self.stop(names=reversed(self._children))
        signal.set_wakeup_fd(-1)
        self._selector.close()
        self._bell.close()
        self._bell_rope.close()

    @property
    def stopping(self) -> bool:
        """Whether a signal asked for the end."""
        return self._signals > 0

    def start(self, program: Program) -> float:
        """Start `program`, wait until it is ready and return the seconds it took; raise `StartFailed`."""
        child = self._children[program.name] = Child(program)
        began = time.monotonic()
        self._spawn(child)
        while not self._check_ready(child):
            self._step_or_stop()
            if time.monotonic() - began > program.ready_seconds:
                raise StartFailed(f"{program.name} was not ready after {program.ready_seconds:.0f} s")
        return time.monotonic() - began

    def run(self, program: Program) -> int:
        """Run `program` to its end and return its exit code; the others are kept running meanwhile."""
        child = Child(program)
        self._spawn(child)
        process = child.process
        assert process is not None
        try:
            while process.poll() is None:
                self._step_or_stop()
        finally:
            self._end([child])
        self._drain(child)
        return process.returncode

    def wait(self, process: subprocess.Popen[bytes]) -> int:
        """Keep the programs running until `process`, which is not one of them, ends."""
        while process.poll() is None:
            self.step()
            # A terminal sends its Ctrl-C to the process itself.
            if self._asked in {signal.SIGTERM, signal.SIGHUP}:
                process.send_signal(self._asked)
                self._asked = None
        return process.returncode

    def watch(self) -> None:
        """Keep the programs running until a signal asks for the end."""
        while not self.stopping:
            self.step()

    def step(self, *, seconds: float = 1.0) -> None:
        """Read what the programs printed, notice the dead, restart those that are due."""
        for key, _ in self._selector.select(self._until_restart(seconds)):
            self._read(key.data)
        for child in self._children.values():
            self._notice_death(child)
            if child.restart_at is not None and child.restart_at <= time.monotonic():
                self._spawn(child)

    def stop(self, *, names: Iterable[str]) -> None:
        """Stop the named programs one after another, each within its bound."""
        for name in list(names):
            if child := self._children.pop(name, None):
                self._end([child])

    def pids(self) -> dict[str, int]:
        """Return the process ids of the programs that run now."""
        return {name: child.process.pid for name, child in self._children.items() if child.process}

    def _ask_to_stop(self, number: int, _frame: FrameType | None) -> None:
        self._signals += 1
        self._asked = signal.Signals(number)

    def _step_or_stop(self) -> None:
        if self.stopping:
            raise StopRequested
        self.step(seconds=CHECK_SECONDS)

    def _spawn(self, child: Child) -> None:
        program = child.program
        child.restart_at = None
        child.ready = False
        child.started = time.monotonic()
        child.process = spawn(
            command=program.command,
            environment=program.environment,
            folder=program.folder,
            user=program.user,
            death_signal=program.death_signal,
            pass_fds=program.pass_fds,
        )
        assert child.process.stdout is not None
        os.set_blocking(child.process.stdout.fileno(), False)
        self._selector.register(child.process.stdout, selectors.EVENT_READ, child)

    def _check_ready(self, child: Child) -> bool:
        program = child.program
        if child.process is None:
            return False
        if not program.ready_text:
            child.ready = program.ready is None or program.ready(child.process.pid)
        return child.ready

    def _until_restart(self, seconds: float) -> float:
        due = [child.restart_at for child in self._children.values() if child.restart_at is not None]
        return max(0.0, min([seconds, *(moment - time.monotonic() for moment in due)]))

    def _notice_death(self, child: Child) -> None:
        process = child.process
        if process is None or process.poll() is None:
            return
        self._drain(child)
        child.process = None
        if time.monotonic() - child.started > STEADY_SECONDS:
            child.failures = 0
        delay = min(LONGEST_RESTART_SECONDS, child.program.restart_seconds * 2**child.failures)
        child.failures += 1
        child.restart_at = time.monotonic() + delay
        words = f"{child.program.name} ended ({_ending(process.returncode)}), restarting in {delay:.1f} s"
        self._journal.write(name="run", line=words)

    def _read(self, child: Child | None) -> None:
        if child is None:
            with contextlib.suppress(BlockingIOError):
                self._bell.recv(4096)
            return
        assert child.process is not None
        assert child.process.stdout is not None
        with contextlib.suppress(BlockingIOError):
            block = os.read(child.process.stdout.fileno(), LINE_BYTES)
            if not block:
                self._selector.unregister(child.process.stdout)
            for line in _lines(child, block):
                self._hear(child, line)

    def _hear(self, child: Child, line: str) -> None:
        program = child.program
        if program.ready_text and program.ready_text in line:
            child.ready = True
        self._journal.write(name=program.name, line=line, quiet=program.quiet)

    def _drain(self, child: Child) -> None:
        """Read what a dead process left in its pipe, and close it."""
        pipe = child.process.stdout if child.process else None
        if pipe is None or pipe.closed:
            return
        while pipe in self._selector.get_map() and _readable(pipe.fileno()):
            self._read(child)
        if pipe in self._selector.get_map():
            self._selector.unregister(pipe)
        if child.unfinished:
            self._hear(child, child.unfinished.decode(errors="replace"))
            child.unfinished = b""
        pipe.close()

    def _end(self, children: list[Child]) -> None:
        for child in children:
            if child.process is not None:
                self._end_process(child, child.process)

    def _end_process(self, child: Child, process: subprocess.Popen[bytes]) -> None:
        asked = self._signals
        for number in (*child.program.stop_signals, signal.SIGKILL):
            if process.poll() is not None:
                break
            process.send_signal(number)
            deadline = time.monotonic() + child.program.stop_seconds
            # A second Ctrl-C is impatience: go on to the next, harder signal.
            while process.poll() is None and time.monotonic() < deadline and self._signals == asked:
                self.step(seconds=CHECK_SECONDS)
            asked = self._signals
        process.wait()
        self._drain(child)


def _lines(child: Child, block: bytes) -> Iterator[str]:
    *whole, child.unfinished = (child.unfinished + block).split(b"\n")
    for line in whole:
        yield line.decode(errors="replace").rstrip("\r")
    if len(child.unfinished) > LINE_BYTES:
        yield child.unfinished.decode(errors="replace")
        child.unfinished = b""


def _readable(descriptor: int) -> bool:
    with selectors.DefaultSelector() as selector:
        selector.register(descriptor, selectors.EVENT_READ)
        return bool(selector.select(0))


def _ending(code: int) -> str:
    return f"exit code {code}" if code >= 0 else signal.Signals(-code).name
