"""Looks for secrets wherever they could end up: files, the database, Redis and what passes through it, answers."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit
from uuid import uuid4

import psycopg
from psycopg import sql
from redis import Redis

from accounts.authentication import KEY
from tests.canaries import SPELLINGS, in_base64

SHORTEST = 8
PIECE = 8 << 20
# Longer than any spelling of a secret: what lies across two pieces is found in the second.
OVERLAP = 4096
# On a crowded machine the listener has minutes of the feed's traffic before it.
PATIENCE = 300.0


@dataclass(frozen=True, slots=True, order=True)
class Leak:
    """One secret found at one place, in one spelling."""

    secret: str
    spelling: str
    place: str


class Canaries:
    """Secrets by name, in every spelling a careless program may give them."""

    def __init__(self, secrets: Mapping[str, str]) -> None:
        for name, secret in secrets.items():
            assert len(secret) >= SHORTEST, f"{name} is too short to be told from other text"
        # What begins with another one's text, as the exchange's secrets do with its mark, is found with that one.
        alone = {
            name: secret
            for name, secret in secrets.items()
            if not any(secret != other and secret.startswith(other) for other in secrets.values())
        }
        self._spellings = [
            (name, how, spelled) for name, secret in alone.items() for how, spelled in spellings(secret).items()
        ]
        assert max(len(spelled) for _, _, spelled in self._spellings) < OVERLAP
        self.names = frozenset(secrets)

    def look(self, place: str, data: bytes) -> Iterator[Leak]:
        """Yield what is found in some bytes."""
        for name, how, spelled in self._spellings:
            if spelled in data:
                yield Leak(name, how, place)

    def look_into_file(self, path: Path, *, place: str) -> Iterator[Leak]:
        """Yield what is found in a file of any size."""
        before = b""
        with path.open("rb") as file:
            while piece := file.read(PIECE):
                yield from self.look(place, before + piece)
                before = piece[-OVERLAP:]


def spellings(secret: str) -> dict[str, bytes]:
    """Return the secret as text, in hexadecimal, percent-encoded, and in base64 at each of its three positions."""
    raw = secret.encode()
    found = {"text": raw, "hex": raw.hex().encode(), "HEX": raw.hex().upper().encode()}
    if quote(secret, safe="") != secret:
        found["percent"] = quote(secret, safe="").encode()
    for shift in range(3):
        found[f"base64 at {shift}"] = in_base64(raw, shift)
        url_safe = found[f"base64 at {shift}"].translate(bytes.maketrans(b"+/", b"-_"))
        if url_safe != found[f"base64 at {shift}"]:
            found[f"base64url at {shift}"] = url_safe
    return found


def secret_of(api_key: str) -> str:
    """Return the secret half of an API key, which may itself hold underscores."""
    found = KEY.fullmatch(api_key)
    assert found, "this is no API key of the platform"
    return found[2]


def files_of(folder: Path, *, leaving_out: Iterable[str]) -> Iterator[Path]:
    """Yield every file of a folder, without some of its first-level names."""
    out = frozenset(leaving_out)
    for path in sorted(folder.rglob("*")):
        if path.relative_to(folder).parts[0] not in out and path.is_file() and not path.is_symlink():
            yield path


def look_into_database(url: str, canaries: Canaries) -> Iterator[Leak]:
    """Yield what is found in any row of any table that has more than numbers, moments and yes and no.

    Bytes are seen as PostgreSQL shows them, in hexadecimal.
    """
    with psycopg.connect(url) as link:
        tables = link.execute(
            "SELECT c.oid::regclass::text, n.nspname, c.relname FROM pg_class c JOIN pg_namespace n "
            "ON n.oid = c.relnamespace WHERE c.relkind = 'r' AND n.nspname NOT LIKE 'pg\\_%' "
            "AND n.nspname <> 'information_schema' AND EXISTS (SELECT FROM pg_attribute a JOIN pg_type t "
            "ON t.oid = a.atttypid WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped "
            "AND t.typcategory NOT IN ('N', 'D', 'B', 'T'))"
        ).fetchall()
        assert len(tables) > 20, "the platform has more tables than these"
        for shown, schema, name in tables:
            copy = sql.SQL("COPY {} TO STDOUT").format(sql.Identifier(schema, name))
            gathered = bytearray()
            with link.cursor().copy(copy) as rows:
                for piece in rows:
                    gathered += piece
                    if len(gathered) > PIECE:
                        yield from canaries.look(f"table {shown}", bytes(gathered))
                        del gathered[:-OVERLAP]
            yield from canaries.look(f"table {shown}", bytes(gathered))


def look_into_redis(client: "Redis", canaries: Canaries) -> Iterator[Leak]:
    """Yield what is found in any key."""
    for key in client.scan_iter(count=1000):
        yield from canaries.look(
            f"redis {key.decode('utf-8', 'replace')}", key + b"\n" + repr_bytes(_value(client, key))
        )


def _value(client: Any, key: bytes) -> Any:
    match client.type(key):
        case b"string":
            return client.get(key)
        case b"hash":
            return client.hgetall(key)
        case b"list":
            return client.lrange(key, 0, -1)
        case b"set":
            return list(client.smembers(key))
        case b"zset":
            return client.zrange(key, 0, -1, withscores=True)
        case b"stream":
            return client.xrange(key, count=2000)
        case b"none":
            return b""
        case other:
            raise AssertionError(f"{key!r} is a {other!r}, which nobody looks into")


def repr_bytes(value: Any) -> bytes:
    """Return everything a nested value holds, one after another."""
    if isinstance(value, bytes):
        return value
    if isinstance(value, dict):
        return b"\n".join(repr_bytes(part) for pair in value.items() for part in pair)
    if isinstance(value, (list, tuple)):
        return b"\n".join(repr_bytes(part) for part in value)
    return str(value).encode()


# A program of its own: beside the tests' work a thread falls behind, and Redis cuts off who does not listen. The feed
# sends columns of numbers, megabytes a second: of those the beginning is kept, and all where a mark is among them.
LISTEN = """
import socket, sys
address, path, longest, *marks = sys.argv[1:]
link = socket.socket(socket.AF_UNIX)
link.connect(address)
link.sendall(b"MONITOR\\r\\n")
with open(path, "wb", buffering=0) as file:
    for line in link.makefile("rb", 1 << 20):
        if len(line) > int(longest) and not any(mark.encode() in line for mark in marks):
            line = line[:200] + b"...\\n"
        file.write(line)
