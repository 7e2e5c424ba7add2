"""Users, their apps and their sessions: credentials from the operating system's random source."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
import struct
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path

from sandbox.clock import next_death
from sandbox.errors import input_error, token_error

FIRST_NAMES = ("Asha", "Vikram", "Meera", "Rohan", "Kavya", "Arjun", "Nisha", "Sanjay", "Divya", "Imran")
LAST_NAMES = ("Iyer", "Deshmukh", "Kapoor", "Banerjee", "Reddy", "Patel", "Shetty", "Khan", "Menon", "Gill")
REQUEST_TOKEN_SECONDS = 180.0
ALPHABET = "abcdefghijklmnopqrstuvwxyz0123456789"
# Every secret of this exchange begins so, so that one that got out is found.
MARK = "canaryqx"


@dataclass(frozen=True, slots=True)
class User:
    """One client with his own app: the app's key and secret, the user's password."""

    user_id: str
    user_name: str
    api_key: str
    api_secret: str
    password: str
    totp_secret: str = ""

    @property
    def email(self) -> str:
        return f"{self.user_id.lower()}@sandbox.example"

    @property
    def app_id(self) -> int:
        return int(hashlib.sha256(self.api_key.encode()).hexdigest()[:6], 16)


@dataclass(slots=True)
class Session:
    """A live login: `dies_at` is 06:00 of the exchange's clock."""

    access_token: str
    public_token: str
    enctoken: str
    login_at: datetime
    dies_at: datetime


@dataclass(slots=True)
class RequestToken:
    user_id: str
    expires: float


@dataclass(slots=True)
class Switches:
    """What the documentation leaves open, settable."""

    second_login_kills_first: bool = True
    request_token_seconds: float = REQUEST_TOKEN_SECONDS


def random_text(length: int) -> str:
    return "".join(secrets.choice(ALPHABET) for _ in range(length))


def random_secret(length: int) -> str:
    return MARK + random_text(length - len(MARK))


def new_user(position: int, *, totp: bool) -> User:
    name = f"{FIRST_NAMES[position % 10]} {LAST_NAMES[(position * 3 + position // 10) % 10]}"
    secret = base64.b32encode(secrets.token_bytes(20)).decode() if totp else ""
    return User(f"SBX{position + 1:03d}", name, random_text(16), random_secret(32), random_secret(20), secret)


def load_users(*, path: Path | None, count: int, totp: bool) -> list[User]:
    """Return the users of the credentials file, adding new ones up to `count`."""
    known: list[User] = []
    if path is not None and path.exists():
        rows = json.loads(path.read_text())["users"]
        known = [User(**{key: row.get(key, "") for key in User.__dataclass_fields__}) for row in rows]
    return known + [new_user(position, totp=totp) for position in range(len(known), count)]


def read_control_key(path: Path | None) -> str:
    if path is not None and path.exists():
        return str(json.loads(path.read_text())["control_key"])
    return secrets.token_urlsafe(24)


def credentials(*, users: list[User], http_root: str, control_key: str) -> dict[str, object]:
    rows = [{key: value for key, value in asdict(user).items() if value} for user in users]
    return {
        "rest_root": http_root,
        "ws_root": http_root.replace("http", "ws", 1),
        "login_url": f"{http_root}/connect/login",
        "control_url": f"{http_root}/_control",
        "control_key": control_key,
        "users": rows,
    }


def write_private(path: Path, document: dict[str, object]) -> None:
    """Write JSON readable by the owner alone, in one step."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(path.name + ".new")
    draft.unlink(missing_ok=True)
    draft.touch(mode=0o600)
    draft.write_text(json.dumps(document, indent=2) + "\n")
    draft.replace(path)


def totp_code(*, secret: str, epoch: float) -> str:
    """Return the six-digit code of RFC 6238 at `epoch`."""
    digest = hmac.new(base64.b32decode(secret), struct.pack(">Q", int(epoch // 30)), hashlib.sha1).digest()
    offset = digest[-1] & 0x0F
    number = struct.unpack(">I", digest[offset : offset + 4])[0] & 0x7FFFFFFF
    return f"{number % 1_000_000:06d}"


def checksum_of(*, api_key: str, request_token: str, api_secret: str) -> str:
    return hashlib.sha256(f"{api_key}{request_token}{api_secret}".encode()).hexdigest()


@dataclass(slots=True)
class Logins:
    """Who may log in and who is logged in."""

    users: list[User]
    switches: Switches = field(default_factory=Switches)
    sessions: dict[str, list[Session]] = field(default_factory=dict)
    request_tokens: dict[str, RequestToken] = field(default_factory=dict)
    failures: dict[str, int] = field(default_factory=dict)

    def user(self, user_id: str) -> User | None:
        return next((user for user in self.users if user.user_id == user_id), None)

    def owner_of(self, api_key: str) -> User | None:
        return next((user for user in self.users if user.api_key == api_key), None)

    def check_password(self, *, user: User, password: str, code: str, epoch: float) -> bool:
        good = hmac.compare_digest(password.encode("utf-8", "replace"), user.password.encode())
        if user.totp_secret:
            codes = [totp_code(secret=user.totp_secret, epoch=epoch + drift) for drift in (-30, 0, 30)]
            good = good and code in codes
        self.failures[user.user_id] = 0 if good else self.failures.get(user.user_id, 0) + 1
        return good

    def issue_request_token(self, *, user: User, monotonic: float) -> str:
        token = random_secret(32)
        expires = monotonic + self.switches.request_token_seconds
        self.request_tokens[token] = RequestToken(user.user_id, expires)
        return token

    def exchange(self, *, api_key: str, request_token: str, checksum: str, monotonic: float) -> User:
        """Spend a request token and return its user; a wrong checksum spends it too."""
        user = self.owner_of(api_key)
        if user is None:
            raise input_error("Invalid `api_key`.")
        pending = self.request_tokens.pop(request_token, None)
        if pending is None or pending.user_id != user.user_id or pending.expires < monotonic:
            raise token_error("Token is invalid or has expired.")
        wanted = checksum_of(api_key=api_key, request_token=request_token, api_secret=user.api_secret)
        if not hmac.compare_digest(wanted.encode(), checksum.lower().encode("utf-8", "replace")):
            raise token_error("Invalid `checksum`.")
        return user

    def open(self, *, user: User, now: datetime) -> Session:
        session = Session(random_secret(32), random_secret(32), random_secret(88), now, next_death(now))
        if self.switches.second_login_kills_first:
            self.sessions[user.user_id] = []
        self.sessions.setdefault(user.user_id, []).append(session)
        return session

    def find(self, *, api_key: str, access_token: str, now: datetime) -> tuple[User, Session]:
        user = self.owner_of(api_key)
        if user is not None:
            for session in self.sessions.get(user.user_id, ()):
                if (
                    hmac.compare_digest(session.access_token.encode(), access_token.encode("utf-8", "replace"))
                    and now < session.dies_at
                ):
                    return user, session
        raise token_error()

    def kill(self, *, user_id: str, access_token: str | None = None) -> int:
        """End one session or all sessions of a user and return how many died."""
        before = self.sessions.get(user_id, [])
        kept = [] if access_token is None else [one for one in before if one.access_token != access_token]
        self.sessions[user_id] = kept
        return len(before) - len(kept)

    def alive(self, *, user_id: str, access_token: str, now: datetime) -> bool:
        return any(
            session.access_token == access_token and now < session.dies_at for session in self.sessions.get(user_id, ())
        )
