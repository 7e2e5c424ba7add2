"""One process of a program, and the lines it prints."""

import os
import signal
import time

from ops.stack.launch import spawn
from ops.stack.program import Program

BLOCK_BYTES = 64 * 1024


class Running:
    """Starts the process at once. Its output is read without ever waiting for it."""

    def __init__(self, *, program: Program) -> None:
        self.program = program
        self.started = time.monotonic()
        self.output, write_end = os.pipe()
        os.set_blocking(self.output, False)
        try:
            self._process = spawn(program=program, output=write_end)
        finally:
            os.close(write_end)
        self._unfinished = b""
        self._announced = not program.ready_text
        self.silent = False
        self._dry = False

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    def exit_code(self) -> int | None:
        """Return how it ended (minus the signal that ended it), or nothing while it runs."""
        return self._process.poll()

    def is_ready(self) -> bool:
        """Say whether it does its work."""
        check = self.program.ready
        return self._announced and self.exit_code() is None and (check is None or check(self.pid))

    def send(self, number: signal.Signals) -> None:
        """Send it a signal, unless it ended."""
        self._process.send_signal(number)

    def read(self) -> list[str]:
        """Return the whole lines printed since the last call. Sets `silent` when no more can come."""
        try:
            block = os.read(self.output, BLOCK_BYTES)
        except BlockingIOError:
            self._dry = True
            return []
        self.silent = not block
        *lines, self._unfinished = (self._unfinished + block).split(b"\n")
        if len(self._unfinished) > BLOCK_BYTES or self.silent:
            lines.append(self._unfinished)
            self._unfinished = b""
        return [self._heard(line) for line in lines if line]

    def read_rest(self) -> list[str]:
        """Return what the ended process left unread, and close its output."""
        lines = []
        self._dry = False
        while not (self._dry or self.silent):
            lines += self.read()
        if self._unfinished:
            lines.append(self._heard(self._unfinished))
        os.close(self.output)
        return lines

    def _heard(self, line: bytes) -> str:
        text = line.decode(errors="replace").rstrip("\r")
        self._announced = self._announced or self.program.ready_text in text
        return text
