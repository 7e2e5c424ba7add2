"""Secrets of known spelling go through everything the platform does, and are found nowhere."""

import json
import re
import secrets
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from urllib.parse import parse_qs, urljoin, urlsplit

import psycopg
import pytest
import requests
from celery import Celery
from redis import Redis

from kite.checksum import postback_checksum
from tests.journeys.leaks import (
    Canaries,
    Leak,
    Tap,
    environment_of,
    files_of,
    look_into_database,
    look_into_redis,
)
from tests.journeys.platform import ROOT, Platform, eventually, own_environment, start_platform
from tests.proving import Numbers
from ticker_site.redis_urls import broker_url

pytestmark = [pytest.mark.xdist_group("journeys"), pytest.mark.long]

# What must hold secrets: the generated ones, the key ring, the address book of this installation, the exchange's own
# files, and the servers' files, which are looked into through the servers.
KEEPERS_OF_SECRETS = ("secrets", "keys", "env", "sandbox", "postgres", "valkey")
READ_TOKENS = """
import json
from accounts.models import Credential
rows = Credential.objects.filter(access_token__isnull=False)
print(json.dumps([row.access_token.reveal() for row in rows]))
"""
INFY = {
    "exchange": "NSE",
    "tradingsymbol": "INFY",
    "transaction_type": "BUY",
    "quantity": 1,
    "product": "CNC",
    "order_type": "LIMIT",
}


# Where a secret is leaked on purpose, and where it must be found.
PLANTED = {
    "table": "table accounts_accountgroup",
    "bytes of a table": "table planted",
    "redis": "redis planted",
    "log": "log/planted.log",
    "celery message": "what went through Redis",
    "answer": "GET /planted",
    "published": "what went through Redis",
}


