"""Start the sandbox exchange as a separate program and drive it over its wire: for tests of everything else."""

import hashlib
import json
import selectors
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests

ROOT = Path(__file__).resolve().parent.parent
READY = "sandbox ready "
START_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class SandboxUser:
    """One user of the exchange with the keys of his app."""

    user_id: str
    user_name: str
    api_key: str
    api_secret: str
    password: str
    totp_secret: str = ""


class SandboxServer:
    """A running exchange. `stop()` ends it; `with SandboxServer(...)` does both."""

    def __init__(self, *arguments: str, folder: Path | None = None) -> None:
        self._own_folder = None if folder else tempfile.TemporaryDirectory(prefix="sandbox-")
        self.folder = folder or Path(self._own_folder.name if self._own_folder else "")
        self.credentials_file = self.folder / "credentials.json"
        command = [sys.executable, "-m", "sandbox", "--port", "0", "--tied"]
        command += ["--credentials-file", str(self.credentials_file)]
        self._errors = (self.folder / "sandbox.err").open("ab")
        self.process = subprocess.Popen(
            [*command, *arguments], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors
        )
        try:
            self._wait_until_ready()
        except BaseException:
            self.stop()
            raise
        document = json.loads(self.credentials_file.read_text())
        self.rest_root: str = document["rest_root"]
        self.ws_root: str = document["ws_root"]
        self.login_url: str = document["login_url"]
        self.control_url: str = document["control_url"]
        self.control_key: str = document["control_key"]
        self.users = [SandboxUser(**row) for row in document["users"]]
        self._control = requests.Session()
        self._control.headers["X-Control-Key"] = self.control_key

    def __enter__(self) -> "SandboxServer":
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _wait_until_ready(self) -> None:
        assert self.process.stdout is not None
        with selectors.DefaultSelector() as selector:
            selector.register(self.process.stdout, selectors.EVENT_READ)
            answered = selector.select(START_SECONDS)
        line = self.process.stdout.readline().decode() if answered else ""
        if not line.startswith(READY):
            errors = (self.folder / "sandbox.err").read_text()
            raise RuntimeError(f"the sandbox did not start: {line!r} {errors[-2000:]}")

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(5)
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()
        self._errors.close()
        if self._own_folder is not None:
            self._own_folder.cleanup()

    def errors(self) -> str:
        """Return what the exchange wrote to its standard error."""
        return (self.folder / "sandbox.err").read_text()

    def control(self, method: str, path: str, body: object = None, **query: object) -> Any:
        """Call the control API and return its data; an error answer raises with its text."""
        params = {name: str(value) for name, value in query.items()}
        answer = self._control.request(method, self.control_url + path, json=body, params=params, timeout=10)
        document = answer.json()
        if answer.status_code != 200:
            raise RuntimeError(f"{method} {path}: {document.get('message')}")
        return document["data"]

    def state(self) -> Any:
        return self.control("GET", "/state")

    def user(self, user: "SandboxUser | str | int" = 0) -> SandboxUser:
        """Return a user by position or id."""
        if isinstance(user, SandboxUser):
            return user
        if isinstance(user, int):
            return self.users[user]
        return next(one for one in self.users if one.user_id == user)

    def login_redirect(self, user: "SandboxUser | str | int" = 0, **query: str) -> str:
        """Fill in the login page as a browser does and return where it redirects to."""
        who = self.user(user)
        params = {"v": "3", "api_key": who.api_key, **query}
        form = {"user_id": who.user_id, "password": who.password}
        answer = requests.post(self.login_url, params=params, data=form, allow_redirects=False, timeout=10)
        if answer.status_code != 302:
            raise RuntimeError(f"login answered {answer.status_code}: {answer.text[-500:]}")
        return answer.headers["Location"]

    def login(self, user: "SandboxUser | str | int" = 0, **query: str) -> str:
        """Log in on the page and return the request_token."""
        return parse_qs(urlsplit(self.login_redirect(user, **query)).query)["request_token"][0]

    def session(self, user: "SandboxUser | str | int" = 0) -> str:
        """Log in and exchange the request_token: return an access_token."""
        who = self.user(user)
        request_token = self.login(who)
        checksum = hashlib.sha256(f"{who.api_key}{request_token}{who.api_secret}".encode()).hexdigest()
        form = {"api_key": who.api_key, "request_token": request_token, "checksum": checksum}
        answer = requests.post(f"{self.rest_root}/session/token", data=form, timeout=10)
        return str(answer.json()["data"]["access_token"])

    def ws_url(self, user: "SandboxUser | str | int", access_token: str) -> str:
        return f"{self.ws_root}/?api_key={self.user(user).api_key}&access_token={access_token}"

    def headers(self, user: "SandboxUser | str | int", access_token: str) -> dict[str, str]:
        """Return the headers of a signed REST call."""
        return {"X-Kite-Version": "3", "Authorization": f"token {self.user(user).api_key}:{access_token}"}

    def fault(self, kind: str, **options: object) -> Any:
        """Start a fault: user, route, count, probability, duration, after and the kind's own options."""
        return self.control("POST", "/faults", {"kind": kind, **options})

    def faults(self) -> Any:
        return self.control("GET", "/faults")

    def clear_faults(self) -> None:
        self.control("DELETE", "/faults")

    def journal(self, *, since: int = 0, **wanted: object) -> list[dict[str, Any]]:
        """Return journal entries after number `since` whose fields equal `wanted` (tag, route, user_id, verdict…)."""
        rows: list[dict[str, Any]] = self.control("GET", "/journal", since=since, **wanted)
        return rows

    def journal_end(self) -> int:
        """Return the number of the newest entry: the `since` of what comes next."""
        return int(self.state()["journal"])

    def placed(self, *, tag: str | None = None, since: int = 0) -> list[str]:
        """Return the ids of the orders that the exchange accepted, whatever we heard of it."""
        wanted = {"route": "order.place", "verdict": "accepted", **({"tag": tag} if tag else {})}
        return [order_id for row in self.journal(since=since, **wanted) for order_id in row["order_ids"]]

    def settings(self, **changes: object) -> Any:
        """Change settings of the running exchange, e.g. limits=False; return all of them."""
        return self.control("POST", "/settings", changes)

    def clock(self, **changes: object) -> Any:
        """Obey jump="15:12", speed=10, pause=True; return the clock."""
        return self.control("POST", "/clock", changes)

    def step(self, count: int = 1) -> Any:
        """Tick now, `count` times."""
        return self.control("POST", "/step", {"count": count})

    def move(self, instrument: str, price: float) -> Any:
        """Move the market of an instrument (EXCHANGE:SYMBOL) to a price."""
        return self.control("POST", "/price", {"instrument": instrument, "price": price})

    def book(self, instrument: str) -> Any:
        """Return the quote of an instrument without a session and without a limit."""
        return self.control("GET", "/book", i=instrument)


def wait_for(condition: Callable[[], Any], *, seconds: float = 20.0, every: float = 0.02) -> Any:
    """Return the first true value of `condition`; fail when it stays false."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"not true within {seconds} s: {condition}")
        time.sleep(every)


@pytest.fixture(scope="session")
def sandbox_server() -> Iterator[SandboxServer]:
    """Return the exchange that all tests of this process share."""
    with SandboxServer() as server:
        yield server


@pytest.fixture
def sandbox(sandbox_server: SandboxServer) -> Iterator[SandboxServer]:
    """Return the shared exchange with no fault, its first settings and a running clock."""
    before = sandbox_server.control("GET", "/settings")
    sandbox_server.clear_faults()
    yield sandbox_server
    sandbox_server.clear_faults()
    sandbox_server.settings(**before)
    if sandbox_server.state()["clock"]["paused"]:
        sandbox_server.clock(pause=False)
