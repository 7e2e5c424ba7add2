"""The second factor of a sign-in: codes of an authenticator app (RFC 6238), and one-time codes for when it is lost."""

import base64
import hmac
import secrets
from collections.abc import Iterator
from datetime import datetime, timedelta
from urllib.parse import quote, urlencode

from django.conf import settings
from django.db import transaction
from django.db.models import Q
from django_otp.oath import hotp

from accounts.audit import record, required
from accounts.errors import SecondFactorLocked, SecondFactorWrong
from accounts.guards import RecoveryCode, SecondFactor
from accounts.models import User
from accounts.sign_ins import end_all

SECRET_BYTES = 20
STEP_SECONDS = 30
DIGITS = 6
# The clock of a telephone may be one step off.
DRIFT_STEPS = (0, -1, 1)
MOST_FAILURES = 5
LOCKED_FOR = timedelta(minutes=15)
RECOVERY_CODES = 10
RECOVERY_BYTES = 10
SHELL_CODE_LASTS = timedelta(minutes=10)
ISSUER = "Ticker Site"


def factor_of(user: User) -> SecondFactor | None:
    """Return the person's confirmed app, if there is one."""
    return SecondFactor.objects.filter(user=user, confirmed_at__isnull=False).first()


def enrolment_of(*, user: User, now: datetime) -> SecondFactor:
    """Return the app to be confirmed; a reload of the page spoils nothing: the secret stays the same."""
    with transaction.atomic():
        User.objects.select_for_update(no_key=True).get(pk=user.pk)
        held = SecondFactor.objects.filter(user=user).first()
        if held is not None:
            return held
        fresh = base64.b32encode(secrets.token_bytes(SECRET_BYTES)).decode()
        return SecondFactor.objects.create(user=user, secret=fresh, created_at=now)


def address_of(factor: SecondFactor, *, user: User) -> str:
    """Return the otpauth address that an authenticator app reads from the picture."""
    label = quote(f"{ISSUER} {settings.INSTALLATION_ID}:{user.get_username()}")
    return f"otpauth://totp/{label}?{urlencode({'secret': factor.secret.reveal(), 'issuer': ISSUER})}"


def confirm(*, user: User, code: str, now: datetime) -> list[str]:
    """Take the app into use once it shows the right code; return the recovery codes, which exist only here."""
    with transaction.atomic():
        factor = _locked(user)
        if factor is None:
            raise SecondFactorWrong("the picture was not shown yet: sign in again", field="code")
        _take(factor, code, now=now)
        factor.confirmed_at = now
        factor.save(update_fields=["confirmed_at", "last_step", "failures", "locked_until"])
        record(
            actor=user.get_username(),
            action="accounts.second_factor.enrolled",
            subject=f"user:{user.get_username()}",
            now=now,
        )
        return renew_recovery_codes(user=user, actor=user.get_username(), now=now)


def verify(*, user: User, code: str, now: datetime) -> None:
    """Check a code of the app or a one-time code; each counts once. Raises SecondFactorWrong or SecondFactorLocked."""
    with transaction.atomic():
        factor = _locked(user)
        accepted = _accepts(factor, code, now=now) or _spend(user, code, now=now)
        if factor is not None:
            _note(factor, accepted=accepted, now=now)
    if not accepted:
        raise SecondFactorWrong("this code is wrong or was used before", field="code")


def renew_recovery_codes(*, user: User, actor: str, now: datetime) -> list[str]:
    """Return new recovery codes; the old ones end."""
    with transaction.atomic():
        RecoveryCode.objects.filter(user=user, used_at__isnull=True).delete()
        codes = [_issue(user, now=now) for _ in range(RECOVERY_CODES)]
        record(
            actor=actor,
            action="accounts.second_factor.recovery_codes",
            subject=f"user:{user.get_username()}",
            detail={"codes": len(codes)},
            now=now,
        )
    return codes


