"""The database in one file, and the proof that the file is worth something: it is restored and counted."""

import os
import re
import shutil
import subprocess
import tempfile
import time
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from threading import Timer
from typing import Final
from uuid import uuid4

import psycopg
from psycopg import sql

from ops.errors import BackupFailed
from ops.stack.postgres import PostgresMissing, find_binaries

TIMEOUT_SECONDS: Final = 3600
TAKEN: Final = "the database {name} exists: name a new one"
TABLE_ENTRY: Final = " TABLE DATA "
TABLE_REMARK: Final = re.compile(r"(?:dumping contents of|processing data for) table \"([^\"]+)\"")
TICKS: Final = "market_data_tick*"
TABLES: Final = """
SELECT quote_ident(schemaname) || '.' || quote_ident(relname) FROM pg_stat_user_tables
WHERE relname NOT LIKE 'market\\_data\\_tick%' ORDER BY 1
"""


Told = Callable[[str, float], None]


def silent(_table: str, _share: float) -> None:
    """Hear of the progress and say nothing."""


@dataclass(frozen=True, slots=True)
class Server:
    """Where a database is, in libpq's words; the password travels in the environment alone."""

    name: str
    environment: Mapping[str, str]

    def link(self, name: str) -> psycopg.Connection:
        """Open a connection to a database of the server."""
        words = {"PGHOST": "host", "PGPORT": "port", "PGUSER": "user", "PGPASSWORD": "password"}
        given = {words[key]: value for key, value in self.environment.items() if key in words}
        return psycopg.connect(dbname=name, autocommit=True, connect_timeout=5, **given)  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class Backup:
    """A finished file: rows by table at the moment of its snapshot."""

    path: Path
    rows: Mapping[str, int]
    seconds: float


def server_of(settings: Mapping[str, object]) -> Server:
    """Return the server of an entry of Django's DATABASES."""
    keys = {"PGHOST": "HOST", "PGPORT": "PORT", "PGUSER": "USER", "PGPASSWORD": "PASSWORD"}
    given = {name: str(settings[key]) for name, key in keys.items() if settings.get(key)}
    options = settings.get("OPTIONS")
    if isinstance(options, Mapping) and options.get("host"):
        given["PGHOST"] = str(options["host"])
    return Server(name=str(settings["NAME"]), environment=given)


def back_up(*, server: Server, path: Path, ticks: bool = True, told: Told = silent) -> Backup:
    """Write the database into a file only its owner reads; what was there stays until the new file is whole.

    Rows are counted in the dump's own snapshot, ticks aside. `told` hears which table it is at and which share of them
    is done. Raises BackupFailed.
    """
    started = time.monotonic()
    partial = path.with_name(f"{path.name}.partial")
    path.parent.mkdir(parents=True, exist_ok=True)
    partial.touch(mode=0o600)
    with closing(server.link(server.name)) as link, link.transaction():
        link.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        snapshot = link.execute("SELECT pg_export_snapshot()").fetchone()
        rows = _counts(link)
        without = [] if ticks else [f"--exclude-table-data={TICKS}"]
        _run(
            server,
            "pg_dump",
            *["--format=custom", "--no-owner", f"--snapshot={snapshot[0] if snapshot else ''}", *without],
            *[f"--file={partial}", server.name],
            told=_counter(told, len(rows)),
        )
    partial.replace(path)
    return Backup(path=path, rows=rows, seconds=time.monotonic() - started)


def size_of(*, server: Server, path: Path) -> int:
    """Return the bytes of the database, once everything a backup into `path` needs is there; raises BackupFailed."""
    _tool("pg_dump")
    folder = next(parent for parent in path.absolute().parents if parent.exists())
    if not os.access(folder, os.W_OK):
        raise BackupFailed(f"{folder} may not be written to", field="file")
    with closing(server.link(server.name)) as link:
        row = link.execute("SELECT pg_database_size(current_database())").fetchone()
    return row[0] if row else 0