class Watch:
    """One platform, every answer it gave, and the secrets known so far."""

    def __init__(self, platform: Platform) -> None:
        self.platform = platform
        self.environment = environment_of(platform.folder)
        self.answers: list[tuple[str, bytes]] = []
        self.secrets = self._first_secrets()
        self.users = json.loads((platform.folder / "sandbox" / "credentials.json").read_text())["users"]
        self.enrol()
        self.key = self.issue_key()
        platform.panel.hooks["response"].append(self._keep)

    def enrol(self) -> None:
        """Sign in; the seed and the recovery codes are shown this once, and are secrets from then on."""
        shown: list[str] = []
        self.platform.panel.hooks["response"].append(lambda answer, *_, **__: shown.append(answer.text))
        self.platform.sign_in()
        self.platform.panel.hooks["response"].clear()
        seed = next(found for text in shown if (found := re.search(r"[A-Z2-7]{4}( [A-Z2-7]{4}){7}", text)))
        self.secrets["seed of the second factor"] = seed.group(0).replace(" ", "")
        self.secrets["seed as it is shown"] = seed.group(0)

    def issue_key(self) -> str:
        """Return a key that may do everything to accounts; it is printed this once."""
        words = ["create_api_key", "admin", "leaks", "--every-account", "--days", "1"]
        for scope in ("accounts:read", "accounts:write", "ops:write", "ops:read", "orders:read", "orders:write"):
            words += ["--scope", scope]
        for scope in ("market:read", "greeks:read"):
            words += ["--scope", scope]
        told = manage(self, *words)
        key = told.stdout.decode().strip()
        self.secrets["key of these tests"] = key.rpartition("_")[2]
        return key

    def _first_secrets(self) -> dict[str, str]:
        folder = self.platform.folder
        users = json.loads((folder / "sandbox" / "credentials.json").read_text())["users"]
        found = {f"{user['user_id']} {name}": user[name] for user in users for name in ("api_secret", "password")}
        found |= {f"generated {path.name}": path.read_text() for path in (folder / "secrets").glob("*[yrd]")}
        ring = json.loads((folder / "keys" / "keyring.json").read_text())
        found |= {f"key {key_id}": key for key_id, key in ring["keys"].items()}
        found["printed API key"] = self.platform.api_key.rpartition("_")[2]
        password = urlsplit(self.environment["DATABASE_URL"]).password
        if password:
            found["database password"] = password
        found.pop("generated installation_id", None)
        return found

    def learn_tokens(self) -> None:
        """Add the access tokens of this moment."""
        told = subprocess.run(
            [sys.executable, "manage.py", "shell", "--no-imports", "-c", READ_TOKENS],
            cwd=ROOT,
            env=self.environment,
            capture_output=True,
            text=True,
            check=True,
        )
        for token in json.loads(told.stdout.splitlines()[-1]):
            self.secrets.setdefault(f"access token {len(self.secrets)}", token)

    def _keep(self, answer: requests.Response, *_: object, **__: object) -> None:
        headers = "\n".join(f"{name}: {value}" for name, value in answer.headers.items())
        self.answers.append((f"{answer.request.method} {answer.request.path_url}", headers.encode() + answer.content))

    def api(self, method: str, path: str, body: object = None, **headers: str) -> requests.Response:
        """Call the API and keep the answer."""
        headers["Authorization"] = f"Bearer {self.key}"
        url = f"{self.platform.url}/api/v1{path}"
        answer = requests.request(method, url, json=body, headers=headers, timeout=20)
        self._keep(answer)
        return answer

    def new_secret(self, name: str) -> str:
        """Return a fresh canary."""
        return self.secrets.setdefault(name, f"canary{secrets.token_hex(16)}")

    def leaks(self, canaries: Canaries, *, tapped: Path | None = None) -> list[Leak]:
        """Return everything found now."""
        folder = self.platform.folder
        found = [leak for place, data in self.answers for leak in canaries.look(place, data)]
        for path in files_of(folder, leaving_out=KEEPERS_OF_SECRETS):
            if path.name == "screen.log":
                found += canaries.look("screen", screen_after_welcome(path))
            else:
                found += canaries.look_into_file(path, place=str(path.relative_to(folder)))
        found += look_into_database(self.environment["DATABASE_URL"], canaries)
        client = Redis.from_url(self.environment["REDIS_URL"])
        found += look_into_redis(client, canaries)
        client.close()
        if tapped is not None:
            found += canaries.look_into_file(tapped, place="what went through Redis")
        return sorted(set(found))


def screen_after_welcome(path: Path) -> bytes:
    """Return the screen without the welcome, which prints password and key for the person who started it."""
    _, mark, rest = path.read_bytes().partition(b"Ready after")
    assert mark, "the screen has no welcome"
    return rest


@pytest.fixture(scope="module")
def watch() -> Iterator[Watch]:
    """Return a platform of this module's own: its log is at the loudest level, its screen is kept."""
    folder = Path(tempfile.mkdtemp(prefix="ticker-leaks-"))
    platform = start_platform(folder=folder, environment={**own_environment(), "LOG_LEVEL": "DEBUG"})
    try:
        found = Watch(platform)
        eventually(platform.settled, within=90.0, what="the first full minute")
        yield found
    finally:
        platform.stop()
        shutil.rmtree(folder, ignore_errors=True)


def log_in_at_the_broker(watch: Watch, label: str, *, answer: str = "success") -> requests.Response:
    """Walk from the Desk through the broker's page and back, as a person would."""
    user = next(user for user in watch.users if user["user_id"] == label.upper())
    panel = watch.platform.panel
    away = panel.get(f"{watch.platform.url}/accounts/kite/login/{label}/", allow_redirects=False, timeout=10)
    page = away.headers["Location"]
    form = {"user_id": user["user_id"], "password": user["password"]}
    back = requests.post(page, data=form, allow_redirects=False, timeout=10).headers["Location"]
    token = parse_qs(urlsplit(back).query)["request_token"][0]
    watch.secrets[f"request token {len(watch.secrets)}"] = token
    return panel.get(urljoin(watch.platform.url, back.replace("status=success", f"status={answer}")), timeout=20)


