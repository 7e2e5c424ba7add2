"""Public keys of an external token issuer, from the one configured https address."""

import json
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Final
from urllib.parse import urlsplit

import jwt
import structlog
import urllib3
from django.conf import settings

from accounts.errors import IssuerUnavailable, NotAuthenticated

log = structlog.get_logger(__name__)

KEPT_SECONDS: Final = 600.0
# An unknown key id makes us look again, but not more often: a stranger must not make us hammer the issuer.
LOOK_AGAIN_SECONDS: Final = 30.0
TIMEOUT: Final = urllib3.Timeout(connect=3.0, read=5.0)
LARGEST: Final = 64 * 1024
SMALLEST_RSA_BITS: Final = 2048


@dataclass(frozen=True, slots=True)
class Issuer:
    """Where the keys of one issuer are, and the one algorithm its tokens are signed with."""

    keys_url: str
    algorithm: str
    ca_file: str = ""


class IssuerKeys:
    """The issuer's keys by key id, fetched when needed and kept ten minutes. Safe to share between threads."""

    def __init__(self, issuer: Issuer, *, clock: Callable[[], float] = time.monotonic) -> None:
        if urlsplit(issuer.keys_url).scheme != "https":
            raise ValueError(f"JWT_KEYS_URL was {issuer.keys_url}, not an https address")
        self._issuer = issuer
        self._clock = clock
        self._lock = threading.Lock()
        self._keys: Mapping[str, Any] = {}
        self._fetched_at = float("-inf")
        self._pool = urllib3.PoolManager(cert_reqs="CERT_REQUIRED", ca_certs=issuer.ca_file or None, retries=False)

    def key(self, key_id: str) -> Any:
        """Return the public key; raises NotAuthenticated where there is none, or IssuerUnavailable."""
        with self._lock:
            age = self._clock() - self._fetched_at
            if age > KEPT_SECONDS or (key_id not in self._keys and age > LOOK_AGAIN_SECONDS):
                self._fetch()
            found = self._keys.get(key_id)
        if found is None:
            raise NotAuthenticated("the token is signed with a key the issuer does not publish")
        return found

    def _fetch(self) -> None:
        self._fetched_at = self._clock()
        try:
            answer = self._pool.request(
                "GET", self._issuer.keys_url, timeout=TIMEOUT, redirect=False, preload_content=False
            )
            body = answer.read(LARGEST + 1)
            answer.release_conn()
        except (urllib3.exceptions.HTTPError, OSError) as error:
            self._keys = {}
            raise IssuerUnavailable("the token issuer's keys cannot be had") from error
        if answer.status != 200 or len(body) > LARGEST:  # noqa: PLR2004
            self._keys = {}
            raise IssuerUnavailable(f"the token issuer answered {answer.status} with {len(body)} bytes")
        self._keys = _read(body, self._issuer.algorithm)
        log.info("accounts.issuer.keys_fetched", keys=len(self._keys))


def _read(body: bytes, algorithm: str) -> dict[str, Any]:
    try:
        listed = json.loads(body)["keys"]
    except (ValueError, KeyError, TypeError) as error:
        raise IssuerUnavailable("the token issuer's answer was no key set") from error
    found: dict[str, Any] = {}
    for entry in listed:
        key = _usable(entry, algorithm)
        if key is not None:
            found[str(entry["kid"])] = key
    return found


def _usable(entry: Any, algorithm: str) -> Any:
    """Return the entry's public key, None where it is for something else or too weak."""
    family = {"RS256": "RSA", "ES256": "EC"}[algorithm]
    if not isinstance(entry, dict) or entry.get("kty") != family or "kid" not in entry:
        return None
    if entry.get("use", "sig") != "sig" or entry.get("alg", algorithm) != algorithm:
        return None
    try:
        key = jwt.PyJWK.from_dict(entry, algorithm=algorithm).key
    except jwt.PyJWTError as error:
        log.warning("accounts.issuer.key_unreadable", error=type(error).__name__)
        return None
    if family == "RSA" and key.key_size < SMALLEST_RSA_BITS:
        log.warning("accounts.issuer.key_too_weak", bits=key.key_size)
        return None
    return key


@cache
def _keys_of(issuer: Issuer) -> IssuerKeys:
    return IssuerKeys(issuer)


def issuer_keys() -> IssuerKeys:
    """Return the process's keys of the configured issuer."""
    return _keys_of(Issuer(settings.JWT_KEYS_URL, settings.JWT_ALGORITHM, settings.JWT_CA_FILE))
