"""The whole platform as a stranger meets it: started by its supervisor, known by the lines it prints."""

import base64
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import requests
from django_otp.oath import hotp
from websockets.sync.client import ClientConnection, connect

ROOT = Path(__file__).resolve().parents[2]
START_SECONDS = 300.0
Found = TypeVar("Found")


SECOND_PERSON = """
from datetime import UTC, datetime
from accounts import approvals
from accounts.models import User
from accounts.queries import open_approvals, principal_of
person, _ = User.objects.get_or_create(username="second", defaults={"role": "administrator", "every_account": True})
now = datetime.now(UTC)
for asked in open_approvals(now=now).filter(approved_at=None):
    approvals.approve(approval_id=asked.pk, by=principal_of(person), now=now)
"""


def eventually(look: Callable[[], Found | None], *, within: float, what: str) -> Found:
    """Return the first true answer of `look`; fail when none came in time."""
    deadline = time.monotonic() + within
    while True:
        found = look()
        if found:
            return found
        assert time.monotonic() < deadline, f"{what} did not happen within {within} s"
        time.sleep(0.05)


@dataclass
class Platform:
    """A running platform and what its screen said."""

    process: subprocess.Popen[str]
    folder: Path
    screen: str = ""
    panel: requests.Session = field(default_factory=requests.Session)
    # The secret of the person's second factor, as it was shown.
    seed: str = ""

    @property
    def url(self) -> str:
        """Where it serves."""
        return re.search(r"^  Panel\s+(http://[^/]+)", self.screen, re.MULTILINE).group(1)  # type: ignore[union-attr]

    @property
    def api_key(self) -> str:
        """The key on the screen."""
        return re.search(r"^  API key\s+(\S+)", self.screen, re.MULTILINE).group(1)  # type: ignore[union-attr]

    @property
    def order_command(self) -> str:
        """The curl on the screen."""
        return re.search(r"^(curl .*?)$\n\n", self.screen, re.MULTILINE | re.DOTALL).group(1)  # type: ignore[union-attr]

    @property
    def stream_command(self) -> str:
        """The WebSocket client on the screen."""
        return re.search(r"^(\S*python -c .*)$", self.screen, re.MULTILINE).group(1)  # type: ignore[union-attr]

    def sign_in(self) -> None:
        """Sign in at the panel with what the screen said."""
        user, password = re.search(r"^  Sign in\s+(\S+) / (\S+)", self.screen, re.MULTILINE).groups()  # type: ignore[union-attr]
        self.panel.get(f"{self.url}/admin/login/", timeout=10)
        answer = self.post_form("/admin/login/?next=/admin/desk/", username=user, password=password)
        assert "/admin/second-factor/" in answer.url, "the printed password was refused"
        self.seed = re.search(r"([A-Z2-7]{4}( [A-Z2-7]{4}){7})", answer.text).group(1)  # type: ignore[union-attr]
        code = f"{hotp(base64.b32decode(self.seed.replace(' ', '')), int(time.time()) // 30, 6):06}"
        answer = self.post_form("/admin/second-factor/?next=/admin/desk/", code=code)
        assert "Recovery codes" in answer.text, "the app's first code was refused"

    def post_form(self, path: str, **form: str) -> requests.Response:
        """Send a form of the panel as a browser would."""
        form["csrfmiddlewaretoken"] = self.panel.cookies["csrftoken"]
        return self.panel.post(f"{self.url}{path}", data=form, headers={"Referer": self.url}, timeout=20)

    def api(self, method: str, path: str, body: object = None, **headers: str) -> requests.Response:
        """Call the API with the printed key."""
        headers["Authorization"] = f"Bearer {self.api_key}"
        return requests.request(method, f"{self.url}/api/v1{path}", json=body, headers=headers, timeout=20)

    def desk(self) -> dict[str, Any]:
        """Return what the Desk shows."""
        answer = self.panel.get(f"{self.url}/admin/desk/state", timeout=10)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def settled(self) -> dict[str, Any] | None:
        """Return what the Desk shows once everything wanted is streamed and every chain is priced."""
        desk = self.desk()
        streaming = desk["feed"]["wanted"] > 0 and desk["feed"]["live"] == desk["feed"]["wanted"]
        priced = desk["greeks"]["chains"] and all(chain["solved"] for chain in desk["greeks"]["chains"])
        reported = all("feed" in row for row in desk["accounts"].values() if row["state"] == "active")
        return desk if streaming and priced and reported else None

    def socket(self, route: str) -> ClientConnection:
        """Open a socket of the platform as a program."""
        return connect(
            f"ws{self.url.removeprefix('http')}{route}",
            additional_headers={"Authorization": f"Bearer {self.api_key}"},
            max_size=None,
        )

    def exchange(self, method: str, path: str, body: object = None, **query: str) -> Any:
        """Call the control API of the sandbox."""
        known = json.loads((self.folder / "sandbox" / "credentials.json").read_text())
        answer = requests.request(
            method,
            known["control_url"] + path,
            json=body,
            params=query,
            headers={"X-Control-Key": known["control_key"]},
            timeout=10,
        )
        assert answer.status_code == 200, answer.text
        return answer.json()["data"]

    def approve_everything(self) -> None:
        """Be the second person, who has no browser here and approves all that was asked for."""
        subprocess.run(
            [sys.executable, "manage.py", "shell", "--no-imports", "-c", SECOND_PERSON],
            cwd=ROOT,
            env={**own_environment(), "TICKER_DATA_DIR": str(self.folder)},
            check=True,
            timeout=60,
        )

    def new_key(self, *scopes: str) -> str:
        """Issue the administrator a key that may do more than the printed one, as an operator does."""
        words = [word for scope in scopes for word in ("--scope", scope)]
        user = re.search(r"^  Sign in\s+(\S+) /", self.screen, re.MULTILINE).group(1)  # type: ignore[union-attr]
        done = subprocess.run(
            [sys.executable, "manage.py", "create_api_key", user, "journey", *words, "--every-account"],
            cwd=ROOT,
            env={**own_environment(), "TICKER_DATA_DIR": str(self.folder)},
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )
        return done.stdout.strip()

    def sandbox_users(self) -> list[dict[str, str]]:
        """Return the users of the exchange and what they sign in with."""
        users: list[dict[str, str]] = json.loads((self.folder / "sandbox" / "credentials.json").read_text())["users"]
        return users

    def stop(self) -> int:
        """Press Ctrl-C and return the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        return self.process.wait(40)


def start_platform(*, folder: Path, environment: Mapping[str, str]) -> Platform:
    """Start the supervisor and wait for the end of its screen."""
    process = subprocess.Popen(
        [sys.executable, "-m", "ops.stack.up", "--sandbox-port", str(random.randrange(21_000, 29_000))],
        cwd=ROOT,
        env={**environment, "TICKER_DATA_DIR": str(folder)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    platform = Platform(process=process, folder=folder)
    log = (folder / "screen.log").open("w")
    deadline = time.monotonic() + START_SECONDS
    assert process.stdout is not None
    for line in process.stdout:
        platform.screen += line
        log.write(line)
        if line.startswith("Ready after"):
            break
        assert time.monotonic() < deadline, platform.screen[-4000:]
    assert "Ready after" in platform.screen, platform.screen[-4000:]
    subprocess.Popen(["cat"], stdin=process.stdout, stdout=log)  # keeps the pipe empty for as long as it lives
    return platform


def own_environment() -> dict[str, str]:
    """Return this environment without what the tests set for themselves."""
    theirs = {
        "DATABASE_URL",
        "REDIS_URL",
        "SECRET_KEY",
        "API_KEY_PEPPER",
        "VAULT_KEY_FILE",
        "PUBLIC_URL",
        "ALLOWED_HOSTS",
    }
    return {name: value for name, value in os.environ.items() if name not in theirs and not name.startswith("PYTEST")}


def running_platform() -> Iterator[Platform]:
    """Yield a platform in a folder of its own and end it afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="ticker-journey-"))
    platform = start_platform(folder=folder, environment=own_environment())
    try:
        platform.sign_in()
        eventually(platform.settled, within=180.0, what="the first full minute")
        yield platform
    finally:
        platform.stop()
        shutil.rmtree(folder, ignore_errors=True)