"""
LONGEST_WHOLE = 40_000


class Tap:
    """Writes down every command that reaches Redis, Celery's messages and published ones among them."""

    def __init__(self, *, url: str, path: Path) -> None:
        self.path = path
        self._url = url
        path.touch()
        marks = [spelling.decode() for spelling in SPELLINGS]
        command = [sys.executable, "-c", LISTEN, urlsplit(url).path, str(path), str(LONGEST_WHOLE), *marks]
        self._process = subprocess.Popen(command, stderr=subprocess.DEVNULL)

    def __enter__(self) -> "Tap":
        self._wait_until(lambda: self.path.stat().st_size > 0, "Redis does not let itself be listened to")
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()

    def stop(self) -> None:
        """Wait until everything sent until now was heard."""
        mark = uuid4().hex
        with Redis.from_url(self._url) as client:
            client.echo(mark)
        self._wait_until(lambda: mark.encode() in self._tail(), "the tap on Redis fell behind")

    def _tail(self) -> bytes:
        with self.path.open("rb") as file:
            file.seek(max(0, self.path.stat().st_size - PIECE))
            return file.read()

    def _wait_until(self, heard: Callable[[], bool], complaint: str) -> None:
        deadline = time.monotonic() + PATIENCE
        while not heard():
            assert self._process.poll() is None, "Redis stopped telling"
            assert time.monotonic() < deadline, complaint
            time.sleep(0.1)


def environment_of(folder: Path) -> dict[str, str]:
    """Return what an installation wrote down of its addresses."""
    pairs = [line.split("=", 1) for line in (folder / "env").read_text().splitlines() if "=" in line]
    return {**os.environ, **{name: value.strip("\"'") for name, value in pairs}}