@pytest.mark.proof(id="R20")
def test_no_secret_is_found_anywhere_after_everything_was_done(watch: Watch, tmp_path: Path, numbers: Numbers) -> None:
    tap = Tap(url=watch.environment["REDIS_URL"], path=tmp_path / "tap")
    tap.start()
    watch.learn_tokens()

    do_logins(watch)
    do_orders(watch)
    do_rotations(watch)
    do_failures(watch)
    do_pages(watch)
    do_endings(watch)

    watch.learn_tokens()
    tap.stop()
    assert tap.path.stat().st_size > 100_000, "the tap heard next to nothing"
    assert len(watch.secrets) > 20
    leaks = watch.leaks(Canaries(watch.secrets), tapped=tap.path)
    numbers.most("secrets looked for", len(watch.secrets))
    numbers.add("leaks", len(leaks))
    assert leaks == []


def do_logins(watch: Watch) -> None:
    """Log in, with success and with every kind of failure, and take a token away in the middle of the day."""
    assert "logged in until" in log_in_at_the_broker(watch, "sbx002").text
    log_in_at_the_broker(watch, "sbx002", answer="cancelled")
    panel, url = watch.platform.panel, watch.platform.url
    token = watch.new_secret("request token of a forged callback")
    panel.get(f"{url}/accounts/kite/callback?status=success&request_token={token}&account=forged", timeout=10)
    away = panel.get(f"{url}/accounts/kite/login/sbx003/", allow_redirects=False, timeout=10).headers["Location"]
    state = parse_qs(parse_qs(urlsplit(away).query)["redirect_params"][0])["account"][0]
    wrong = watch.new_secret("request token nobody issued")
    panel.get(
        f"{url}/accounts/kite/callback",
        params={"status": "success", "request_token": wrong, "account": state},
        timeout=20,
    )
    watch.platform.exchange("POST", "/faults", {"kind": "token_killed", "user": "SBX002"})
    eventually(lambda: not live(watch, "sbx002"), within=30.0, what="the end of the killed session")
    watch.api("POST", "/accounts/sbx002/probe")
    assert "logged in until" in log_in_at_the_broker(watch, "sbx002").text


def live(watch: Watch, label: str) -> bool:
    return bool(watch.api("GET", f"/accounts/{label}").json()["login"]["live"])


def do_orders(watch: Watch) -> None:
    """Place, change, cancel and fail."""
    price = watch.platform.exchange("GET", "/book", i="NSE:INFY")["last_price"]
    for number, label in enumerate(("sbx001", "sbx002")):
        order = {"account": label, **INFY, "price": round(price * 0.97, 1)}
        placed = watch.api("POST", "/orders", order, **{"Idempotency-Key": f"leaks-{number}"}).json()
        eventually(partial(at_broker, watch, placed["id"]), within=20.0, what="the order at the broker")
        watch.api(
            "PATCH", f"/orders/{placed['id']}", {"price": round(price * 0.96, 1)}, **{"Idempotency-Key": "change"}
        )
        watch.api("DELETE", f"/orders/{placed['id']}", **{"Idempotency-Key": f"end-{number}"})
    watch.api("POST", "/orders", {"account": "sbx001", "nonsense": watch.new_secret("a secret in a wrong body")})
    watch.platform.exchange("POST", "/faults", {"kind": "lost_answer", "user": "SBX001", "count": 1})
    order = {"account": "sbx001", **INFY, "price": round(price * 0.97, 1)}
    lost = watch.api("POST", "/orders", order, **{"Idempotency-Key": "leaks-lost"}).json()
    eventually(partial(at_broker, watch, lost["id"]), within=30.0, what="the order whose answer was lost")


def at_broker(watch: Watch, order_id: str) -> bool:
    return bool(watch.api("GET", f"/orders/{order_id}").json().get("order_id"))


