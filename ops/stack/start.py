"""One start of the platform, from the first setting to the last program."""

import argparse
import contextlib
import os
import socket
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import urlsplit

from ops.stack import programs
from ops.stack.installation import Installation, read_environment
from ops.stack.journal import Journal
from ops.stack.launch import with_bytecode
from ops.stack.postgres import reachable_folder
from ops.stack.programs import BYTECODE, ROOT, Place
from ops.stack.servers import start_servers
from ops.stack.sockets import free_port
from ops.stack.supervisor import Supervisor

HOST = "127.0.0.1"
# Told to other shells in var/env, beside the addresses.
KEPT = (
    *(
        "ALLOWED_HOSTS",
        "API_KEY_PEPPER",
        "CELERY_BROKER_URL",
        "CHECK_MARKET_HOURS",
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

    def __init__(
        self, *, options: argparse.Namespace, installation: Installation, supervisor: Supervisor, journal: Journal
    ) -> None:
        self._options = options
        self._installation = installation
        self._supervisor = supervisor
        self._journal = journal
        self.sandboxed = False
        chosen = {**read_environment(path=ROOT / ".env"), **os.environ}
        self.environment = with_bytecode(chosen, folder=BYTECODE)

    def bring_up(self, *, listener: socket.socket) -> Place:
        """Start everything in order and return where it listens."""
        place = Place(host=self._options.host, port=listener.getsockname()[1])
        self._settle(place)
        self.sandboxed = self._launch_exchange()
        with self._step("PostgreSQL and Valkey"):
            self._start_servers()
        self._installation.write_environment(
            {name: self.environment[name] for name in KEPT if name in self.environment}
        )
        with self._step("tables and keys"):
            self._prepare_database()
        with self._step("accounts and instruments"):
            self._bootstrap()
        everything = programs.platform_programs(environment=self.environment, place=place, listener=listener.fileno())
        with self._step(", ".join(program.name for program in everything)):
            self._supervisor.start(*everything)
        return place

    def _settle(self, place: Place) -> None:
        """Give every setting that nobody chose its value."""
        chosen = self.environment
        keep = self._installation
        chosen.setdefault("PUBLIC_URL", place.url)
        hosts = {"127.0.0.1", "localhost", "[::1]", urlsplit(chosen["PUBLIC_URL"]).hostname or HOST}
        chosen.setdefault("ALLOWED_HOSTS", ",".join(sorted(hosts)))
        chosen.setdefault("SECRET_KEY", keep.secret("secret_key", size=48))
        chosen.setdefault("API_KEY_PEPPER", keep.secret("api_key_pepper"))
        chosen.setdefault("INSTALLATION_ID", keep.secret("installation_id", size=9))
        chosen.setdefault("VAULT_KEY_FILE", str(keep.keyring))
        chosen.setdefault("ADMIN_PASSWORD", keep.secret("admin_password", size=12))
        chosen["TICKER_DATA_DIR"] = str(keep.folder)
        chosen["PYTHONUNBUFFERED"] = "1"

    def _launch_exchange(self) -> bool:
        """Launch the sandbox exchange, unless the settings name another one: the real broker."""
        chosen = self.environment
        if "KITE_REST_ROOT" in chosen:
            return False
        port = free_port(host=HOST, port=self._options.sandbox_port, strict=False)
        exchange = programs.sandbox(
            environment=_outside(chosen),
            port=port,
            credentials=self._installation.sandbox_credentials,
            redirect=f"{chosen['PUBLIC_URL']}/accounts/kite/callback",
        )
        chosen.setdefault("CHECK_MARKET_HOURS", "false")
        chosen["KITE_REST_ROOT"] = f"http://{HOST}:{port}"
        chosen["KITE_WS_ROOT"] = f"ws://{HOST}:{port}"
        chosen["KITE_LOGIN_URL"] = f"http://{HOST}:{port}/connect/login"
        self._supervisor.launch(exchange)
        return True

    def _start_servers(self) -> None:
        folder = self._installation.folder
        self.environment |= start_servers(
            supervisor=self._supervisor,
            postgres_folder=reachable_folder(folder=folder / "postgres", identity=self.environment["INSTALLATION_ID"]),
            valkey_folder=folder / "valkey",
            environment=self.environment,
            durable=True,
        )

    def _prepare_database(self) -> None:
        self._command("migrate", "--noinput", "--skip-checks", "--verbosity", "0")
        if not Path(self.environment["VAULT_KEY_FILE"]).exists():
            self._command("init_keyring", "--if-missing")

    def _bootstrap(self) -> None:
        words = ["bootstrap", "--skip-checks", "--secrets-dir", str(self._installation.secrets)]
        if self.sandboxed:
            self._supervisor.wait_ready("sandbox")
            words += ["--credentials", str(self._installation.sandbox_credentials)]
        self._command(*words)

    def _command(self, *words: str) -> None:
        code = self._supervisor.run(programs.command(environment=self.environment, words=words))
        if code:
            raise CommandFailed(f"manage.py {words[0]} failed (exit code {code})")

    @contextlib.contextmanager
    def _step(self, what: str) -> Iterator[None]:
        began = time.monotonic()
        yield
        self._journal.write(name="run", line=f"{what}: ready after {time.monotonic() - began:.1f} s")


def _outside(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of a program that is not ours: without our secrets and addresses."""
    ours = {*KEPT, "ADMIN_PASSWORD"}
    return {name: value for name, value in environment.items() if name not in ours}
