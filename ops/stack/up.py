"""Start the whole platform on this machine and keep it running: `python -m ops.stack.up`, which `./run` calls."""

import argparse
import contextlib
import os
import socket
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from ops.stack import programs
from ops.stack.installation import AlreadyRunning, Installation, read_environment
from ops.stack.journal import Journal
from ops.stack.postgres import PostgresMissing, reachable_folder
from ops.stack.programs import ROOT, Place
from ops.stack.servers import start_servers
from ops.stack.sockets import PortTaken, free_port, open_listener
from ops.stack.supervisor import StartFailed, StopRequested, Supervisor
from ops.stack.valkey import ValkeyMissing
from ops.stack.welcome import welcome

HOST = "127.0.0.1"
WEB_PORT = 8000
SANDBOX_PORT = 8700
# Told to other shells in var/env, beside the addresses.
KEPT = (
    *(
        "ALLOWED_HOSTS",
        "API_KEY_PEPPER",
        "CELERY_BROKER_URL",
        "CSRF_TRUSTED_ORIGINS",
        "DATABASE_URL",
        "INSTALLATION_ID",
    ),
    *("KITE_LOGIN_URL", "KITE_REST_ROOT", "KITE_WS_ROOT", "PUBLIC_URL", "REDIS_URL", "SECRET_KEY", "VAULT_KEY_FILE"),
)


class CommandFailed(RuntimeError):
    """A command that the start needs ended with an error."""


class Start:
    """One start of the platform, step by step."""

    def __init__(self, *, options: argparse.Namespace, installation: Installation, supervisor: Supervisor) -> None:
        self._options = options
        self._installation = installation
        self._supervisor = supervisor
        self.environment = {**read_environment(path=ROOT / ".env"), **os.environ}

    def bring_up(self, *, listener: socket.socket) -> Place:
        """Start everything in order and return where it listens."""
        place = Place(host=self._options.host, port=listener.getsockname()[1])
        self._settle(place)
        self._start_servers()
        self._prepare_database()
        self._start_exchange()
        self._bootstrap()
        self._supervisor.start(
            *programs.platform_programs(environment=self.environment, place=place, listener=listener.fileno())
        )
        return place

    def _settle(self, place: Place) -> None:
        """Give every setting that nobody chose its value."""
        chosen = self.environment
        keep = self._installation
        chosen.setdefault("PUBLIC_URL", place.url)
        hosts = {"127.0.0.1", "localhost", "[::1]", urlsplit(chosen["PUBLIC_URL"]).hostname or HOST}
        chosen.setdefault("ALLOWED_HOSTS", ",".join(sorted(hosts)))
        chosen.setdefault("SECRET_KEY", keep.secret("secret_key"))
        chosen.setdefault("API_KEY_PEPPER", keep.secret("api_key_pepper"))
        chosen.setdefault("INSTALLATION_ID", keep.secret("installation_id", size=9))
        chosen.setdefault("VAULT_KEY_FILE", str(keep.keyring))
        chosen.setdefault("ADMIN_PASSWORD", keep.secret("admin_password", size=12))
        chosen["TICKER_DATA_DIR"] = str(keep.folder)
        chosen["PYTHONUNBUFFERED"] = "1"

    def _start_servers(self) -> None:
        folder = self._installation.folder
        self.environment |= start_servers(
            supervisor=self._supervisor,
            postgres_folder=reachable_folder(folder=folder / "postgres"),
            valkey_folder=folder / "valkey",
            environment=self.environment,
            durable=True,
        )

    def _prepare_database(self) -> None:
        self._command("migrate", "--noinput", "--verbosity", "0")
        if not Path(self.environment["VAULT_KEY_FILE"]).exists():
            self._command("init_keyring", "--if-missing")

    def _start_exchange(self) -> None:
        """Start the sandbox exchange, unless the settings name another one: the real broker."""
        chosen = self.environment
        if "KITE_REST_ROOT" not in chosen:
            port = free_port(host=HOST, port=self._options.sandbox_port, strict=False)
            chosen["KITE_REST_ROOT"] = f"http://{HOST}:{port}"
            chosen["KITE_WS_ROOT"] = f"ws://{HOST}:{port}"
            chosen["KITE_LOGIN_URL"] = f"http://{HOST}:{port}/connect/login"
            self._supervisor.start(
                programs.sandbox(
                    environment=_outside(chosen),
                    port=port,
                    credentials=self._installation.sandbox_credentials,
                    redirect=f"{chosen['PUBLIC_URL']}/accounts/kite/callback",
                )
            )
        self._installation.write_environment({name: chosen[name] for name in KEPT if name in chosen})

    def _bootstrap(self) -> None:
        words = ["bootstrap", "--secrets-dir", str(self._installation.secrets)]
        if self._installation.sandbox_credentials.exists():
            words += ["--credentials", str(self._installation.sandbox_credentials)]
        self._command(*words)

    def _command(self, *words: str) -> None:
        code = self._supervisor.run(programs.command(environment=self.environment, words=words))
        if code:
            raise CommandFailed(f"manage.py {words[0]} failed (exit code {code})")


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
        start = Start(options=options, installation=installation, supervisor=supervisor)
        try:
            place = start.bring_up(listener=listener)
        except StopRequested:
            return 0
        except (CommandFailed, StartFailed) as error:
            _explain(journal, error)
            return 1
        _welcome(start, installation, journal, place)
        journal.announce(f"Ready after {time.monotonic() - began:.1f} s. Ctrl-C stops everything.")
        supervisor.watch()
        journal.announce("Stopping …")
    return 0


def _welcome(start: Start, installation: Installation, journal: Journal, place: Place) -> None:
    if place.port != WEB_PORT:
        journal.announce(f"Port {WEB_PORT} was taken; the panel is on {place.port}.")
    journal.announce(welcome(environment=start.environment, bootstrap=installation.bootstrap()))


def _explain(journal: Journal, error: Exception) -> None:
    journal.announce(f"{error}.")
    if isinstance(error, StartFailed):
        journal.announce(f"The end of {journal.path(error.name)}:\n{journal.tail(error.name)}")


def _outside(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of a program that is not ours: without our secrets and addresses."""
    ours = {*KEPT, "ADMIN_PASSWORD"}
    return {name: value for name, value in environment.items() if name not in ours}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="./run", description="Start the whole platform on this machine.")
    parser.add_argument("--host", default=HOST, help="address to listen on (default: %(default)s, this machine only)")
    parser.add_argument("--port", type=int, help=f"exactly this port (default: the first free one from {WEB_PORT})")
    parser.add_argument("--sandbox-port", type=int, default=SANDBOX_PORT, help="first port to try for the sandbox")
    return parser


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        raise SystemExit(main(sys.argv[1:]))
