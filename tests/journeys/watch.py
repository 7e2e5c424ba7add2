"""A platform whose secrets are known, every answer it gave, and the deeds that secrets go through."""

import json
import re
import subprocess
import sys
from base64 import b64encode
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urljoin, urlsplit
from uuid import uuid4

import requests
from redis import Redis

from kite.checksum import postback_checksum
from sandbox.accounts import MARK
from tests.canaries import canary
from tests.journeys.leaks import (
    Canaries,
    Leak,
    environment_of,
    files_of,
    look_into_database,
    look_into_redis,
    secret_of,
)
from tests.journeys.platform import ROOT, Platform, eventually

# What must hold secrets: the generated ones, the key ring, the address book of this installation, the exchange's own
# files, and the servers' files, which are looked into through the servers.
KEEPERS_OF_SECRETS = ("secrets", "keys", "env", "sandbox", "postgres", "valkey")
READ_TOKENS = """
import json
from accounts.models import Credential
rows = Credential.objects.filter(access_token__isnull=False)
print(json.dumps([row.access_token.reveal() for row in rows]))
"""
SCOPES = "accounts:read accounts:write ops:read ops:write orders:read orders:write market:read greeks:read"
INFY = {
    "exchange": "NSE",
    "tradingsymbol": "INFY",
    "transaction_type": "BUY",
    "quantity": 1,
    "product": "CNC",
    "order_type": "LIMIT",
}
FAULTS = ("http_5xx", "http_429", "http_403", "truncated_json", "no_content_type", "null_data", "socket_drop")
DEAF_RECEIVER = "https://127.0.0.1:9/nobody"


class Watch:
    """One platform somebody has signed in to, every answer it gave, and the secrets known so far."""

    def __init__(self, platform: Platform) -> None:
        self.platform = platform
        self.environment = environment_of(platform.folder)
        self.answers: list[tuple[str, bytes]] = []
        self.secrets = {"any secret of the exchange": MARK, **self._first_secrets()}
        self.key = self._issue_key()
        platform.panel.hooks["response"].append(self.keep)

    def user(self, label: str) -> dict[str, str]:
        """Return what the owner of an account signs in with."""
        return next(user for user in self.platform.sandbox_users() if user["user_id"] == label.upper())

    def new_secret(self, name: str) -> str:
        """Return a fresh canary."""
        return self.secrets.setdefault(name, canary(uuid4().int % 10**24))

    def learn_tokens(self) -> None:
        """Add the access tokens of this moment."""
        told = manage(self, "shell", "--no-imports", "-c", READ_TOKENS)
        for token in json.loads(told.stdout.splitlines()[-1]):
            self.secrets.setdefault(f"access token {len(self.secrets)}", token)

    def keep(self, answer: requests.Response, *_: object, **__: object) -> None:
        """Keep an answer to be looked into; a redirection came without a body, and its headers count."""
        headers = "\n".join(f"{name}: {value}" for name, value in answer.headers.items())
        self.answers.append((f"{answer.request.method} {answer.request.path_url}", headers.encode() + answer.content))

    def api(self, method: str, path: str, body: object = None, **headers: str) -> requests.Response:
        """Call the API and keep the answer."""
        headers.setdefault("Authorization", f"Bearer {self.key}")
        headers.setdefault("Idempotency-Key", str(uuid4()))
        url = f"{self.platform.url}/api/v1{path}"
        answer = requests.request(method, url, json=body, headers=headers, timeout=20)
        self.keep(answer)
        return answer

    def leaks(self, canaries: Canaries, *, tapped: Path) -> list[Leak]:
        """Return everything found now."""
        folder = self.platform.folder
        found = [leak for place, data in self.answers for leak in canaries.look(place, data)]
        for path in files_of(folder, leaving_out=KEEPERS_OF_SECRETS):
            if path.name == "screen.log":
                found += canaries.look("screen", screen_after_welcome(path))
            else:
                found += canaries.look_into_file(path, place=str(path.relative_to(folder)))
        found += look_into_database(self.environment["DATABASE_URL"], canaries)
        with Redis.from_url(self.environment["REDIS_URL"]) as client:
            found += look_into_redis(client, canaries)
        found += canaries.look_into_file(tapped, place="what went through Redis")
        return sorted(set(found))

    def _first_secrets(self) -> dict[str, str]:
        folder = self.platform.folder
        users = self.platform.sandbox_users()
        found = {f"{user['user_id']} {name}": user[name] for user in users for name in ("api_secret", "password")}
        found |= {f"generated {path.name}": path.read_text() for path in (folder / "secrets").glob("*[yrd]")}
        found |= keys_of(folder)
        found["printed API key"] = secret_of(self.platform.api_key)
        found["seed of the second factor"] = self.platform.seed.replace(" ", "")
        found["seed as it is shown"] = self.platform.seed
        password = urlsplit(self.environment["DATABASE_URL"]).password
        if password:
            found["database password"] = password
        return found

    def _issue_key(self) -> str:
        words = [word for scope in SCOPES.split() for word in ("--scope", scope)]
        told = manage(self, "create_api_key", "admin", "leaks", "--every-account", "--days", "1", *words)
        key = told.stdout.decode().strip()
        self.secrets["key of these tests"] = secret_of(key)
        return key