def confirm(watch: Watch) -> None:
    """Prove once more who is there: dangerous deeds ask for it every five minutes."""
    password = (watch.platform.folder / "secrets" / "admin_password").read_text()
    watch.platform.post_form("/admin/confirm/", password=password, code="")


def do_rotations(watch: Watch) -> None:
    """Rotate the credential in every way and with every mistake, and then the encryption key."""
    confirm(watch)
    user = next(user for user in watch.users if user["user_id"] == "SBX003")
    secret = watch.new_secret("rotated secret")
    body = {"api_key": user["api_key"], "api_secret": secret, "reason": "canary"}
    watch.api("POST", "/accounts/sbx003/credentials", body)
    watch.api("POST", "/accounts/sbx003/credentials", {**body, "reason": ""})
    watch.api("POST", "/accounts/sbx003/credentials", {**body, "api_secret": secret * 20})
    watch.api("POST", "/accounts/nobody/credentials", body)
    path = watch.platform.desk()["accounts"]["sbx003"]["rotate_url"]
    watch.platform.post_form(path, api_key=user["api_key"], api_secret=secret, reason="")
    watch.platform.post_form(path, api_key=user["api_key"], api_secret=user["api_secret"], reason="canary")
    manage_and_keep(watch, "rotate_encryption_key")
    manage_and_keep(watch, "verify_audit")
    manage_and_keep(watch, "doctor")
    ring = json.loads((watch.platform.folder / "keys" / "keyring.json").read_text())
    watch.secrets |= {f"key {key_id}": key for key_id, key in ring["keys"].items()}


def do_failures(watch: Watch) -> None:
    """Have the broker fail in each of its ways, and be lied to by strangers."""
    for kind in ("http_5xx", "http_429", "http_403", "truncated_json", "no_content_type", "null_data", "socket_drop"):
        watch.platform.exchange("POST", "/faults", {"kind": kind, "user": "SBX002", "duration": 1})
        watch.api("POST", "/accounts/sbx002/probe")
    watch.platform.exchange("DELETE", "/faults")
    user = next(user for user in watch.users if user["user_id"] == "SBX001")
    news = {"order_id": "1", "order_timestamp": "2026-11-24 10:00:00", "status": "COMPLETE"}
    signed = postback_checksum(order_id="1", order_timestamp=news["order_timestamp"], api_secret=user["api_secret"])
    for checksum in (signed, watch.new_secret("a wrong checksum")):
        answer = requests.post(
            f"{watch.platform.url}/api/v1/postbacks/kite/sbx001", json={**news, "checksum": checksum}, timeout=10
        )
        watch.answers.append(("postback", answer.content))
    forged = watch.new_secret("a stranger's key")
    for header in (f"Bearer tkr_live_abcdefgh_{forged}", f"Basic {forged}"):
        answer = requests.get(f"{watch.platform.url}/api/v1/me", headers={"Authorization": header}, timeout=10)
        watch.answers.append(("GET /api/v1/me", answer.content))
    stranger = requests.Session()
    stranger.get(f"{watch.platform.url}/admin/login/", timeout=10)
    form = {"username": "admin", "password": watch.new_secret("a wrong password")}
    form["csrfmiddlewaretoken"] = str(stranger.cookies.get("csrftoken", ""))
    refused = stranger.post(
        f"{watch.platform.url}/admin/login/", data=form, headers={"Referer": watch.platform.url}, timeout=10
    )
    watch.answers.append(("POST /admin/login/", refused.content))


