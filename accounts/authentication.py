"""From a request or a socket to a principal: API keys for programs, session cookies for people."""

import hashlib
import hmac
import re
import secrets
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from http.cookies import SimpleCookie
from importlib import import_module
from typing import Any
from urllib.parse import urlsplit

from channels.db import database_sync_to_async
from django.conf import settings
from django.contrib.auth import get_user
from django.db import transaction
from django.db.models import Q
from django.http import HttpRequest
from django.http.request import split_domain_port, validate_host
from django.utils import timezone
from rest_framework import exceptions
from rest_framework.authentication import BaseAuthentication, SessionAuthentication
from rest_framework.request import Request

from accounts.audit import record
from accounts.errors import Forbidden, NotAuthenticated
from accounts.models import ApiKey, BrokerAccount, User
from accounts.queries import EVERY_SCOPE, Principal, account_ids_of, principal_of, scopes_of
from accounts.sign_ins import standing
from accounts.statements import first
from accounts.tokens import authenticate_token, looks_like_a_token

KEY = re.compile(r"tkr_live_([A-Za-z0-9]{8})_([A-Za-z0-9_-]{43})")
ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
PREFIX_LENGTH = 8
SECRET_BYTES = 32
LONGEST_LIFE = timedelta(days=90)
# A key's last use is written at most this often, so that reads stay reads.
USE_NOTED_EVERY = timedelta(minutes=1)
UNKNOWN_DIGEST = bytes(hashlib.sha256().digest_size)


class ApiKeyAuthentication(BaseAuthentication):
    """Authorization: Bearer tkr_live_…, or a token of the configured issuer."""

    def authenticate(self, request: Request) -> tuple[User, Principal] | None:
        """Return the owner and principal; None lets the next class look."""
        header = request.headers.get("Authorization", "")
        if not header:
            return None
        try:
            return _by_header(header, now=timezone.now())
        except NotAuthenticated as error:
            raise exceptions.AuthenticationFailed(str(error), code=error.code) from error

    def authenticate_header(self, request: Request) -> str:
        """Name the scheme in the answer to an unknown caller."""
        return "Bearer"


class PrincipalSessionAuthentication(SessionAuthentication):
    """A browser's session cookie, with Django's CSRF check."""

    def authenticate(self, request: Request) -> tuple[User, Principal] | None:
        """Return the person and their principal."""
        found = super().authenticate(request)
        return None if found is None else (found[0], principal_of(found[0]))


async def authenticate_socket(scope: Mapping[str, Any]) -> Principal:
    """Return who opens a WebSocket; raises NotAuthenticated or Forbidden.

    Programs send the Authorization header. Browsers cannot; they send the session cookie, which counts only from an
    origin of ours. Nothing is read from the address, because addresses end up in logs.
    """
    headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
    if authorization := headers.get("authorization"):
        _, principal = await database_sync_to_async(_by_header)(authorization, now=timezone.now())
        return principal
    _check_origin(headers)
    return await database_sync_to_async(_by_cookie)(headers.get("cookie", ""))


def issue_api_key(
    *,
    user: User,
    name: str,
    scopes: Iterable[str],
    accounts: Iterable[BrokerAccount] | None,
    expires_at: datetime,
    now: datetime,
) -> tuple[ApiKey, str]:
    """Return the stored key and its full text, which exists only here; `accounts` None means every account."""
    wanted = frozenset(scopes)
    _check_grant(user, wanted, accounts)
    if not now < expires_at <= now + LONGEST_LIFE:
        raise Forbidden(f"a key lives at most {LONGEST_LIFE.days} days, and into the future", field="expires_at")
    prefix = "".join(secrets.choice(ALPHABET) for _ in range(PREFIX_LENGTH))
    text = f"tkr_live_{prefix}_{secrets.token_urlsafe(SECRET_BYTES)}"
    with transaction.atomic():
        key = ApiKey.objects.create(
            name=name,
            prefix=prefix,
            digest=_digest(text),
            user=user,
            scopes=sorted(wanted),
            every_account=accounts is None,
            expires_at=expires_at,
        )
        key.accounts.set(accounts or ())
        record(
            actor=user.get_username(),
            action="accounts.api_key.issued",
            subject=f"api_key:{prefix}",
            detail={"name": name, "scopes": key.scopes, "expires_at": expires_at.isoformat()},
            now=now,
        )
    return key, text


def revoke_api_key(*, prefix: str, actor: str, reason: str, now: datetime) -> None:
    """End a key; the next request with it is refused."""
    with transaction.atomic():
        if ApiKey.objects.filter(prefix=prefix, revoked_at__isnull=True).update(revoked_at=now):
            record(actor=actor, action="accounts.api_key.revoked", subject=f"api_key:{prefix}", reason=reason, now=now)


