"""Keeps programs running: starts them, restarts the ones that die, stops them in stages."""

import contextlib
import selectors
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import groupby
from types import FrameType
from typing import Self

from ops.stack.journal import Journal
from ops.stack.program import Program
from ops.stack.running import Running

LONGEST_RESTART_SECONDS = 30.0
# A program that ran this long has recovered: its next restart is quick again.
STEADY_SECONDS = 60.0
CHECK_SECONDS = 0.05
IDLE_SECONDS = 1.0


Handler = Callable[[int, FrameType | None], object] | int | None


class StartFailed(RuntimeError):
    """A program did not become ready."""

    def __init__(self, *, name: str, what: str) -> None:
        super().__init__(f"{name} {what}")
        self.name = name


class StopRequested(RuntimeError):
    """A signal asked for the end while the supervisor was still starting."""


@dataclass(slots=True)
class Child:
    """One program: either it runs, or its next start is due at a moment."""

    program: Program
    running: Running | None = None
    failures: int = 0
    restart_at: float = 0.0


class Supervisor:
    """Single-threaded, because Linux tells a child of the death of the thread that started it."""

    def __init__(self, *, journal: Journal, on_change: Callable[[Mapping[str, int]], None] | None = None) -> None:
        self._journal = journal
        self._on_change = on_change
        self._children: dict[str, Child] = {}
        self._selector = selectors.DefaultSelector()
        self._bell, self._rope = socket.socketpair()
        self._asked: list[signal.Signals] = []
        self._replaced: dict[signal.Signals, Handler] = {}

    def __enter__(self) -> Self:
        for end in (self._bell, self._rope):
            end.settimeout(0)
        # Python writes to the rope whenever a signal arrives, and that wakes the selector.
        self._selector.register(self._bell, selectors.EVENT_READ)
        signal.set_wakeup_fd(self._rope.fileno(), warn_on_full_buffer=False)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            self._replaced[number] = signal.signal(number, self._ask_to_stop)
        self._replaced[signal.SIGCHLD] = signal.signal(signal.SIGCHLD, lambda *_: None)
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        for number, handler in self._replaced.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(-1)
        self._selector.close()
        self._bell.close()
        self._rope.close()

    @property
    def stopping(self) -> bool:
        """Whether a signal asked for the end."""
        return bool(self._asked)

    def start(self, *programs: Program) -> None:
        """Start the programs and wait until all are ready; raise `StartFailed` or `StopRequested`."""
        self.launch(*programs)
        self.wait_ready(*(program.name for program in programs))

    def launch(self, *programs: Program) -> None:
        """Start the programs without waiting for them."""
        for program in programs:
            child = self._children[program.name] = Child(program)
            self._launch(child)

    def wait_ready(self, *names: str) -> None:
        """Wait until the launched programs are ready; raise `StartFailed` or `StopRequested`."""
        began = time.monotonic()
        for child in [self._children[name] for name in names]:
            while not (child.running and child.running.is_ready()):
                self._step_or_stop()
                _give_up(child, waited_seconds=time.monotonic() - began)

    def run(self, program: Program) -> int:
        """Run a program to its end and return its exit code. The others are kept running meanwhile."""
        running = Running(program=program)
        self._selector.register(running.output, selectors.EVENT_READ, running)
        try:
            while running.exit_code() is None:
                self._step_or_stop()
        finally:
            self._end([running])
        return running.exit_code() or 0

    def wait(self, process: subprocess.Popen[bytes]) -> int:
        """Keep the programs running until `process`, which shares our terminal, ends; return its exit code."""
        told = 0
        while process.poll() is None:
            self.step()
            for number in self._asked[told:]:
                # The terminal's Ctrl-C reaches it without us.
                if number is not signal.SIGINT:
                    process.send_signal(number)
            told = len(self._asked)
        return process.returncode

    def watch(self) -> None:
        """Keep the programs running until a signal asks for the end."""
        while not self.stopping:
            self.step()

    def step(self, *, seconds: float = IDLE_SECONDS) -> None:
        """Pass on what was printed, notice who died, start who is due. Returns after `seconds` or the first news."""
        for key, _ in self._selector.select(self._patience(seconds)):
            self._pass_on(key.data)
        for child in self._children.values():
            if child.running is None:
                if child.restart_at <= time.monotonic():
                    self._launch(child)
            elif (code := child.running.exit_code()) is not None:
                self._bury(child, child.running, code)

    def stop(self) -> None:
        """Stop all programs, stage by stage, those of one stage together."""
        children = sorted(self._children.values(), key=lambda child: child.program.stage)
        self._children = {}
        for _, stage in groupby(children, key=lambda child: child.program.stage):
            self._end([child.running for child in stage if child.running])

    def _ask_to_stop(self, number: int, _frame: FrameType | None) -> None:
        self._asked.append(signal.Signals(number))

    def _step_or_stop(self) -> None:
        if self.stopping:
            raise StopRequested
        self.step(seconds=CHECK_SECONDS)

    def _patience(self, seconds: float) -> float:
        due = [child.restart_at for child in self._children.values() if child.running is None]
        return max(0.0, min([seconds, *(moment - time.monotonic() for moment in due)]))

    def _pass_on(self, running: Running | None) -> None:
        if running is None:
            with contextlib.suppress(BlockingIOError):
                self._bell.recv(4096)
            return
        self._write(running.program, running.read())
        if running.silent:
            self._selector.unregister(running.output)

    def _write(self, program: Program, lines: Iterable[str]) -> None:
        for line in lines:
            self._journal.write(name=program.name, line=line, quiet=program.quiet)

    def _launch(self, child: Child) -> None:
        child.running = Running(program=child.program)
        self._selector.register(child.running.output, selectors.EVENT_READ, child.running)
        self._tell_change()

    def _bury(self, child: Child, running: Running, code: int) -> None:
        self._close(running)
        child.running = None
        if time.monotonic() - running.started > STEADY_SECONDS:
            child.failures = 0
        delay = min(LONGEST_RESTART_SECONDS, child.program.restart_seconds * 2**child.failures)
        child.failures += 1
        child.restart_at = time.monotonic() + delay
        words = f"{child.program.name} ended ({_ending(code)}); it starts again in {delay:.1f} s"
        self._journal.write(name="run", line=words)
        self._tell_change()

    def _close(self, running: Running) -> None:
        if running.output in self._selector.get_map():
            self._selector.unregister(running.output)
        self._write(running.program, running.read_rest())

    def _tell_change(self) -> None:
        if self._on_change:
            self._on_change({name: child.running.pid for name, child in self._children.items() if child.running})

    def _end(self, group: list[Running]) -> None:
        for running in group:
            self._send_next_signal(running, 0)
        sent = dict.fromkeys(group, 0)
        deadline = {running: time.monotonic() + running.program.stop_seconds for running in group}
        patience = len(self._asked)
        while sent:
            self.step(seconds=CHECK_SECONDS)
            # Another Ctrl-C is impatience: go on to the next, harder signal.
            hurried = len(self._asked) > patience
            patience = len(self._asked)
            for running in list(sent):
                if running.exit_code() is not None:
                    del sent[running]
                    self._close(running)
                elif hurried or time.monotonic() > deadline[running]:
                    sent[running] += 1
                    deadline[running] = time.monotonic() + running.program.stop_seconds
                    self._send_next_signal(running, sent[running])

    def _send_next_signal(self, running: Running, number: int) -> None:
        program = running.program
        signals = (*program.stop_signals, signal.SIGKILL)
        chosen = signals[min(number, len(signals) - 1)]
        if number:
            self._journal.write(name="run", line=f"{program.name} did not stop yet, sending {chosen.name}")
        running.send(chosen)


def _give_up(child: Child, *, waited_seconds: float) -> None:
    program = child.program
    if child.failures >= program.start_attempts:
        raise StartFailed(name=program.name, what=f"ended {child.failures} times while it was starting")
    if waited_seconds > program.ready_seconds:
        raise StartFailed(name=program.name, what=f"was not ready after {program.ready_seconds:.0f} s")


def _ending(code: int) -> str:
    return f"exit code {code}" if code >= 0 else signal.Signals(-code).name