def keys_of(folder: Path) -> dict[str, str]:
    """Return the keys of the ring."""
    ring = json.loads((folder / "keys" / "keyring.json").read_text())
    return {f"key {key_id}": key for key_id, key in ring["keys"].items()}


def screen_after_welcome(path: Path) -> bytes:
    """Return the screen without the welcome, which prints password and key for the person who started it."""
    _, mark, rest = path.read_bytes().partition(b"Ready after")
    assert mark, "the screen has no welcome"
    return rest


def log_in_at_the_broker(watch: Watch, label: str, *, answer: str = "success") -> requests.Response:
    """Walk from the Desk through the broker's page and back, as a person would."""
    user, panel, url = watch.user(label), watch.platform.panel, watch.platform.url
    away = panel.get(f"{url}/accounts/kite/login/{label}/", allow_redirects=False, timeout=10)
    form = {"user_id": user["user_id"], "password": user["password"]}
    back = requests.post(away.headers["Location"], data=form, allow_redirects=False, timeout=10).headers["Location"]
    # A stranger is sent to sign in, and the token not with him.
    watch.keep(requests.get(urljoin(url, back), allow_redirects=False, timeout=20))
    return panel.get(urljoin(url, back.replace("status=success", f"status={answer}")), timeout=20)


def live(watch: Watch, label: str) -> bool:
    """Say whether the account is logged in."""
    return bool(watch.api("GET", f"/accounts/{label}").json()["login"]["live"])


def confirm(watch: Watch) -> None:
    """Prove once more who is there: dangerous deeds ask for it every five minutes."""
    password = (watch.platform.folder / "secrets" / "admin_password").read_text()
    watch.platform.post_form("/admin/confirm/", password=password, code="")


def manage(watch: Watch, *words: str, check: bool = True) -> "subprocess.CompletedProcess[bytes]":
    """Run a command of the platform."""
    command = [sys.executable, "manage.py", *words]
    return subprocess.run(command, cwd=ROOT, env=watch.environment, capture_output=True, check=check)


def manage_and_keep(watch: Watch, *words: str) -> None:
    """Run a command whose words must hold no secret, whatever it finds."""
    told = manage(watch, *words, check=False)
    watch.answers.append((f"manage.py {words[0]}", told.stdout + told.stderr))


def do_logins(watch: Watch) -> None:
    """Log in, with success and with every kind of failure, and take a token away in the middle of the day."""
    assert "logged in until" in log_in_at_the_broker(watch, "sbx002").text
    log_in_at_the_broker(watch, "sbx002", answer="cancelled")
    panel, url = watch.platform.panel, watch.platform.url
    callback = f"{url}/accounts/kite/callback"
    forged = {"status": "success", "request_token": watch.new_secret("of a forged callback"), "account": "forged"}
    panel.get(callback, params=forged, timeout=10)
    panel.post(callback, params=forged, headers={"Referer": url}, timeout=10)
    away = panel.get(f"{url}/accounts/kite/login/sbx003/", allow_redirects=False, timeout=10).headers["Location"]
    state = parse_qs(parse_qs(urlsplit(away).query)["redirect_params"][0])["account"][0]
    wrong = {"status": "success", "request_token": watch.new_secret("that nobody issued"), "account": state}
    panel.get(callback, params=wrong, timeout=20)
    watch.api("POST", "/accounts/sbx003/login", {"request_token": watch.new_secret("of a program")})
    watch.platform.exchange("POST", "/faults", {"kind": "token_killed", "user": "SBX002"})
    eventually(lambda: not live(watch, "sbx002"), within=60.0, what="the end of the killed session")
    watch.api("POST", "/accounts/sbx002/probe")
    assert "logged in until" in log_in_at_the_broker(watch, "sbx002").text


