"""Halting and letting go."""

import threading
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from django.db import connection, transaction

from accounts.errors import ReasonMissing
from accounts.models import AuditEntry, HaltEpoch, TradingHalt
from accounts.queries import lock_halt_epoch, open_halts
from ops import halt
from ops.errors import HaltStricter, HaltUnknown, TargetUnknown
from tests.factories import BrokerAccountFactory
from tests.ops.two_people import approve_release

NOW = datetime(2026, 11, 24, 5, 0, tzinfo=UTC)


def engage(
    *,
    scope: TradingHalt.Scope = TradingHalt.Scope.PLATFORM,
    target: str = "",
    level: TradingHalt.Level = TradingHalt.Level.HALTED,
    reason: str = "runaway strategy",
) -> TradingHalt:
    """Engage with the fewest words."""
    return halt.engage(scope=scope, target=target, level=level, reason=reason, actor="asha", now=NOW)


@pytest.mark.django_db
def test_an_engaged_halt_is_in_force() -> None:
    engaged = engage()

    assert open_halts() == [engaged]
    assert (engaged.level, engaged.engaged_by, engaged.engaged_at) == ("halted", "asha", NOW)


@pytest.mark.django_db
def test_every_engagement_moves_the_epoch() -> None:
    before = lock_halt_epoch()

    engage()

    assert lock_halt_epoch() == before + 1


@pytest.mark.django_db
def test_the_epoch_row_is_made_where_it_is_missing() -> None:
    HaltEpoch.objects.all().delete()

    engage()

    assert HaltEpoch.objects.get().epoch == 1


@pytest.mark.django_db
def test_an_engagement_is_written_into_the_audit_trail() -> None:
    engage(reason="  runaway \n strategy ")

    entry = AuditEntry.objects.get(action="ops.halt.engaged")
    assert (entry.actor, entry.subject, entry.reason) == ("asha", "platform", "runaway strategy")


@pytest.mark.django_db
def test_engaging_the_same_halt_again_changes_nothing() -> None:
    first = engage()

    second = engage(reason="somebody else pressed too")

    assert second == first
    assert AuditEntry.objects.filter(action="ops.halt.engaged").count() == 1


@pytest.mark.django_db
def test_reducing_is_tightened_to_halted() -> None:
    engage(level=TradingHalt.Level.REDUCING)

    tightened = engage(level=TradingHalt.Level.HALTED)

    assert open_halts() == [tightened]


@pytest.mark.django_db
def test_halted_is_not_loosened_to_reducing() -> None:
    engage(level=TradingHalt.Level.HALTED)

    with pytest.raises(HaltStricter):
        engage(level=TradingHalt.Level.REDUCING)

    assert [standing.level for standing in open_halts()] == ["halted"]


@pytest.mark.django_db
@pytest.mark.parametrize("reason", ["", "   ", "\n"])
def test_a_halt_needs_a_reason(reason: str) -> None:
    with pytest.raises(ReasonMissing):
        engage(reason=reason)

    assert open_halts() == []


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("scope", "target"),
    [
        (TradingHalt.Scope.PLATFORM, "desk-1"),
        (TradingHalt.Scope.ACCOUNT, ""),
        (TradingHalt.Scope.ACCOUNT, "nobody"),
        (TradingHalt.Scope.SYMBOL, "NSE:NOTLISTED"),
        (TradingHalt.Scope.STRATEGY, ""),
    ],
)
def test_a_halt_names_something_that_exists(scope: TradingHalt.Scope, target: str) -> None:
    with pytest.raises(TargetUnknown):
        engage(scope=scope, target=target)

    assert open_halts() == []


@pytest.mark.django_db
def test_an_account_is_halted_by_its_label() -> None:
    BrokerAccountFactory(label="desk-1")

    engaged = engage(scope=TradingHalt.Scope.ACCOUNT, target="desk-1")

    assert (engaged.scope, engaged.target) == ("account", "desk-1")


@pytest.mark.django_db
def test_a_released_halt_is_no_longer_in_force() -> None:
    engaged = engage()

    approve_release(engaged, now=NOW)
    released = halt.release(halt_id=engaged.pk, actor="ravi", now=NOW)

    assert open_halts() == []
    assert (released.released_by, released.released_at) == ("ravi", NOW)
    assert AuditEntry.objects.filter(action="ops.halt.released", actor="ravi").count() == 1


@pytest.mark.django_db
def test_a_halt_is_released_once() -> None:
    engaged = engage()
    approve_release(engaged, now=NOW)
    halt.release(halt_id=engaged.pk, actor="ravi", now=NOW)

    with pytest.raises(HaltUnknown):
        halt.release(halt_id=engaged.pk, actor="ravi", now=NOW)


@pytest.mark.django_db(transaction=True)
def test_a_halt_waits_for_the_claim_that_read_the_old_epoch() -> None:
    engaged = threading.Event()
    HaltEpoch.objects.get_or_create(pk=1)
    with transaction.atomic():
        lock_halt_epoch()
        other = threading.Thread(target=_engage_and_tell, args=(engaged,))
        other.start()
        until(_somebody_waits_for_a_lock)
        waited = not engaged.is_set()

    other.join(5)
    assert waited
    assert engaged.is_set()


def _engage_and_tell(engaged: threading.Event) -> None:
    try:
        engage()
        engaged.set()
    finally:
        connection.close()


def _somebody_waits_for_a_lock() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_locks WHERE NOT granted")
        return bool(cursor.fetchone()[0])


def until(condition: Callable[[], bool], *, seconds: float = 20.0) -> None:
    """Wait for a condition."""
    pause = threading.Event()
    for _ in range(int(seconds / 0.02)):
        if condition():
            return
        pause.wait(0.02)
    raise AssertionError(f"{condition.__name__} did not come true in {seconds} s")
