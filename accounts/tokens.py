"""Tokens of an external issuer (RFC 7519, RFC 9068), where one is configured.

A token says who asks; what they may do is the user's role here, narrowed by the token's scope. Nothing in a token's
header is believed but its key id: `jku`, `x5u` and `jwk` are ignored, the algorithm is the configured one.
"""

import base64
import hashlib
import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import jwt
from django.conf import settings
from django.db import transaction

from accounts.audit import record
from accounts.errors import NotAuthenticated
from accounts.issuer_keys import issuer_keys
from accounts.models import RevokedToken, User
from accounts.queries import Principal, account_ids_of, scopes_of

SHAPE: Final = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")
KEY_ID: Final = re.compile(r"[A-Za-z0-9._=-]{1,128}")
LONGEST: Final = 8192
LONGEST_LIFE: Final = timedelta(hours=24)
LEEWAY: Final = timedelta(seconds=30)
KINDS: Final = frozenset({"jwt", "at+jwt"})
REQUIRED: Final = ["exp", "iat", "iss", "aud", "sub", "jti"]


def looks_like_a_token(text: str) -> bool:
    """Say whether an issuer is configured and the text has a token's three parts."""
    return bool(settings.JWT_ISSUER) and text.count(".") == 2  # noqa: PLR2004


def authenticate_token(text: str, *, now: datetime) -> tuple[User, Principal]:
    """Return the token's user and principal; raises NotAuthenticated with the reason, IssuerUnavailable."""
    claims = _verified(text)
    if RevokedToken.objects.filter(digest=_digest(claims)).exists():
        raise NotAuthenticated("the token was ended before its time")
    user = User.objects.filter(username=claims["sub"], is_active=True).first()
    if user is None:
        raise NotAuthenticated("the token's subject is no active user here")
    principal = Principal(
        user_id=user.pk,
        label=f"{user.get_username()}/token",
        key_id=None,
        scopes=frozenset(str(claims.get("scope", "")).split()) & scopes_of(user),
        account_ids=account_ids_of(user),
    )
    return user, principal


def revoke_token(text: str, *, now: datetime) -> None:
    """End a token before its time; raises NotAuthenticated where it is not a valid one."""
    claims = _verified(text)
    with transaction.atomic():
        _, new = RevokedToken.objects.get_or_create(
            digest=_digest(claims), defaults={"expires_at": datetime.fromtimestamp(claims["exp"], UTC)}
        )
        if new:
            record(
                actor=str(claims["sub"]),
                action="accounts.token.revoked",
                subject=f"token:{_digest(claims)[:16]}",
                now=now,
            )


def _verified(text: str) -> dict[str, Any]:
    if len(text) > LONGEST:
        raise NotAuthenticated(f"the token is longer than {LONGEST} characters")
    if not SHAPE.fullmatch(text):
        raise NotAuthenticated("the token is not signed in three parts")
    header = _part(text, 0)
    _part(text, 1)
    if header.get("alg") != settings.JWT_ALGORITHM or "crit" in header:
        raise NotAuthenticated(f"the token is not signed with {settings.JWT_ALGORITHM}")
    if str(header.get("typ", "")).lower() not in KINDS:
        raise NotAuthenticated("the token is not of type JWT or at+jwt")
    key_id = header.get("kid")
    if not isinstance(key_id, str) or not KEY_ID.fullmatch(key_id):
        raise NotAuthenticated("the token names no key")
    try:
        claims: dict[str, Any] = jwt.decode(
            text,
            issuer_keys().key(key_id),
            algorithms=[settings.JWT_ALGORITHM],
            audience=settings.JWT_AUDIENCE,
            issuer=settings.JWT_ISSUER,
            leeway=LEEWAY,
            options={"require": REQUIRED, "strict_aud": True},
        )
    except jwt.PyJWTError as error:
        raise NotAuthenticated(f"the token is not valid: {error}") from error
    if claims["exp"] - claims["iat"] > LONGEST_LIFE.total_seconds():
        raise NotAuthenticated(f"the token lives longer than {LONGEST_LIFE}")
    return claims


def _part(text: str, number: int) -> dict[str, Any]:
    """Return the header or the claims, not verified; raises NotAuthenticated where a name occurs twice."""
    part = text.split(".")[number]
    try:
        raw = base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
        found = json.loads(raw, object_pairs_hook=_each_once)
    except (ValueError, RecursionError) as error:
        raise NotAuthenticated("the token cannot be read") from error
    if not isinstance(found, dict):
        raise NotAuthenticated("the token cannot be read")
    return found


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name occurs twice")
    return found


def _digest(claims: dict[str, Any]) -> str:
    return hashlib.sha256(f"{claims['iss']}\n{claims['jti']}".encode()).hexdigest()