def do_order(watch: Watch, label: str) -> None:
    """Place an order far from the market, change it and take it back."""
    price = watch.platform.exchange("GET", "/book", i="NSE:INFY")["last_price"]
    placed = watch.api("POST", "/orders", {"account": label, **INFY, "price": round(price * 0.97, 1)}).json()
    eventually(partial(_at_broker, watch, placed["id"]), within=60.0, what="the order at the broker")
    watch.api("PATCH", f"/orders/{placed['id']}", {"price": round(price * 0.96, 1)})
    watch.api("DELETE", f"/orders/{placed['id']}")
    watch.api("POST", "/orders", {"account": label, "nonsense": watch.new_secret("in a wrong body")})


def do_lost_order(watch: Watch) -> None:
    """Place an order whose answer is lost on its way."""
    watch.platform.exchange("POST", "/faults", {"kind": "lost_answer", "user": "SBX001", "count": 1})
    price = watch.platform.exchange("GET", "/book", i="NSE:INFY")["last_price"]
    lost = watch.api("POST", "/orders", {"account": "sbx001", **INFY, "price": round(price * 0.97, 1)}).json()
    eventually(partial(_at_broker, watch, lost["id"]), within=60.0, what="the order whose answer was lost")


def _at_broker(watch: Watch, order_id: str) -> bool:
    return bool(watch.api("GET", f"/orders/{order_id}").json().get("order_id"))


def do_rotations(watch: Watch, label: str) -> None:
    """Rotate a credential through the API and at the panel, with every mistake, and back to the good one."""
    confirm(watch)
    user, secret = watch.user(label), watch.new_secret("rotated in")
    body = {"api_key": user["api_key"], "api_secret": secret, "reason": "canary"}
    watch.api("POST", f"/accounts/{label}/credentials", body)
    watch.api("POST", f"/accounts/{label}/credentials", {**body, "reason": ""})
    watch.api("POST", f"/accounts/{label}/credentials", {**body, "api_secret": secret * 20})
    watch.api("POST", "/accounts/nobody/credentials", body)
    path = watch.platform.desk()["accounts"][label]["rotate_url"]
    watch.platform.post_form(path, api_key=user["api_key"], api_secret=secret, reason="")
    watch.platform.post_form(path, api_key=user["api_key"], api_secret=user["api_secret"], reason="canary")


def do_commands(watch: Watch) -> None:
    """Rotate the encryption key, and have every command speak that knows secrets."""
    manage_and_keep(watch, "rotate_encryption_key")
    manage_and_keep(watch, "rotate_encryption_key", "--verify")
    manage_and_keep(watch, "verify_audit")
    manage_and_keep(watch, "accounts")
    manage_and_keep(watch, "doctor")
    watch.secrets |= keys_of(watch.platform.folder)
    code = manage(watch, "one_time_code", "admin", "--reason", "canary").stdout.decode().strip()
    watch.secrets["code from the shell"] = code


def do_webhooks(watch: Watch) -> None:
    """Add a webhook whose receiver hears nothing, and change its secret, with every mistake."""
    secrets = [f"whsec_{b64encode(watch.new_secret(f'signing {number}').encode()).decode()}" for number in (1, 2)]
    watch.secrets |= {f"signing {text[-8:]} as it is given": text.removeprefix("whsec_") for text in secrets}
    body = {"url": DEAF_RECEIVER, "kinds": ["orders.*"], "secret": secrets[0]}
    made = watch.api("POST", "/webhooks", body).json()["id"]
    watch.api("POST", f"/webhooks/{made}/secret", {"secret": secrets[1]})
    watch.api("POST", f"/webhooks/{made}/secret", {"secret": secrets[1] * 2})
    watch.api("POST", "/webhooks", {**body, "url": "https://nowhere.invalid/"})
    watch.api("POST", f"/webhooks/{made}/test")
    watch.api("GET", "/webhooks")
    watch.api("GET", f"/webhooks/{made}/deliveries")


