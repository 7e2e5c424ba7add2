"""The only writer of credentials: logins, rotations, expiry and revocation, each a row version and an audit entry."""

import hashlib
import hmac
from datetime import datetime, timedelta
from typing import Final
from urllib.parse import urlencode
from uuid import UUID

import structlog
from django.conf import settings
from django.core import signing
from django.db import OperationalError, connection, transaction

from accounts.audit import record, required
from accounts.errors import AccountStateConflict, CredentialMissing, LoginInProgress, LoginRefused, SealBroken
from accounts.fields import Secret
from accounts.health import locked, subject_of
from accounts.models import BrokerAccount, Credential
from accounts.queries import current_credential, login_of, token_expiry, with_dead_token
from accounts.redaction import remember
from kite.errors import KiteError
from kite.rest import Rest, open_session
from kite.types import KiteSession, Login

log = structlog.get_logger(__name__)

STATE_SALT: Final = "accounts.credentials.login"
STATE_SECONDS: Final = 600
LOCK_SPACE: Final = 0x6B697465  # "kite"; the other half of an advisory lock's name
LOCK_WAIT: Final = timedelta(seconds=15)
LOCK_NOT_AVAILABLE: Final = "55P03"
SHORTEST_API_KEY: Final = 4


def login_state(*, account: BrokerAccount, user_id: int) -> str:
    """Return the signed text that brings a finished login back to its account and to the person who began it."""
    return signing.dumps({"account": str(account.pk), "user": user_id}, salt=STATE_SALT)


def account_of_state(*, state: str, user_id: int) -> UUID:
    """Return the account of a login this person began within ten minutes; raises LoginRefused."""
    try:
        content = signing.loads(state, salt=STATE_SALT, max_age=STATE_SECONDS)
    except signing.SignatureExpired as error:
        raise LoginRefused("the login took longer than ten minutes: begin again") from error
    except signing.BadSignature as error:
        raise LoginRefused("the answer of the broker's page does not belong to a login begun here") from error
    if content["user"] != user_id:
        raise LoginRefused("the login was begun by somebody else")
    return UUID(content["account"])


def login_url(*, account: BrokerAccount, state: str) -> str:
    """Return the broker's login page for an account; the page sends `state` back to us as `account`."""
    credential = current_credential(account_id=account.pk)
    if credential is None:
        raise CredentialMissing(f"{account.label} has no API key and secret yet: rotate them in", field="account")
    back = urlencode({"account": state})
    return f"{settings.KITE_LOGIN_URL}?{urlencode({'v': 3, 'api_key': credential.api_key, 'redirect_params': back})}"


def complete_login(
    *, account_id: UUID, request_token: str, actor: str, now: datetime, lock_wait: timedelta = LOCK_WAIT
) -> Credential:
    """Exchange the request token and return the new version, whose token lives until the next 06:00 in India.

    Callers of one account queue at a lock in the database. Whoever finds, when its turn comes, that a login was made
    while it waited, or with its very request token, returns that login.
    """
    remember(request_token)
    before = current_credential(account_id=account_id)
    with transaction.atomic():
        _queue(account_id, lock_wait)
        held = _current(account_id)
        if held.account.state == BrokerAccount.State.RETIRED:
            raise AccountStateConflict(f"{held.account.label} is retired", field="account")
        if _is_answered(before=before, held=held, request_token=request_token, now=now):
            return held
        session = open_session(
            rest_root=settings.KITE_REST_ROOT,
            api_key=held.api_key,
            api_secret=_secret(held.api_secret).reveal(),
            request_token=request_token,
        )
        _check_owner(held.account, session)
        return _store_session(held, session, request_token=request_token, actor=actor, now=now)


