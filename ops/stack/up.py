"""Start the whole platform on this machine and keep it running: `python -m ops.stack.up`, which `./run` calls."""

import argparse
import contextlib
import os
import sys
import time
from pathlib import Path

from ops.stack.installation import AlreadyRunning, Installation
from ops.stack.journal import Journal
from ops.stack.postgres import PostgresMissing
from ops.stack.programs import ROOT
from ops.stack.sockets import PortTaken, open_listener
from ops.stack.start import HOST, CommandFailed, Start
from ops.stack.supervisor import StartFailed, StopRequested, Supervisor
from ops.stack.valkey import ValkeyMissing
from ops.stack.welcome import welcome

WEB_PORT = 8000
SANDBOX_PORT = 8700


def main(arguments: list[str]) -> int:
    """Start, show the welcome screen, keep everything running; return 0 after an ordered end."""
    options = _parser().parse_args(arguments)
    installation = Installation(folder=Path(os.environ.get("TICKER_DATA_DIR", ROOT / "var")).resolve())
    installation.create()
    coloured = sys.stdout.isatty() and "NO_COLOR" not in os.environ
    journal = Journal(folder=installation.folder / "log", coloured=coloured)
    try:
        with installation.lock():
            return _run(options, installation, journal)
    except (AlreadyRunning, PortTaken, PostgresMissing, ValkeyMissing) as error:
        journal.announce(f"{error}.")
        return 1


def _run(options: argparse.Namespace, installation: Installation, journal: Journal) -> int:
    began = time.monotonic()
    if left := installation.end_leftovers():
        journal.announce(f"The last run was killed; its {', '.join(left)} ended now.")
    with (
        open_listener(host=options.host, port=options.port or WEB_PORT, strict=options.port is not None) as listener,
        Supervisor(journal=journal, on_change=installation.note_children) as supervisor,
    ):
        start = Start(options=options, installation=installation, supervisor=supervisor, journal=journal)
        try:
            place = start.bring_up(listener=listener)
        except StopRequested:
            return 0
        except (CommandFailed, StartFailed) as error:
            _explain(journal, error)
            return 1
        if options.port is None and place.port != WEB_PORT:
            journal.announce(f"Port {WEB_PORT} was taken; the panel is on {place.port}.")
        bootstrap = installation.bootstrap()
        journal.announce(welcome(environment=start.environment, bootstrap=bootstrap, sandboxed=start.sandboxed))
        journal.announce(f"Ready after {time.monotonic() - began:.1f} s. Ctrl-C stops everything.")
        supervisor.watch()
        journal.announce("Stopping …")
    journal.announce("Stopped.")
    return 0


def _explain(journal: Journal, error: Exception) -> None:
    journal.announce(f"{error}.")
    if isinstance(error, StartFailed):
        journal.announce(f"The end of {journal.path(error.name)}:\n{journal.tail(error.name)}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="./run", description="Start the whole platform on this machine.")
    parser.add_argument("--host", default=HOST, help="address to listen on (default: %(default)s, this machine only)")
    parser.add_argument("--port", type=int, help=f"exactly this port (default: the first free one from {WEB_PORT})")
    parser.add_argument("--sandbox-port", type=int, default=SANDBOX_PORT, help="first port to try for the sandbox")
    return parser


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        raise SystemExit(main(sys.argv[1:]))
