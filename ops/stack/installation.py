"""The one folder that holds everything an installation keeps: data, secrets, logs, and the way to reach it all."""

import fcntl
import json
import os
import secrets
import signal
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

PRIVATE = 0o600
SECRET_BYTES = 48
LEFTOVER_SECONDS = 8.0
CHECK_SECONDS = 0.05


class AlreadyRunning(RuntimeError):
    """Another supervisor works on this folder."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bootstrap:
    """What the first start made, for the welcome screen."""

    admin_user: str
    account: str
    api_key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Installation:
    """The folder, usually `var` beside the code."""

    folder: Path

    @property
    def keyring(self) -> Path:
        """The file with the keys that seal broker credentials."""
        return self.folder / "keys" / "keyring.json"

    @property
    def secrets(self) -> Path:
        """The folder of generated secrets."""
        return self.folder / "secrets"

    @property
    def sandbox_credentials(self) -> Path:
        """The file in which the sandbox exchange names its users."""
        return self.folder / "sandbox" / "credentials.json"

    def create(self) -> None:
        """Make the folders. What is in them is for their owner alone."""
        self.folder.mkdir(parents=True, exist_ok=True)
        # Root's database runs as another user, which must pass through to its own folder.
        self.folder.chmod(self.folder.stat().st_mode | 0o011)
        for name in ("keys", "secrets", "sandbox", "log", "run", "static", "valkey"):
            (self.folder / name).mkdir(mode=0o700, exist_ok=True)

    def secret(self, name: str, *, size: int = SECRET_BYTES) -> str:
        """Return a secret that is made once and kept."""
        path = self.secrets / name
        if not path.exists():
            write_private(path=path, text=secrets.token_urlsafe(size))
        return path.read_text()

    def bootstrap(self) -> Bootstrap:
        """Return what `manage.py bootstrap` wrote."""
        found = json.loads((self.secrets / "bootstrap.json").read_text())
        return Bootstrap(admin_user=found["admin_user"], account=found["account"], api_key=found["api_key"])

    def write_environment(self, values: Mapping[str, str]) -> None:
        """Tell `manage.py` in other shells how to reach this installation."""
        text = "".join(f"{name}={value}\n" for name, value in sorted(values.items()))
        write_private(path=self.folder / "env", text=text)

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the installation; raise `AlreadyRunning` when somebody else does."""
        with (self.folder / "run" / "lock").open("a+") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise AlreadyRunning(self._who_runs()) from error
            write_private(path=self._owner, text=f"{os.getpid()}\n")
            try:
                yield
            finally:
                self._owner.unlink(missing_ok=True)

    def note_children(self, pids: Mapping[str, int]) -> None:
        """Remember the running programs, so that a start after a crash can wait for their end."""
        text = "".join(f"{pid} {_identity(pid)} {name}\n" for name, pid in pids.items())
        write_private(path=self._children, text=text)

    def end_leftovers(self, *, patience_seconds: float = LEFTOVER_SECONDS) -> list[str]:
        """Wait for the programs of a killed supervisor to end, kill those that do not, and name them all."""
        left = self._leftovers()
        names = list(left.values())
        deadline = time.monotonic() + patience_seconds
        while left and time.monotonic() < deadline:
            time.sleep(CHECK_SECONDS)
            left = self._leftovers()
        for pid in left:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return names

    @property
    def _owner(self) -> Path:
        return self.folder / "run" / "supervisor"

    @property
    def _children(self) -> Path:
        return self.folder / "run" / "children"

    def _leftovers(self) -> dict[int, str]:
        if not self._children.exists():
            return {}
        noted = [line.split(" ", 2) for line in self._children.read_text().splitlines()]
        return {int(pid): name for pid, identity, name in noted if identity == _identity(int(pid))}

    def _who_runs(self) -> str:
        owner = self._owner.read_text().strip() if self._owner.exists() else "unknown"
        return f"the platform already runs on {self.folder} (process {owner}); stop it first, or set TICKER_DATA_DIR"


def write_private(*, path: Path, text: str) -> None:
    """Write a file that only its owner can read, whole or not at all."""
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    unfinished.unlink(missing_ok=True)
    unfinished.touch(mode=PRIVATE, exist_ok=False)
    unfinished.write_text(text)
    unfinished.replace(path)


def read_environment(*, path: Path) -> dict[str, str]:
    """Return the KEY=VALUE lines of a file, or nothing when there is no such file."""
    if not path.exists():
        return {}
    lines = [line.strip() for line in path.read_text().splitlines()]
    pairs = [line.removeprefix("export ").split("=", 1) for line in lines if "=" in line and not line.startswith("#")]
    return {name.strip(): value.strip().strip("\"'") for name, value in pairs}


def _identity(pid: int) -> str:
    """Tell this process from a later one with the same number, where the system lets us."""
    status = Path(f"/proc/{pid}/stat")
    try:
        return status.read_text().rpartition(")")[2].split()[19]
    except OSError:
        return "gone" if Path("/proc/self/stat").exists() else _signal_identity(pid)


def _signal_identity(pid: int) -> str:
    try:
        os.kill(pid, 0)
    except OSError:
        return "gone"
    return "alive"