def rotate(
    *, account_id: UUID, api_key: str, api_secret: str | Secret, actor: str, reason: str, now: datetime
) -> Credential:
    """Return a new version with this key and secret.

    A live token stays in force where the API key stays the same, because tokens belong to the key; otherwise somebody
    must log in.
    """
    why = required(reason)
    with transaction.atomic():
        _queue(account_id)
        account = locked(account_id)
        if account.state == BrokerAccount.State.RETIRED:
            raise AccountStateConflict(f"{account.label} is retired", field="account")
        held = Credential.objects.filter(account=account, current=True).first()
        successor = _successor(account, held, api_key=api_key.strip(), now=now)
        successor.api_secret = api_secret
        if held is not None and held.api_key == successor.api_key and held.is_live(now=now):
            _carry_token(held, successor)
        _replace(held, successor, now=now)
        record(
            actor=actor,
            action="accounts.credential.rotated",
            subject=subject_of(account),
            reason=why,
            detail=_public(successor),
            now=now,
        )
    return successor


def expire_token(*, account_id: UUID, version: int, now: datetime, reason: str) -> bool:
    """Forget a version's token, if that version is still current and has one; say whether it was so."""
    with transaction.atomic():
        held = (
            Credential.objects.select_for_update(no_key=True, of=("self",))
            .select_related("account")
            .filter(account_id=account_id, version=version, current=True, access_token__isnull=False)
            .first()
        )
        if held is None:
            return False
        _forget_token(held)
        record(
            actor="platform",
            action="accounts.token.expired",
            subject=subject_of(held.account),
            reason=reason[:200],
            detail={"version": version},
            now=now,
        )
    log.warning("accounts.token.expired", account=held.account.label, version=version, reason=reason)
    return True


def expire_tokens(*, now: datetime) -> int:
    """Forget every token past its time and return how many there were."""
    dead = list(with_dead_token(now=now).values_list("account_id", "version"))
    reason = "past 06:00"
    return sum(expire_token(account_id=account, version=version, now=now, reason=reason) for account, version in dead)


def log_out(*, account_id: UUID, actor: str, reason: str, now: datetime) -> None:
    """Forget the access token here and end the session at the broker; key and secret stay."""
    _end(account_id, actor=actor, reason=required(reason), now=now, keep_secret=True)


def revoke(*, account_id: UUID, actor: str, reason: str, now: datetime) -> None:
    """Forget token, key and secret here and end the session at the broker; new ones must be rotated in."""
    _end(account_id, actor=actor, reason=required(reason), now=now, keep_secret=False)


