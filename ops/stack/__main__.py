"""`python -m ops.stack exec -- COMMAND` lends a throw-away PostgreSQL and Valkey to one command."""

import argparse
import contextlib
import fcntl
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TextIO

from ops.stack.journal import Journal
from ops.stack.launch import die_with, with_bytecode
from ops.stack.postgres import SOCKET_NAME, PostgresMissing
from ops.stack.programs import BYTECODE
from ops.stack.servers import start_servers
from ops.stack.sockets import short_root
from ops.stack.supervisor import StartFailed, StopRequested, Supervisor
from ops.stack.valkey import ValkeyMissing

THROW_AWAY_PREFIX = "ticker-stack-"
INTERRUPTED = 128 + signal.SIGTERM


def execute(*, command: list[str], environment: Mapping[str, str], durable: bool = False) -> int:
    """Run `command` with throw-away servers and return its exit code; durable ones write to the disk as ours do."""
    with (
        _throw_away_folder() as folder,
        Supervisor(journal=Journal(folder=folder / "log", terminal=None)) as supervisor,
    ):
        try:
            addresses = start_servers(
                supervisor=supervisor,
                postgres_folder=folder / "postgres",
                valkey_folder=folder / "valkey",
                environment=environment,
                durable=durable,
            )
        except StopRequested:
            return INTERRUPTED
        except StartFailed as error:
            sys.stderr.write(f"{error}\n{_logs(folder)}\n")
            return 1
        # A data folder of its own: the command must not read the settings of a running installation.
        data = {"TICKER_DATA_DIR": str(folder / "data")}
        return supervisor.wait(_foreground(command, {**_secrets(), **environment, **data, **addresses}))


def main(arguments: list[str]) -> int:
    """Parse the command line and run it."""
    parser = argparse.ArgumentParser(prog="python -m ops.stack", description=__doc__)
    verbs = parser.add_subparsers(required=True)
    lend = verbs.add_parser("exec", help="run a command with throw-away servers")
    lend.add_argument("--durable", action="store_true", help="commit to the disk, as an installation does")
    lend.add_argument("command", nargs=argparse.REMAINDER)
    options = parser.parse_args(arguments)
    command = options.command
    if command[:1] == ["--"]:
        command = command[1:]
    if not command:
        parser.error("no command to execute")
    try:
        environment = with_bytecode(os.environ, folder=BYTECODE)
        return execute(command=command, environment=environment, durable=options.durable)
    except (PostgresMissing, ValkeyMissing) as error:
        sys.stderr.write(f"{error}\n")
        return 1


@contextlib.contextmanager
def _throw_away_folder() -> Iterator[Path]:
    _sweep()
    folder, lock = _locked_folder()
    with lock:
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def _locked_folder() -> tuple[Path, TextIO]:
    while True:
        folder = Path(tempfile.mkdtemp(prefix=THROW_AWAY_PREFIX, dir=_root()))
        # Root's database runs as another user, which must pass through.
        folder.chmod(0o711)
        lock = (folder / "lock").open("w")
        fcntl.flock(lock, fcntl.LOCK_EX)
        # Another run may have swept it away before it was locked.
        if folder.exists():
            return folder, lock
        lock.close()


def _foreground(command: list[str], environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
    """It keeps our terminal and our session, so that Ctrl-C and colours reach it."""
    bind = die_with(parent=os.getpid(), death_signal=signal.SIGTERM)
    return subprocess.Popen(command, env=environment, preexec_fn=bind)  # noqa: PLW1509 (as in `spawn`)


def _secrets() -> dict[str, str]:
    return {name: secrets.token_hex(32) for name in ("SECRET_KEY", "API_KEY_PEPPER")}


def _root() -> Path:
    return short_root(name=f"postgres/socket/{SOCKET_NAME}")


def _sweep() -> None:
    """Remove what a killed run left behind: our folders that nobody locks."""
    for folder in _root().glob(f"{THROW_AWAY_PREFIX}*"):
        with contextlib.suppress(OSError), (folder / "lock").open() as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder, ignore_errors=True)


def _logs(folder: Path) -> str:
    return "\n".join(path.read_text(errors="replace")[-2000:] for path in (folder / "log").glob("*.log"))


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