def tables_of(*, server: Server, path: Path, name: str) -> list[str]:
    """Return the tables a backup holds, once the new database could be made; raises BackupFailed."""
    with closing(server.link("postgres")) as link:
        if link.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name]).fetchone():
            raise BackupFailed(TAKEN.format(name=name), field="into")
    listed = _run(server, "pg_restore", "--list", str(path))
    return [line.split(maxsplit=7)[6] for line in listed.splitlines() if TABLE_ENTRY in line]


def restore(*, server: Server, path: Path, name: str, told: Told = silent) -> Mapping[str, int]:
    """Fill a new database of the server from a file and return its rows by table.

    Raises BackupFailed, also where the database exists: nothing is ever written over.
    """
    with closing(server.link("postgres")) as link:
        try:
            link.execute(sql.SQL("CREATE DATABASE {} TEMPLATE template0").format(sql.Identifier(name)))
        except psycopg.errors.DuplicateDatabase as error:
            raise BackupFailed(TAKEN.format(name=name), field="into") from error
        except psycopg.errors.InsufficientPrivilege as error:
            raise BackupFailed("the role may not create databases: GRANT it CREATEDB", field="into") from error
    tables = _run(server, "pg_restore", "--list", str(path)).count(TABLE_ENTRY)
    how = ("--exit-on-error", "--no-owner", "--jobs=2", f"--dbname={name}")
    _run(server, "pg_restore", *how, str(path), told=_counter(told, tables))
    with closing(server.link(name)) as link:
        return _counts(link)


def drill(*, server: Server, path: Path, told: Told = silent) -> tuple[Mapping[str, int], float]:
    """Restore a file into a database of its own, count, and drop it; return rows by table and seconds."""
    started = time.monotonic()
    name = f"{server.name}_drill_{uuid4().hex[:8]}"
    try:
        rows = restore(server=server, path=path, name=name, told=told)
    finally:
        with closing(server.link("postgres")) as link:
            link.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))
    return rows, time.monotonic() - started


def differences(*, wanted: Mapping[str, int], found: Mapping[str, int]) -> list[str]:
    """Return what a restored database lacks or has too much of, one line a table."""
    return [
        f"{table}: {wanted.get(table, 0)} rows in the backup, {found.get(table, 0)} restored"
        for table in sorted({*wanted, *found})
        if wanted.get(table) != found.get(table)
    ]


def _counts(link: psycopg.Connection) -> dict[str, int]:
    tables = [row[0] for row in link.execute(TABLES).fetchall()]
    found = {}
    for table in tables:
        row = link.execute(sql.SQL("SELECT count(*) FROM {}").format(sql.SQL(table))).fetchone()
        found[table] = row[0] if row else 0
    return found


def _counter(told: Told, tables: int) -> Callable[[str], None]:
    """Return who hears a tool's remarks and counts the tables among them."""
    done = 0

    def hear(line: str) -> None:
        nonlocal done
        if found := TABLE_REMARK.search(line):
            told(found[1], min(done / max(tables, 1), 1.0))
            done += 1

    return hear


def _run(server: Server, tool: str, *arguments: str, told: Callable[[str], None] | None = None) -> str:
    """Return what the tool printed; `told` hears its remarks, a line at a time."""
    remarks = deque[str](maxlen=8)
    with tempfile.TemporaryFile("w+") as printed:
        running = subprocess.Popen(  # noqa: S603 (a fixed program, no shell)
            [str(_tool(tool)), *arguments, *([] if told is None else ["--verbose"])],
            env={**os.environ, **server.environment},
            stdout=printed,
            stderr=subprocess.PIPE,
            text=True,
        )
        end = Timer(TIMEOUT_SECONDS, running.kill)
        end.start()
        with running:
            for line in running.stderr or ():
                remarks.append(line)
                if told is not None:
                    told(line)
        end.cancel()
        if running.returncode:
            raise BackupFailed(f"{tool} ended with {running.returncode}: {''.join(remarks).strip()[-500:]}")
        printed.seek(0)
        return printed.read()


def _tool(name: str) -> Path:
    try:
        embedded = find_binaries(environment=os.environ) / name
    except PostgresMissing:
        embedded = None
    if embedded is not None and embedded.is_file():
        return embedded
    found = shutil.which(name)
    if found is None:
        raise BackupFailed(f"{name} was not found: install PostgreSQL's client programs")
    return Path(found)