def _queue(account_id: UUID, wait: timedelta = LOCK_WAIT) -> None:
    """Wait for the account's turn, held until the transaction ends; rows stay free for everybody else."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT set_config('lock_timeout', %s, true)", [f"{wait // timedelta(milliseconds=1)}ms"])
        cursor.execute("SET LOCAL statement_timeout = '20s'")
        try:
            cursor.execute("SELECT pg_advisory_xact_lock(%s, hashtext(%s))", [LOCK_SPACE, str(account_id)])
        except OperationalError as error:
            if getattr(error.__cause__, "sqlstate", None) != LOCK_NOT_AVAILABLE:
                raise
            raise LoginInProgress("another login or rotation of this account takes its time: ask again") from error


def _current(account_id: UUID) -> Credential:
    held = current_credential(account_id=account_id)
    if held is None:
        raise CredentialMissing("the account has no API key and secret yet: rotate them in", field="account")
    return held


def _is_answered(*, before: Credential | None, held: Credential, request_token: str, now: datetime) -> bool:
    if not held.is_live(now=now):
        return False
    waited = before is not None and before.version != held.version and held.logged_in_at is not None
    return waited or hmac.compare_digest(held.request_token_digest, _digest(request_token))


def _check_owner(account: BrokerAccount, session: KiteSession) -> None:
    if session.user_id != account.broker_user_id:
        raise LoginRefused(
            f"{account.label} belongs to {account.broker_user_id}, the login was of {session.user_id}: "
            "nothing was stored",
            field="account",
        )


def _store_session(
    held: Credential, session: KiteSession, *, request_token: str, actor: str, now: datetime
) -> Credential:
    successor = _successor(held.account, held, api_key=held.api_key, now=now)
    successor.api_secret = held.api_secret
    successor.access_token = session.access_token
    successor.token_expires_at = token_expiry(now)
    successor.logged_in_at = now
    successor.request_token_digest = _digest(request_token)
    _replace(held, successor, now=now)
    record(
        actor=actor,
        action="accounts.session.opened",
        subject=subject_of(held.account),
        detail={**_public(successor), "expires_at": successor.token_expires_at.isoformat()},
        now=now,
    )
    return successor


def _successor(account: BrokerAccount, held: Credential | None, *, api_key: str, now: datetime) -> Credential:
    latest = Credential.objects.filter(account=account).order_by("-version").values_list("version", flat=True).first()
    if len(api_key) < SHORTEST_API_KEY:
        raise CredentialMissing("the API key is missing or too short", field="api_key")
    return Credential(account=account, version=(latest or 0) + 1, api_key=api_key)


def _carry_token(held: Credential, successor: Credential) -> None:
    try:
        successor.access_token = held.access_token
    except SealBroken as error:
        # Its key is lost, and the token with it: a new secret must be let in all the same.
        log.warning("accounts.token.lost_with_its_key", account=successor.account.label, error=str(error))
        return
    successor.token_expires_at = held.token_expires_at
    successor.logged_in_at = held.logged_in_at
    successor.request_token_digest = held.request_token_digest


def _replace(held: Credential | None, successor: Credential, *, now: datetime) -> None:
    if held is not None:
        _retire(held, now=now)
    successor.save(force_insert=True)


def _retire(held: Credential, *, now: datetime) -> None:
    held.current = False
    held.retired_at = now
    held.api_secret = None
    held.access_token = None
    held.token_expires_at = None
    held.save(update_fields=["current", "retired_at", "api_secret", "access_token", "token_expires_at"])


def _forget_token(held: Credential) -> None:
    held.access_token = None
    held.token_expires_at = None
    held.save(update_fields=["access_token", "token_expires_at"])


def _end(account_id: UUID, *, actor: str, reason: str, now: datetime, keep_secret: bool) -> None:
    with transaction.atomic():
        _queue(account_id)
        held = _current(account_id)
        login = _login_to_end(held) if held.is_live(now=now) else None
        if keep_secret:
            _forget_token(held)
        else:
            _retire(held, now=now)
        record(
            actor=actor,
            action="accounts.session.ended" if keep_secret else "accounts.credential.revoked",
            subject=subject_of(held.account),
            reason=reason,
            detail=_public(held),
            now=now,
        )
    # After the commit: a slow broker must not delay what is forgotten here.
    if login is not None:
        _close_at_broker(Rest(login), account=held.account, actor=actor, now=now)


def _login_to_end(held: Credential) -> Login | None:
    try:
        return login_of(held)
    except SealBroken as error:
        log.warning("accounts.token.lost_with_its_key", account=held.account.label, error=str(error))
        return None


def _close_at_broker(client: Rest, *, account: BrokerAccount, actor: str, now: datetime) -> None:
    try:
        client.close_session()
        outcome = "closed"
    except KiteError as error:
        outcome = error.code
        log.warning("accounts.session.close_failed", account=account.label, code=error.code)
    finally:
        client.close()
    with transaction.atomic():
        record(
            actor=actor,
            action="accounts.session.closed_at_broker" if outcome == "closed" else "accounts.session.close_failed",
            subject=subject_of(account),
            detail={"outcome": outcome},
            now=now,
        )


def _public(credential: Credential) -> dict[str, object]:
    return {
        "version": credential.version,
        "api_key_ends": credential.api_key_ends,
        "live": bool(credential.token_expires_at),
    }


def _secret(value: Secret | None) -> Secret:
    if value is None:
        raise CredentialMissing("the account has no API secret: rotate one in", field="account")
    return value


def _digest(request_token: str) -> str:
    return hashlib.sha256(request_token.encode()).hexdigest()