def do_tickets(watch: Watch) -> None:
    """Ask for a ticket of a socket, which its answer shows this once, and use it up."""
    ticket = watch.api("POST", "/socket-tickets").json()["ticket"]
    watch.answers.pop()
    watch.secrets["ticket of a socket"] = ticket
    with watch.platform.socket("/ws/v1/ticks") as socket:
        socket.send(json.dumps({"op": "sub", "ticket": watch.new_secret("in a command of a socket")}))
        watch.answers.append(("/ws/v1/ticks", str(socket.recv(timeout=20)).encode()))


def do_lies(watch: Watch) -> None:
    """Be lied to by strangers: postbacks, keys and passwords that are none."""
    stamp = "2026-11-24 10:00:00"
    secret = watch.user("sbx001")["api_secret"]
    signed = postback_checksum(order_id="1", order_timestamp=stamp, api_secret=secret)
    for checksum in (signed, watch.new_secret("as a checksum")):
        news = {"order_id": "1", "order_timestamp": stamp, "status": "COMPLETE", "checksum": checksum}
        watch.api("POST", "/postbacks/kite/sbx001", news)
    forged = watch.new_secret("as a key")
    watch.api("GET", "/me", Authorization=f"Bearer tkr_live_abcdefgh_{forged}")
    watch.api("GET", "/me", Authorization=f"Basic {forged}")
    stranger, page = requests.Session(), f"{watch.platform.url}/admin/login/"
    stranger.get(page, timeout=10)
    form = {"username": "somebody", "password": watch.new_secret("as a password")}
    form["csrfmiddlewaretoken"] = str(stranger.cookies.get("csrftoken", ""))
    watch.keep(stranger.post(page, data=form, headers={"Referer": watch.platform.url}, timeout=10))


def do_faults(watch: Watch) -> None:
    """Have the broker fail in each of its ways."""
    for kind in FAULTS:
        watch.platform.exchange("POST", "/faults", {"kind": kind, "user": "SBX002", "duration": 1})
        watch.api("POST", "/accounts/sbx002/probe")
    watch.platform.exchange("DELETE", "/faults")


def do_pages(watch: Watch, *, most: int = 1000) -> None:
    """Read the pages the Desk leads to, history and audit trail among them, and the lists of the API."""
    panel, url = watch.platform.panel, watch.platform.url
    links = sorted(set(re.findall(r'href="(/admin/[^"#?]*)', panel.get(f"{url}/admin/", timeout=20).text)))
    assert len(links) > 8
    for link in [link for link in links if "logout" not in link][:most]:
        panel.get(f"{url}{link}", timeout=20)
    account = watch.platform.desk()["accounts"]["sbx003"]["rotate_url"].removesuffix("rotate/")
    for path in (f"{account}change/", f"{account}history/", "/metrics", "/admin/desk/state"):
        panel.get(f"{url}{path}", timeout=20)
    for path in ("", "/sbx001", "/sbx003/history", "/stats", "/sbx001/addresses", "/sbx001/login"):
        watch.api("GET", f"/accounts{path}")
    for path in ("/me", "/orders", "/schema", "/positions", "/trades", "/stats", "/profiles"):
        watch.api("GET", path)


def do_endings(watch: Watch) -> None:
    """Log out and revoke, with a broker that answers and with one that does not."""
    confirm(watch)
    watch.learn_tokens()
    _end(watch, "sbx003", "log-out")
    _end(watch, "sbx003", "revoke")
    watch.platform.exchange("POST", "/faults", {"kind": "lost_answer", "user": "SBX002", "count": 1})
    _end(watch, "sbx002", "revoke")
    eventually(lambda: not live(watch, "sbx002"), within=60.0, what="the revocation")


def _end(watch: Watch, label: str, deed: str) -> None:
    rotate: Any = watch.platform.desk()["accounts"][label]["rotate_url"]
    watch.platform.post_form(urljoin(rotate, f"../{deed}/"), reason="canary")
