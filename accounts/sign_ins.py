"""How long a person stays signed in, and when they are asked again who they are."""

from datetime import datetime, timedelta
from uuid import UUID

from axes.models import AccessAttempt
from django.contrib.auth import SESSION_KEY
from django.contrib.sessions.backends.base import SessionBase
from django.db import transaction

from accounts.audit import record, required
from accounts.errors import StepUpNeeded
from accounts.guards import SignIn
from accounts.models import User

IDLE = timedelta(minutes=15)
LONGEST = timedelta(hours=8)
STEPPED_UP_FOR = timedelta(minutes=5)
MOST_PARALLEL = 3
# A sign-in's last use is written at most this often, so that reads stay reads.
SEEN_NOTED_EVERY = timedelta(seconds=30)
MARK = "sign_in"


def begin(*, user: User, address: str | None, browser: str, now: datetime) -> SignIn:
    """Return the new sign-in; the oldest of too many ends."""
    with transaction.atomic():
        User.objects.select_for_update(no_key=True).get(pk=user.pk)
        others = SignIn.objects.filter(user=user, ended_at__isnull=True).order_by("-began_at")
        for old in others[MOST_PARALLEL - 1 :]:
            _end(old, why="too many at once", now=now)
        made = SignIn.objects.create(
            user=user, began_at=now, seen_at=now, stepped_up_at=now, address=address, browser=browser[:200]
        )
        record(
            actor=user.get_username(),
            action="accounts.sign_in.began",
            subject=f"user:{user.get_username()}",
            detail={"sign_in": str(made.pk), "address": address},
            now=now,
        )
    return made


def standing(*, session: SessionBase, now: datetime) -> SignIn | None:
    """Return the sign-in of a session and note its use; None where it has ended, idled or grown too old."""
    mark, user_id = session.get(MARK), session.get(SESSION_KEY)
    if mark is None or user_id is None:
        return None
    held = SignIn.objects.filter(pk=UUID(mark), user_id=user_id, ended_at__isnull=True).first()
    if held is None:
        return None
    if held.began_at <= now - LONGEST or held.seen_at <= now - IDLE:
        _end(held, why="too long" if held.began_at <= now - LONGEST else "idle", now=now)
        return None
    if held.seen_at < now - SEEN_NOTED_EVERY:
        SignIn.objects.filter(pk=held.pk).update(seen_at=now)
    return held


def step_up(*, held: SignIn, now: datetime) -> None:
    """Note that the person proved once more who they are."""
    with transaction.atomic():
        SignIn.objects.filter(pk=held.pk).update(stepped_up_at=now)
        name = held.user.get_username()
        record(actor=name, action="accounts.sign_in.stepped_up", subject=f"user:{name}", now=now)


def is_fresh(held: SignIn | None, *, now: datetime) -> bool:
    """Say whether the person proved who they are within the last five minutes."""
    return held is not None and now - held.stepped_up_at < STEPPED_UP_FOR


def require_fresh(held: SignIn | None, *, now: datetime) -> None:
    """Raise StepUpNeeded unless the person proved who they are within the last five minutes."""
    if not is_fresh(held, now=now):
        raise StepUpNeeded("confirm that it is you: enter a code of your app, or your password")


def end(*, sign_in_id: UUID, actor: str, reason: str, now: datetime) -> None:
    """End one sign-in; its next request is nobody's."""
    with transaction.atomic():
        held = SignIn.objects.select_for_update(of=("self",)).select_related("user").get(pk=sign_in_id)
        if held.ended_at is None:
            _end(held, why=f"by {actor}"[:80], now=now)
            record(
                actor=actor,
                action="accounts.sign_in.ended",
                subject=f"user:{held.user.get_username()}",
                reason=required(reason)[:200],
                detail={"sign_in": str(held.pk)},
                now=now,
            )


def end_every(*, user: User, actor: str, reason: str, now: datetime) -> None:
    """Sign a person out everywhere."""
    with transaction.atomic():
        count = end_all(user=user, why=f"by {actor}"[:80], now=now)
        record(
            actor=actor,
            action="accounts.sign_in.ended",
            subject=f"user:{user.get_username()}",
            reason=required(reason)[:200],
            detail={"count": count},
            now=now,
        )


def end_all(*, user: User, why: str, now: datetime) -> int:
    """End every sign-in of a person and return how many there were."""
    return SignIn.objects.filter(user=user, ended_at__isnull=True).update(ended_at=now, ended_for=why)


def unlock(*, username: str, address: str | None, actor: str, reason: str, now: datetime) -> None:
    """Forget the wrong passwords of a name at an address, so that it may try again at once."""
    with transaction.atomic():
        AccessAttempt.objects.filter(username=username, ip_address=address).delete()
        record(
            actor=actor,
            action="accounts.sign_in.unlocked",
            subject=f"user:{username}"[:120],
            reason=required(reason)[:200],
            detail={"address": address},
            now=now,
        )


def _end(held: SignIn, *, why: str, now: datetime) -> None:
    SignIn.objects.filter(pk=held.pk, ended_at__isnull=True).update(ended_at=now, ended_for=why)