def issue_from_the_shell(*, user: User, actor: str, reason: str, now: datetime) -> str:
    """Return a code for one sign-in within ten minutes: for whoever has no app at hand and a shell on the server."""
    with transaction.atomic():
        code = _issue(user, now=now, expires_at=now + SHELL_CODE_LASTS)
        record(
            actor=actor,
            action="accounts.second_factor.shell_code",
            subject=f"user:{user.get_username()}",
            reason=required(reason)[:200],
            now=now,
        )
    return code


def reset(*, user: User, actor: str, reason: str, now: datetime) -> None:
    """Forget the app and the codes and end the person's sessions; the next sign-in sets up anew."""
    with transaction.atomic():
        SecondFactor.objects.filter(user=user).delete()
        RecoveryCode.objects.filter(user=user, used_at__isnull=True).delete()
        end_all(user=user, why="second factor reset", now=now)
        record(
            actor=actor,
            action="accounts.second_factor.reset",
            subject=f"user:{user.get_username()}",
            reason=required(reason)[:200],
            now=now,
        )


def codes_left(user: User) -> int:
    """Return how many recovery codes can still be used."""
    return RecoveryCode.objects.filter(user=user, used_at__isnull=True, expires_at__isnull=True).count()


def _locked(user: User) -> SecondFactor | None:
    return SecondFactor.objects.select_for_update().filter(user=user).first()


def _take(factor: SecondFactor, code: str, *, now: datetime) -> None:
    step = _step_of(factor, code, now=now)
    if step is None:
        raise SecondFactorWrong("this is not the code the app shows for this picture", field="code")
    factor.last_step = step


def _accepts(factor: SecondFactor | None, code: str, *, now: datetime) -> bool:
    if factor is None or factor.confirmed_at is None:
        return False
    if factor.locked_until is not None and factor.locked_until > now:
        raise SecondFactorLocked(f"too many wrong codes: try again in {LOCKED_FOR.seconds // 60} minutes", field="code")
    step = _step_of(factor, code, now=now)
    if step is not None:
        factor.last_step = step
    return step is not None


def _step_of(factor: SecondFactor, code: str, *, now: datetime) -> int | None:
    """Return the step the code belongs to, unless that step or a later one was used."""
    key = base64.b32decode(factor.secret.reveal())
    matching = [step for step in _steps(now) if _same(f"{hotp(key, step, DIGITS):06}", code)]
    return next((step for step in matching if step > factor.last_step), None)


def _steps(now: datetime) -> Iterator[int]:
    current = int(now.timestamp()) // STEP_SECONDS
    return (current + drift for drift in DRIFT_STEPS)


def _same(expected: str, code: str) -> bool:
    return hmac.compare_digest(expected.encode(), _plain(code).encode())


def _note(factor: SecondFactor, *, accepted: bool, now: datetime) -> None:
    factor.failures = 0 if accepted else factor.failures + 1
    factor.locked_until = now + LOCKED_FOR if factor.failures >= MOST_FAILURES else None
    if factor.locked_until is not None:
        factor.failures = 0
    factor.save(update_fields=["last_step", "failures", "locked_until"])


def _spend(user: User, code: str, *, now: datetime) -> bool:
    still_good = Q(expires_at__isnull=True) | Q(expires_at__gt=now)
    held = RecoveryCode.objects.filter(still_good, user=user, digest=_digest(user, code), used_at__isnull=True)
    if not held.update(used_at=now):
        return False
    record(
        actor=user.get_username(),
        action="accounts.second_factor.code_used",
        subject=f"user:{user.get_username()}",
        detail={"left": codes_left(user)},
        now=now,
    )
    return True


def _issue(user: User, *, now: datetime, expires_at: datetime | None = None) -> str:
    text = base64.b32encode(secrets.token_bytes(RECOVERY_BYTES)).decode().lower()
    RecoveryCode.objects.create(user=user, digest=_digest(user, text), created_at=now, expires_at=expires_at)
    return "-".join(text[at : at + 4] for at in range(0, len(text), 4))


def _digest(user: User, code: str) -> str:
    return hmac.digest(settings.API_KEY_PEPPER.encode(), f"{user.pk}:{_plain(code)}".encode(), "sha256").hex()


def _plain(code: str) -> str:
    return "".join(code.split()).replace("-", "").lower()
