"""What each operation of the API answered during a whole run: a run that leaves a kind of answer out fails.

The kinds an operation must have shown follow from the schema, and from whether it was seen to ask the broker. A success
or a second page counts only where a test of its own asked for it, not where the tests of every route came across it.
"""

import os
import threading
from collections.abc import Iterator, Set
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

import pytest
import requests
from django.http import HttpRequest, HttpResponse
from requests.adapters import HTTPAdapter

TOLD_BY_A_WORKER: Final = "inventory"
GENERATED: Final = "tests/security/"
# The broker is asked in the request's own thread, or in the pool that reads accounts side by side.
POOL: Final = "portfolio"


class Kind(StrEnum):
    """What an operation can be seen to answer."""

    SUCCESS = "success"
    VALIDATION = "400 or 422"
    NOBODY = "401"
    FORBIDDEN = "403"
    UNKNOWN = "404"
    TOO_MANY = "429"
    NEXT_PAGE = "second page"
    BROKER_ASKED = "broker asked"
    BROKER_SILENT = "broker silent"


BY_STATUS: Final = {
    400: Kind.VALIDATION,
    422: Kind.VALIDATION,
    401: Kind.NOBODY,
    403: Kind.FORBIDDEN,
    404: Kind.UNKNOWN,
    429: Kind.TOO_MANY,
}
# What these cannot meet, and why: what they name is looked up nowhere, or may be empty.
NEVER: Final[dict[str, tuple[str, set[str]]]] = {
    "GET /api/v1/chains/{underlying}/{expiry}/history": ("of which nothing was kept has an empty history", {"404"}),
    "GET /api/v1/volatility/{underlying}": ("of which nothing was kept has no standing", {"404"}),
    "GET /api/v1/volatility/{underlying}/history": ("of which nothing was kept has an empty history", {"404"}),
    "POST /api/v1/accounts": ("a group that is not known is a fault of the body", {"404"}),
    "POST /api/v1/greeks/whatif": ("its cases are numbers", {"404"}),
    "POST /api/v1/postbacks/kite/{label}": ("one and the same 403 tells a stranger nothing", {"404", "400 or 422"}),
}


@dataclass(slots=True)
class Watch:
    """One request, and what became of the broker's answers to it."""

    thread: int
    asked: bool = False
    silent: bool = False


class Inventory:
    """What was seen by this process."""

    def __init__(self) -> None:
        self.seen: set[tuple[str, str]] = set()
        self._watches: list[Watch] = []

    @contextmanager
    def watch(self) -> Iterator[Watch]:
        """Hold the broker's calls of this thread against one request."""
        held = Watch(threading.get_ident())
        self._watches.append(held)
        try:
            yield held
        finally:
            self._watches.remove(held)

    def broker(self, *, silent: bool) -> None:
        """Note a call to the broker with the request that made it."""
        thread = threading.current_thread()
        pooled = thread.name.startswith(POOL)
        for held in reversed(self._watches):
            if pooled or held.thread == thread.ident:
                held.asked, held.silent = True, held.silent or silent
                return

    def note(self, operation: str, request: HttpRequest, answer: HttpResponse, watched: Watch) -> None:
        """Write down which kinds of answer this was."""
        kinds = {BY_STATUS[answer.status_code]} if answer.status_code in BY_STATUS else set()
        if 200 <= answer.status_code < 300 and not os.environ.get("PYTEST_CURRENT_TEST", "").startswith(GENERATED):
            kinds |= {Kind.SUCCESS} | ({Kind.NEXT_PAGE} if request.GET.get("cursor") else set())
        if watched.asked:
            kinds |= {Kind.BROKER_ASKED} | ({Kind.BROKER_SILENT} if watched.silent else set())
        self.seen |= {(operation, kind.value) for kind in kinds}


INVENTORY: Final = Inventory()


def expected(operation: Any, seen: Set[str]) -> set[str]:
    """Return the kinds of answer that an operation of the schema must have shown."""
    names = {parameter["name"] for parameter in operation.get("parameters", []) if parameter["in"] == "query"}
    takes = bool(names) or "requestBody" in operation
    wanted = {BY_STATUS[status] for status in (401, 403, 404, 429) if str(status) in operation["responses"]}
    wanted |= (
        {Kind.SUCCESS} | ({Kind.VALIDATION} if takes else set()) | ({Kind.NEXT_PAGE} if "cursor" in names else set())
    )
    if Kind.BROKER_ASKED in seen:
        wanted.add(Kind.BROKER_SILENT)
    return {kind.value for kind in wanted}


def missing(schema: Any, seen: Set[tuple[str, str]]) -> list[str]:
    """Return every operation with the kinds of answer that no test saw of it."""
    found = []
    for path, methods in schema["paths"].items():
        for method, operation in methods.items():
            name = f"{method.upper()} {path}"
            _, never = NEVER.get(name, ("", set()))
            had = {kind for each, kind in seen if each == name} | never
            if lacking := sorted(expected(operation, had) - had):
                found.append(f"{name}: {', '.join(lacking)}")
    return found


def is_whole(config: pytest.Config) -> bool:
    """Say whether this run was to play every test."""
    chosen = ("keyword", "markexpr", "deselect", "ignore", "ignore_glob", "lf", "collectonly")
    everywhere = config.args_source is pytest.Config.ArgsSource.TESTPATHS
    return everywhere and not any(config.getoption(name, None) for name in chosen)


def tap() -> None:
    """Begin to listen to what leaves for the broker."""
    send = HTTPAdapter.send

    def listen_and_send(self: Any, request: requests.PreparedRequest, **options: Any) -> requests.Response:
        if "X-Kite-Version" not in request.headers:
            return send(self, request, **options)
        silent = True
        try:
            response = send(self, request, **options)
            silent = response.status_code >= 500 or response.status_code == 429
        finally:
            INVENTORY.broker(silent=silent)
        return response

    HTTPAdapter.send = listen_and_send  # type: ignore[assignment, method-assign]


class Register:
    """The plugin that gathers what the workers saw and judges a whole run."""

    def __init__(self, schema: Any) -> None:
        self._schema = schema
        self._missing: list[str] = []

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Tell the controller what was seen, or judge what all saw together."""
        told = getattr(session.config, "workeroutput", None)
        if told is not None:
            told[TOLD_BY_A_WORKER] = sorted(INVENTORY.seen)
        elif is_whole(session.config) and not (session.shouldstop or session.shouldfail):
            self._missing = missing(self._schema(), INVENTORY.seen)
            if self._missing:
                session.exitstatus = pytest.ExitCode.TESTS_FAILED

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """Take what a worker saw."""
        INVENTORY.seen |= {(name, kind) for name, kind in getattr(node, "workeroutput", {}).get(TOLD_BY_A_WORKER, [])}

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """Say which answers were never seen."""
        for line in self._missing:
            terminalreporter.write_line(f"never seen of {line}")
