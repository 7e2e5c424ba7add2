"""Tokens of an external issuer: what is let in, and everything that is not."""

import base64
import hashlib
import hmac
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from redis import Redis
from rest_framework.test import APIClient

from accounts.errors import IssuerUnavailable, NotAuthenticated
from accounts.issuer_keys import Issuer as Configured
from accounts.issuer_keys import IssuerKeys
from accounts.models import AuditEntry, User
from accounts.tokens import LONGEST, authenticate_token
from tests.accounts.issuer import AUDIENCE, NAME, Issuer, rsa_key, running
from tests.factories import UserFactory

KEY = rsa_key()
SHORT_KEY = rsa_key(1024)


@pytest.fixture
def issuer(tmp_path: Any, settings: Any, db: None, clean_redis: Redis) -> Iterator[Issuer]:
    """Return the configured issuer, with one key published."""
    with running(tmp_path) as found:
        found.add("one", KEY)
        settings.JWT_ISSUER, settings.JWT_AUDIENCE = NAME, AUDIENCE
        settings.JWT_KEYS_URL, settings.JWT_CA_FILE, settings.JWT_ALGORITHM = found.url, found.ca_file, "RS256"
        yield found


@pytest.fixture
def user(db: None) -> User:
    return UserFactory(username="asha", role=User.Role.VIEWER)


def sent(token: str, path: str = "/api/v1/me", method: str = "get") -> Any:
    return getattr(APIClient(), method)(path, headers={"Authorization": f"Bearer {token}"})


def let_in(token: str) -> bool:
    try:
        authenticate_token(token, now=datetime.now(UTC))
    except NotAuthenticated:
        return False
    return True


def test_a_good_token_is_its_user_narrowed_by_its_scope(issuer: Issuer, user: User) -> None:
    answer = sent(issuer.token("asha", scope="accounts:read accounts:write ops:write"))

    assert answer.status_code == 200
    assert answer.json()["label"] == "asha/token"
    assert answer.json()["scopes"] == ["accounts:read"]


def test_a_token_of_an_elliptic_key_is_let_in_where_that_is_configured(
    issuer: Issuer, user: User, settings: Any
) -> None:
    settings.JWT_ALGORITHM = "ES256"
    issuer.keys.clear()
    issuer.add("curve", ec.generate_private_key(ec.SECP256R1()))

    assert let_in(issuer.token("asha"))


def test_the_keys_are_asked_for_once(issuer: Issuer, user: User) -> None:
    for _ in range(3):
        assert let_in(issuer.token("asha"))

    assert issuer.asked == 1


def unsigned(issuer: Issuer) -> str:
    head = encoded({"alg": "none", "typ": "JWT", "kid": "one"})
    return f"{head}.{issuer.token('asha').split('.')[1]}."


def signed_with_the_public_key(issuer: Issuer) -> str:
    public = KEY.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    body = f"{encoded({'alg': 'HS256', 'typ': 'JWT', 'kid': 'one'})}.{issuer.token('asha').split('.')[1]}"
    return f"{body}.{bare(hmac.digest(public, body.encode(), hashlib.sha256))}"


def with_claims_twice(issuer: Issuer) -> str:
    head, claims, signature = issuer.token("asha").split(".")
    raw = base64.urlsafe_b64decode(claims + "==").decode()
    doubled = raw[:-1] + ', "sub": "root"}'
    return f"{head}.{bare(doubled.encode())}.{signature}"


def with_another_signature(issuer: Issuer) -> str:
    token = issuer.token("asha")
    return token[:-4] + ("AAAA" if not token.endswith("AAAA") else "BBBB")


def ago(**span: float) -> datetime:
    return datetime.now(UTC) - timedelta(**span)


