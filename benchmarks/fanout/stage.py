"""The processes of a run: Valkey and one web process a peer, each pinned, none outliving the run."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from benchmarks.fanout.machine import Cores, pin
from ops.stack.launch import spawn
from ops.stack.program import Program
from ops.stack.programs import ROOT, Place, web
from ops.stack.sockets import open_listener
from ops.stack.valkey import SOCKET_NAME, answers_ping, prepare_valkey

HOST: Final = "127.0.0.1"
START_SECONDS: Final = 15.0
STOP_SECONDS: Final = 8.0
PRODUCT: Final = "ticker_site.asgi:application"


class NotStarted(RuntimeError):
    """A process of the run did not start."""


@dataclass(frozen=True, slots=True)
class Served:
    """A running web process and its port."""

    pid: int
    port: int


class Stage:
    """Starts the processes and ends them all."""

    def __init__(self, *, folder: Path, cores: Cores) -> None:
        self._folder = folder
        self._cores = cores
        self._started: list[subprocess.Popen[bytes]] = []

    def valkey(self, *, name: str = "valkey") -> str:
        """Start a private Valkey and return its address."""
        server = prepare_valkey(folder=self._folder / name, environment=os.environ)
        self._start(replace(server.program(environment=dict(os.environ)), name=name), core=self._cores.others)
        deadline = time.monotonic() + START_SECONDS
        while not answers_ping(path=server.sockets / SOCKET_NAME):
            if time.monotonic() > deadline:
                raise NotStarted(self.log(name))
            time.sleep(0.02)
        return server.url

    def serve(self, *, name: str, module: str, environment: Mapping[str, str], options: tuple[str, ...] = ()) -> Served:
        """Serve a module of `servers` with the options of the product's own web process, and these."""
        with open_listener(host=HOST, port=0, strict=True) as listener:
            port = int(listener.getsockname()[1])
            program = web(environment=environment, place=Place(host=HOST, port=port), listener=listener.fileno())
            application = f"benchmarks.fanout.servers.{module}:application"
            command = tuple(application if word == PRODUCT else word for word in program.command)
            command += ("--log-level", "warning", *options)
            return Served(self._start(replace(program, name=name, command=command), core=self._cores.server).pid, port)

    def ceiling(self, *, program: Path) -> "Ceiling":
        """Start the C server."""
        with open_listener(host=HOST, port=0, strict=True) as listener:
            process = subprocess.Popen(
                [str(program), str(listener.fileno())], stdin=subprocess.PIPE, pass_fds=(listener.fileno(),)
            )
            pin(process.pid, self._cores.server)
            self._started.append(process)
            return Ceiling(process, int(listener.getsockname()[1]))

    def worker(self, *, name: str, words: tuple[str, ...], environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
        """Start a Python module of this package where the web processes run."""
        command = (sys.executable, "-m", *words)
        program = Program(name=name, command=command, folder=ROOT, environment=environment)
        return self._start(program, core=self._cores.server)

    def log(self, name: str) -> str:
        """Return the end of what a process printed."""
        return "\n".join((self._folder / f"{name}.log").read_text(errors="replace").splitlines()[-15:])

    def close(self) -> None:
        """End every process and wait for it."""
        for process in reversed(self._started):
            if process.stdin is not None:
                process.stdin.close()
            process.send_signal(signal.SIGTERM)
        for process in reversed(self._started):
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def _start(self, program: Program, *, core: int | None) -> subprocess.Popen[bytes]:
        with (self._folder / f"{program.name}.log").open("wb") as log:
            process = spawn(program=program, output=log.fileno())
        pin(process.pid, core)
        self._started.append(process)
        return process


class Ceiling:
    """The C server's pipe."""

    def __init__(self, process: subprocess.Popen[bytes], port: int) -> None:
        self.served = Served(process.pid, port)
        self._process = process

    def send(self, payload: bytes) -> None:
        """Have one payload sent to every client."""
        if self._process.stdin is None:
            raise NotStarted("the C server has no pipe")
        self._process.stdin.write(len(payload).to_bytes(4, "little") + payload)
        self._process.stdin.flush()
