"""PostgreSQL servers that a test may kill, copies of the suite's own, and a standby that takes over."""

import os
import signal
import subprocess
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

import psycopg
from django.db import connection

from ops.stack.launch import output_of, spawn
from ops.stack.postgres import SOCKET_NAME, SUPERUSER, Postgres, prepare_postgres
from ops.stack.sockets import socket_folder

START_SECONDS = 30.0


@dataclass(slots=True)
class Server:
    """One durable server, started and killed at will."""

    postgres: Postgres
    password: str
    process: subprocess.Popen[bytes] | None = field(default=None)

    @classmethod
    def new(cls, folder: Path) -> Self:
        """Return a server on an empty data folder."""
        postgres = prepare_postgres(folder=folder, environment=os.environ, durable=True)
        return cls(postgres=postgres, password=(folder / "superuser_password").read_text())

    def start(self) -> None:
        """Start it, again where the memory of a killed one is still held, and wait until it is ready."""
        program = self.postgres.program(environment=os.environ)
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if self.process is None or self.process.poll() is not None:
                with Path(os.devnull).open("wb") as nowhere:
                    self.process = spawn(program=program, output=nowhere.fileno())
            if program.ready is not None and program.ready(self.process.pid):
                return
            time.sleep(0.02)
        raise AssertionError(f"PostgreSQL did not start within {START_SECONDS:g} s")

    def kill(self) -> None:
        """Kill the server and every process of it, as an out-of-memory kill would."""
        assert self.process is not None
        postmaster = self.process.pid
        os.kill(postmaster, signal.SIGSTOP)
        for pid in [*children(postmaster), postmaster]:
            os.kill(pid, signal.SIGKILL)
        self.process.wait()

    def stop(self) -> None:
        """End it, whatever state it is in."""
        if self.process is not None and self.process.poll() is None:
            self.kill()

    def ask(self, statement: str) -> list[tuple[object, ...]]:
        """Run a statement as the superuser."""
        with psycopg.connect(
            host=str(self.postgres.sockets),
            port=5432,
            user=SUPERUSER,
            password=self.password,
            dbname="postgres",
            autocommit=True,
        ) as link:
            cursor = link.execute(statement)
            return cursor.fetchall() if cursor.description else []

    def fill(self) -> None:
        """Take over the database of this test as it is now."""
        self.postgres.create_database()
        source = urlsplit(os.environ["DATABASE_URL"])._replace(path=f"/{connection.settings_dict['NAME']}")
        binaries = self.postgres.binaries
        dump = [str(binaries / "pg_dump"), "--no-owner", "--no-privileges", source.geturl()]
        load = [str(binaries / "psql"), "--quiet", "--set", "ON_ERROR_STOP=1", self.postgres.url]
        with subprocess.Popen(dump, stdout=subprocess.PIPE) as writer:
            subprocess.run(load, stdin=writer.stdout, stdout=subprocess.DEVNULL, check=True)
        assert writer.returncode == 0

    def standby(self, folder: Path) -> "Server":
        """Return a copy of this server that follows it, not started yet."""
        folder.mkdir(mode=0o700)
        (folder / "password").write_text((self.postgres.folder / "password").read_text())
        user = self.postgres.user
        if user is not None:
            os.chown(folder, user.uid, user.gid)
        sockets = socket_folder(folder=folder, name=SOCKET_NAME, user=user)
        follower = replace(self.postgres, folder=folder, sockets=sockets)
        source = f"host={self.postgres.sockets} port=5432 user={SUPERUSER} password={self.password}"
        command = [
            str(self.postgres.binaries / "pg_basebackup"),
            "--pgdata",
            str(follower.data),
            "--write-recovery-conf",
        ]
        command += ["--checkpoint", "fast", "--wal-method", "stream", "--no-sync", "--dbname", source]
        output_of(command=command, folder=folder, user=user)
        return Server(postgres=follower, password=self.password)

    def promote(self) -> None:
        """Make a standby the server that takes writes."""
        assert self.ask("SELECT pg_promote(wait_seconds => 30)") == [(True,)]


def either(first: Server, second: Server) -> str:
    """Return the address of whichever of two servers takes writes."""
    hosts = f"{first.postgres.sockets},{second.postgres.sockets}"
    address = first.postgres.url.partition("?")[0]
    return f"{address}?host={hosts}&port=5432,5432&target_session_attrs=read-write"


def children(parent: int) -> list[int]:
    """Return the processes that a process started."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == parent:
            found.append(int(path.parent.name))
    return found