def _check_grant(user: User, scopes: frozenset[str], accounts: Iterable[BrokerAccount] | None) -> None:
    if unknown := scopes - EVERY_SCOPE:
        raise Forbidden(f"no such scope: {', '.join(sorted(unknown))}", field="scopes")
    if excess := scopes - scopes_of(user):
        raise Forbidden(f"{user.get_username()} does not hold {', '.join(sorted(excess))}", field="scopes")
    visible = account_ids_of(user)
    if visible is not None and (accounts is None or any(account.pk not in visible for account in accounts)):
        raise Forbidden(f"{user.get_username()} may not see all of these accounts", field="accounts")


def _digest(text: str) -> bytes:
    return hmac.digest(settings.API_KEY_PEPPER.encode(), text.encode(), "sha256")


def _by_header(header: str, *, now: datetime) -> tuple[User, Principal]:
    scheme, _, text = header.partition(" ")
    if scheme.lower() == "bearer" and looks_like_a_token(text.strip()):
        return authenticate_token(text.strip(), now=now)
    match = KEY.fullmatch(text.strip())
    if scheme.lower() != "bearer" or match is None:
        raise NotAuthenticated("the Authorization header was not 'Bearer tkr_live_…'")
    key = _key_by_prefix(match[1])
    # An unknown prefix costs the same comparison as a wrong secret.
    expected = UNKNOWN_DIGEST if key is None else bytes(key.digest)
    if not hmac.compare_digest(expected, _digest(match[0])) or key is None:
        raise NotAuthenticated("the API key is not known")
    _check_in_force(key, now=now)
    _note_use(key, now=now)
    return key.user, _principal_of_key(key)


def _key_by_prefix(prefix: str) -> ApiKey | None:
    return first(ApiKey, "prefix = %s", prefix, along="user")


def check_key(key_id: int, *, now: datetime) -> None:
    """Raise NotAuthenticated where the key was revoked, has expired or lost its owner."""
    _check_in_force(ApiKey.objects.select_related("user").get(pk=key_id), now=now)


def _check_in_force(key: ApiKey, *, now: datetime) -> None:
    if key.revoked_at is not None:
        raise NotAuthenticated("the API key was revoked")
    if key.expires_at <= now:
        raise NotAuthenticated(f"the API key expired at {key.expires_at:%Y-%m-%d %H:%M} UTC")
    if not key.user.is_active:
        raise NotAuthenticated("the API key's owner is not active")


def _note_use(key: ApiKey, *, now: datetime) -> None:
    if key.last_used_at is None or key.last_used_at < now - USE_NOTED_EVERY:
        seldom = Q(last_used_at__isnull=True) | Q(last_used_at__lt=now - USE_NOTED_EVERY)
        ApiKey.objects.filter(seldom, pk=key.pk).update(last_used_at=now)


def _principal_of_key(key: ApiKey) -> Principal:
    """A key never does more than its owner may do today."""
    user: User = key.user
    owned = account_ids_of(user)
    granted = None if key.every_account else frozenset(key.accounts.values_list("id", flat=True))
    return Principal(
        user_id=user.pk,
        label=f"{user.get_username()}/{key.name}",
        key_id=key.pk,
        scopes=frozenset(key.scopes) & scopes_of(user),
        account_ids=owned if granted is None else granted if owned is None else owned & granted,
    )


def _check_origin(headers: Mapping[str, str]) -> None:
    origin = headers.get("origin")
    if origin is None:
        raise NotAuthenticated("send an Authorization header; a cookie needs a browser's Origin")
    host = headers.get("host", "")
    same = urlsplit(origin).netloc == host and validate_host(split_domain_port(host)[0], settings.ALLOWED_HOSTS)
    if not same and origin not in settings.CSRF_TRUSTED_ORIGINS:
        raise Forbidden(f"the origin {origin[:100]} is not one of ours")


def _by_cookie(header: str) -> Principal:
    morsel = SimpleCookie(header).get(settings.SESSION_COOKIE_NAME)
    if morsel is None:
        raise NotAuthenticated("neither an API key nor a session was sent")
    request = HttpRequest()
    request.session = import_module(settings.SESSION_ENGINE).SessionStore(morsel.value)
    user = get_user(request)
    if not isinstance(user, User) or standing(session=request.session, now=timezone.now()) is None:
        raise NotAuthenticated("the session has ended: sign in again")
    return principal_of(user)