BAD: dict[str, Callable[[Issuer], str]] = {
    "no algorithm": unsigned,
    "the public key as a shared secret": signed_with_the_public_key,
    "a key id that walks through folders": lambda it: it.token("asha", headers={"kid": "../../etc/passwd"}),
    "a key from an address in the header": lambda it: it.token(
        "asha", key=rsa_key(), headers={"jku": "http://169.254.169.254/keys", "kid": "theirs"}
    ),
    "a key inside the header": lambda it: it.token("asha", key=rsa_key(), headers={"jwk": {"kty": "RSA"}}),
    "expired": lambda it: it.token("asha", iat=ago(hours=2), exp=ago(hours=1)),
    "not yet valid": lambda it: it.token("asha", nbf=ago(hours=-1)),
    "issued in the future": lambda it: it.token("asha", iat=ago(hours=-1), exp=ago(hours=-2)),
    "another audience": lambda it: it.token("asha", aud="somebody"),
    "several audiences": lambda it: it.token("asha", aud=[AUDIENCE, "somebody"]),
    "another issuer": lambda it: it.token("asha", iss="https://evil.example"),
    "without an end": lambda it: it.token("asha", exp=None),
    "without an id": lambda it: it.token("asha", jti=None),
    "a life of a month": lambda it: it.token("asha", exp=ago(days=-30)),
    "huge": lambda it: it.token("asha", padding="x" * LONGEST),
    "claims twice": with_claims_twice,
    "a stripped signature": lambda it: it.token("asha").rsplit(".", 1)[0] + ".",
    "another signature": with_another_signature,
    "another type": lambda it: it.token("asha", headers={"typ": "id+jwt"}),
    "a critical extension": lambda it: it.token("asha", headers={"crit": ["b64"], "b64": True}),
    "a subject that is nobody here": lambda it: it.token("nobody"),
    "a key nobody published": lambda it: it.token("asha", key=rsa_key(), headers={"kid": "two"}),
}


@pytest.mark.parametrize("what", BAD)
def test_a_bad_token_is_not_let_in(issuer: Issuer, user: User, what: str) -> None:
    answer = sent(BAD[what](issuer))

    assert answer.status_code == 401
    assert answer["WWW-Authenticate"] == "Bearer"


def test_a_weak_key_is_not_used(issuer: Issuer, user: User) -> None:
    issuer.keys.clear()
    issuer.add("short", SHORT_KEY)

    assert not let_in(issuer.token("asha"))


def test_a_token_is_refused_after_its_logout(issuer: Issuer, user: User) -> None:
    token = issuer.token("asha")
    assert sent(token, "/api/v1/me/token", "delete").status_code == 204

    answer = sent(token)

    assert answer.status_code == 401
    assert AuditEntry.objects.filter(action="accounts.token.revoked").count() == 1


def test_a_user_who_left_is_not_let_in(issuer: Issuer, user: User) -> None:
    user.is_active = False
    user.save()

    assert not let_in(issuer.token("asha"))


def test_without_an_issuer_no_token_is_believed(issuer: Issuer, user: User, settings: Any) -> None:
    token = issuer.token("asha")
    settings.JWT_ISSUER = ""

    assert sent(token).status_code == 401


@pytest.mark.parametrize(
    "answer",
    [
        (302, {"Location": "http://169.254.169.254/"}, b""),
        (500, {}, b"{}"),
        (200, {}, b"<html>"),
        (200, {}, b"x" * (64 * 1024 + 1)),
    ],
)
def test_an_issuer_that_misbehaves_closes_the_door_for_tokens(
    issuer: Issuer, user: User, answer: tuple[int, dict[str, str], bytes]
) -> None:
    issuer.answers.append(answer)

    refused = sent(issuer.token("asha"))

    assert refused.status_code == 503
    assert refused.json()["code"] == "issuer_unavailable"
    assert issuer.asked == 1


def test_an_unknown_certificate_is_not_trusted(issuer: Issuer, user: User, settings: Any) -> None:
    settings.JWT_CA_FILE = ""

    assert sent(issuer.token("asha")).status_code == 503


def test_unknown_key_ids_do_not_make_us_hammer_the_issuer(issuer: Issuer) -> None:
    now = [0.0]
    keys = IssuerKeys(Configured(issuer.url, "RS256", issuer.ca_file), clock=lambda: now[0])
    for _ in range(5):
        with pytest.raises(NotAuthenticated):
            keys.key("unknown")
    assert issuer.asked == 1

    issuer.add("unknown", KEY)
    now[0] = 31.0

    assert keys.key("unknown") is not None


def test_old_keys_are_not_believed_when_the_issuer_is_away(issuer: Issuer) -> None:
    now = [0.0]
    keys = IssuerKeys(Configured(issuer.url, "RS256", issuer.ca_file), clock=lambda: now[0])
    keys.key("one")
    issuer.answers.append((500, {}, b""))

    now[0] = 601.0

    with pytest.raises(IssuerUnavailable):
        keys.key("one")


def test_a_plain_http_address_is_refused() -> None:
    with pytest.raises(ValueError, match="https"):
        IssuerKeys(Configured("http://issuer.example/keys", "RS256"))


def bare(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def encoded(value: dict[str, Any]) -> str:
    return bare(json.dumps(value).encode())