def do_pages(watch: Watch) -> None:
    """Read every page and every list."""
    desk = watch.platform.panel.get(f"{watch.platform.url}/admin/", timeout=20).text
    links = sorted({part.split('"')[0] for part in desk.split('href="')[1:] if part.startswith("/admin/")})
    assert len(links) > 8
    for link in links:
        if "logout" not in link:
            watch.platform.panel.get(f"{watch.platform.url}{link}", timeout=20)
    for path in (
        "/accounts",
        "/accounts/sbx001",
        "/accounts/sbx001/history",
        "/accounts/stats",
        "/accounts/sbx001/addresses",
        "/me",
        "/orders",
        "/schema",
        "/positions",
        "/trades",
        "/stats",
        "/profiles",
    ):
        watch.api("GET", path)
    for path in ("/metrics", "/healthz", "/readyz", "/admin/desk/state"):
        watch.platform.panel.get(f"{watch.platform.url}{path}", timeout=10)


def do_endings(watch: Watch) -> None:
    """Log out and revoke, with a broker that answers and with one that does not."""
    confirm(watch)
    desk = watch.platform.desk()["accounts"]
    page = re.sub(r"/rotate/?$", "", desk["sbx003"]["rotate_url"])
    watch.learn_tokens()
    watch.platform.post_form(f"{page}/log-out", reason="canary")
    watch.platform.post_form(f"{page}/revoke", reason="canary")
    watch.platform.exchange("POST", "/faults", {"kind": "lost_answer", "user": "SBX002", "count": 1})
    page = re.sub(r"/rotate/?$", "", desk["sbx002"]["rotate_url"])
    watch.platform.post_form(f"{page}/revoke", reason="canary")
    eventually(lambda: not live(watch, "sbx002"), within=30.0, what="the revocation")


def manage(watch: Watch, *words: str, check: bool = True) -> "subprocess.CompletedProcess[bytes]":
    """Run a command of the platform."""
    command = [sys.executable, "manage.py", *words]
    return subprocess.run(command, cwd=ROOT, env=watch.environment, capture_output=True, check=check)


def manage_and_keep(watch: Watch, *words: str) -> None:
    """Run a command whose words must hold no secret, whatever it finds."""
    told = manage(watch, *words, check=False)
    watch.answers.append((f"manage.py {words[0]}", told.stdout + told.stderr))


@pytest.mark.proof(id="R20")
def test_every_planted_secret_is_found_where_it_was_planted(watch: Watch, tmp_path: Path, numbers: Numbers) -> None:
    planted = {place: f"planted{secrets.token_hex(12)}" for place in PLANTED}
    client = Redis.from_url(watch.environment["REDIS_URL"])
    tap = Tap(url=watch.environment["REDIS_URL"], path=tmp_path / "tap")
    tap.start()

    for place, secret in planted.items():
        plant(watch, client, place, secret)
    tap.stop()
    try:
        found = {(leak.secret, leak.place) for leak in watch.leaks(Canaries(planted), tapped=tap.path)}
    finally:
        (watch.platform.folder / "log" / "planted.log").unlink(missing_ok=True)
        client.delete("planted", "planted-queue")
        client.close()

    missed = PLANTED.items() - found
    numbers.add("planted and found", len(PLANTED) - len(missed))
    assert missed == set()


def plant(watch: Watch, client: "Redis", place: str, secret: str) -> None:
    """Leak a secret on purpose."""
    if place == "redis":
        client.hset("planted", "field", f"x{secret}y")
    elif place == "published":
        client.publish("planted", secret)
    elif place == "log":
        (watch.platform.folder / "log" / "planted.log").write_text(f"token={secret}\n")
    elif place == "answer":
        watch.answers.append(("GET /planted", secret.encode()))
    elif place == "celery message":
        app = Celery(broker=broker_url(watch.environment["REDIS_URL"]))
        app.send_task("nobody.listens", args=[secret], queue="planted-queue")
    else:
        with psycopg.connect(watch.environment["DATABASE_URL"], autocommit=True) as link:
            if place == "table":
                link.execute("INSERT INTO accounts_accountgroup (name) VALUES (%s)", [f"family {secret}"])
            else:
                link.execute("CREATE TABLE IF NOT EXISTS planted (content bytea)")
                link.execute("INSERT INTO planted VALUES (%s)", [b"\x01" + secret.encode()])
