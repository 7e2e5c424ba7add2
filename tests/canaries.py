"""Every secret that tests make carries a mark; a test that lets the mark out fails, whatever else it is about.

Watched in the process of the tests: their output and the log, before anything is redacted there; the parameters of
every statement to PostgreSQL; every command to Redis, and so every message of Celery; every HTTP answer. At the end the
files of the servers are read too, for what other processes wrote.
"""

import base64
import os
from collections.abc import Callable, Generator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

import pytest
import redis.asyncio.connection
import redis.connection
from asgiref.sync import iscoroutinefunction
from django.conf import settings
from django.db.backends.signals import connection_created
from django.http import HttpRequest, HttpResponse
from django.utils.decorators import sync_and_async_middleware
from psycopg.types.json import Json, Jsonb

from ops.stack.__main__ import THROW_AWAY_PREFIX
from sandbox.accounts import MARK

PIECE: Final = 8 << 20
OVERLAP: Final = 100
SAID_BY_A_WORKER: Final = "canaries"


def canary(number: int) -> str:
    """Return a secret that is found wherever it gets out."""
    return f"{MARK}{number:024}"


def spelled(mark: str) -> tuple[bytes, ...]:
    """Return the mark as text, in hexadecimal, and what is sure of it in base64 at each of its three positions."""
    plain = mark.encode()
    return (plain, plain.hex().encode(), *(in_base64(plain, shift) for shift in range(3)))


def in_base64(plain: bytes, shift: int) -> bytes:
    """Return the characters that depend on these bytes alone, and on no neighbour of theirs."""
    whole = base64.b64encode(b"\0" * shift + plain + b"\0" * 3)
    return whole[-(-shift * 8 // 6) : (shift + len(plain)) * 8 // 6]


SPELLINGS: Final = spelled(MARK)
# What is leaked on purpose is found on its way, and does not count where it comes to rest.
PLANTED: Final = "plantedqx"
PASSING: Final = (*SPELLINGS, *spelled(PLANTED))


class Taps:
    """What passes through one test process."""

    def __init__(self) -> None:
        self._found: list[str] = []

    def look(self, place: str, value: object, *, spellings: Sequence[bytes] = PASSING) -> None:
        """Note the place where the mark is in a value."""
        data = flat(value)
        if any(spelling in data for spelling in spellings):
            self._found.append(place)

    def take(self) -> list[str]:
        """Return where the mark was since the last time."""
        found, self._found[:] = sorted(set(self._found)), []
        return found

    def look_into_files(self, folder: Path) -> int:
        """Note every file of a folder that holds the mark, and return how many bytes were read."""
        files = [path for path in sorted(folder.rglob("*")) if path.is_file() and not path.is_symlink()]
        return sum(self._look_into_file(path) for path in files)

    def _look_into_file(self, path: Path) -> int:
        before, count = b"", 0
        with path.open("rb") as file:
            while piece := file.read(PIECE):
                count += len(piece)
                self.look(f"the file {path.parent.name}/{path.name}", before + piece, spellings=SPELLINGS)
                before = piece[-OVERLAP:]
        return count

    def statement(self, execute: Callable[..., Any], query: str, params: Any, many: bool, context: Any) -> Any:
        """Look at what a statement carries, and execute it."""
        self.look(f"a statement to PostgreSQL, {query[:80]}", (query, params))
        return execute(query, params, many, context)

    def listen(self, *, connection: Any, **_: object) -> None:
        """Look at every statement of a new connection."""
        if self.statement not in connection.execute_wrappers:
            connection.execute_wrappers.append(self.statement)

    def answer(self, request: HttpRequest, response: HttpResponse) -> HttpResponse:
        """Look at an answer."""
        body = b"" if response.streaming else response.content
        self.look(f"the answer to {request.method} {request.path}", (body, dict(response.headers)))
        return response


TAPS: Final = Taps()
# What the files of each server held at the end: bytes read, and where the mark was.
ENDS: Final[list[tuple[int, list[str]]]] = []


def flat(value: object) -> bytes:
    """Return everything a value holds, one part after another."""
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value)
    if isinstance(value, Mapping):
        return b"\n".join(flat(part) for pair in value.items() for part in pair)
    if isinstance(value, (list, tuple)):
        return b"\n".join(flat(part) for part in value)
    return str(value.obj if isinstance(value, (Json, Jsonb)) else value).encode(errors="replace")


@sync_and_async_middleware
def answers(get_response: Any) -> Any:
    """Look at every answer of this process."""
    if iscoroutinefunction(get_response):

        async def answer_later(request: HttpRequest) -> HttpResponse:
            return TAPS.answer(request, await get_response(request))

        return answer_later
    return lambda request: TAPS.answer(request, get_response(request))


def tap() -> None:
    """Begin to look at everything that leaves this process."""
    settings.MIDDLEWARE = ["tests.canaries.answers", *settings.MIDDLEWARE]
    connection_created.connect(TAPS.listen, weak=False)
    _tap_redis(redis.connection.AbstractConnection)
    _tap_redis(redis.asyncio.connection.AbstractConnection)


def _tap_redis(connection: Any) -> None:
    send = connection.send_packed_command

    def look_and_send(self: Any, command: Any, *arguments: Any, **options: Any) -> Any:
        TAPS.look("a command to Redis", command if isinstance(command, (bytes, str)) else list(command))
        return send(self, command, *arguments, **options)

    connection.send_packed_command = look_and_send


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Fail a test that let a secret out, after all its fixtures have ended."""
    report = yield
    if report.when == "teardown":
        for title, text in report.sections:
            TAPS.look(title, text)
        found = TAPS.take()
        if found and report.passed:
            report.outcome = "failed"
            report.longrepr = f"{item.nodeid} let a secret out: {'; '.join(found)}"
    return report


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Read what the servers of this process wrote to their files."""
    told = getattr(session.config, "workeroutput", None)
    if told is not None:
        count = TAPS.look_into_files(Path(os.environ["TICKER_DATA_DIR"]) / "valkey")
        told[SAID_BY_A_WORKER] = (count, TAPS.take())
        return
    folder = throw_away_folder(os.environ.get("DATABASE_URL", ""))
    ENDS.append((TAPS.look_into_files(folder) if folder else 0, TAPS.take()))
    if any(found for _, found in ENDS):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Take what a worker found in the files of its Valkey."""
    output = getattr(node, "workeroutput", {})
    if SAID_BY_A_WORKER in output:
        ENDS.append(output[SAID_BY_A_WORKER])


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Say what was read and what was found."""
    found = sorted({place for _, places in ENDS for place in places})
    read = sum(count for count, _ in ENDS) / 1e6
    terminalreporter.write_line(f"secrets: {read:,.0f} MB of the servers' files read, found in {found or 'none'}")


def throw_away_folder(url: str) -> Path | None:
    """Return the folder of the servers these tests were lent; None where they are somebody else's."""
    sockets = Path(parse_qs(urlsplit(url).query).get("host", [""])[0])
    return next((path for path in sockets.parents if path.name.startswith(THROW_AWAY_PREFIX)), None)
