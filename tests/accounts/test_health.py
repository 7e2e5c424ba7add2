"""States of an account: who may move to which, and what is kept of it."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db import IntegrityError, connection, transaction

from accounts import health
from accounts.errors import AccountStateConflict, AccountUnknown, ReasonMissing
from accounts.models import AuditEntry, BrokerAccount, Credential
from accounts.tasks import expire_tokens, restore_recovered
from tests.factories import BrokerAccountFactory, CredentialFactory

pytestmark = pytest.mark.django_db

BY_HAND = {"reason": "drill", "actor": "asha"}


def in_state(state: str, now: datetime) -> BrokerAccount:
    reason = "" if state == "active" else "earlier"
    return BrokerAccountFactory(
        state=state, state_reason=reason, recovers_at=now + timedelta(minutes=1) if state == "degraded" else None
    )


def degrade(*, account_id: UUID, now: datetime) -> None:
    health.degrade(account_id=account_id, reason="socket lost", now=now, recovers_at=now + timedelta(minutes=5))


def cordon(*, account_id: UUID, now: datetime) -> None:
    health.cordon(account_id=account_id, now=now, **BY_HAND)


def uncordon(*, account_id: UUID, now: datetime) -> None:
    health.uncordon(account_id=account_id, now=now, **BY_HAND)


@pytest.mark.parametrize(
    ("verb", "before", "after"),
    [
        (degrade, "active", "degraded"),
        (degrade, "degraded", "degraded"),
        (degrade, "cordoned", "cordoned"),
        (degrade, "retired", "retired"),
        (health.restore, "active", "active"),
        (health.restore, "degraded", "active"),
        (health.restore, "cordoned", "cordoned"),
        (health.restore, "retired", "retired"),
        (cordon, "active", "cordoned"),
        (cordon, "degraded", "cordoned"),
        (cordon, "cordoned", "cordoned"),
        (cordon, "retired", "retired"),
        (uncordon, "active", "active"),
        (uncordon, "degraded", "degraded"),
        (uncordon, "cordoned", "active"),
        (uncordon, "retired", "retired"),
    ],
)
def test_a_verb_moves_an_account_or_leaves_it_alone(
    verb: Callable[..., None], before: str, after: str, now: datetime
) -> None:
    account = in_state(before, now)

    verb(account_id=account.pk, now=now)

    account.refresh_from_db()
    assert account.state == after
    assert AuditEntry.objects.count() == (before != after)


def test_a_move_keeps_who_made_it_and_why(now: datetime) -> None:
    account = in_state("active", now)

    cordon(account_id=account.pk, now=now)

    account.refresh_from_db()
    entry = AuditEntry.objects.get()
    assert (account.state_reason, account.state_changed_at) == ("drill", now)
    assert (entry.actor, entry.action, entry.subject) == (
        "asha",
        "accounts.account.cordoned",
        f"account:{account.label}",
    )
    assert entry.detail == {"before": "active", "after": "cordoned"}


def test_a_second_failure_only_lengthens_the_degradation(now: datetime) -> None:
    account = in_state("degraded", now)
    later = now + timedelta(minutes=5)

    degrade(account_id=account.pk, now=now)
    health.degrade(account_id=account.pk, reason="again", now=now, recovers_at=now)

    account.refresh_from_db()
    assert (account.recovers_at, account.state_reason) == (later, "earlier")


def test_accounts_come_back_when_their_time_has_come(now: datetime) -> None:
    due, not_yet = in_state("degraded", now), in_state("degraded", now)
    BrokerAccount.objects.filter(pk=due.pk).update(recovers_at=now - timedelta(seconds=1))

    restore_recovered()

    assert set(BrokerAccount.objects.values_list("pk", "state")) == {(due.pk, "active"), (not_yet.pk, "degraded")}


def test_the_task_forgets_dead_tokens(now: datetime) -> None:
    CredentialFactory(live=True, token_expires_at=now - timedelta(minutes=1))

    expire_tokens()

    assert not Credential.objects.filter(access_token__isnull=False).exists()


def test_only_a_cordoned_account_is_retired(now: datetime) -> None:
    account = in_state("active", now)
    with pytest.raises(AccountStateConflict, match="cordon it first"):
        health.retire(account_id=account.pk, now=now, **BY_HAND)

    cordon(account_id=account.pk, now=now)
    health.retire(account_id=account.pk, now=now, **BY_HAND)

    account.refresh_from_db()
    assert account.state == "retired"


@pytest.mark.parametrize("verb", [health.cordon, health.uncordon, health.retire])
def test_a_deed_by_hand_needs_a_reason(verb: Callable[..., None], now: datetime) -> None:
    account = in_state("cordoned" if verb is not health.cordon else "active", now)

    with pytest.raises(ReasonMissing):
        verb(account_id=account.pk, reason=" ", actor="asha", now=now)


def test_an_unknown_account_is_named(now: datetime) -> None:
    with pytest.raises(AccountUnknown):
        health.cordon(account_id=uuid4(), now=now, **BY_HAND)


@pytest.mark.django_db(transaction=True)
def test_two_reports_of_one_failure_make_one_entry(now: datetime) -> None:
    account = in_state("active", now)
    start = threading.Barrier(4)

    def report(_: int) -> None:
        try:
            start.wait(10)
            degrade(account_id=account.pk, now=now)
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(report, range(4)))

    assert AuditEntry.objects.filter(action="accounts.account.degraded").count() == 1


@pytest.mark.parametrize(
    "wrong",
    [
        {"state": "asleep", "state_reason": "x"},
        {"state": "cordoned", "state_reason": ""},
        {"state": "degraded", "state_reason": "x", "recovers_at": None},
    ],
)
def test_the_database_refuses_states_that_make_no_sense(wrong: dict[str, Any]) -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        BrokerAccountFactory(**wrong)


def test_the_database_keeps_one_current_version_an_account() -> None:
    held = CredentialFactory()

    with pytest.raises(IntegrityError), transaction.atomic():
        CredentialFactory(account=held.account, version=2)


def test_the_database_refuses_a_token_without_an_end(now: datetime) -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        CredentialFactory(access_token="token")


def test_the_database_refuses_a_retired_version_with_a_secret(now: datetime) -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        CredentialFactory(current=False, retired_at=now)
