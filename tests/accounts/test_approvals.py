"""Four eyes: asked for by one, approved by another, done once."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import IntegrityError, ProgrammingError, connection, transaction

from accounts import approvals
from accounts.errors import ApprovalNeeded, ApprovalPending, ApprovalUnknown, Forbidden, ReasonMissing, SelfApproval
from accounts.guards import Approval
from accounts.models import AuditEntry, User
from accounts.queries import Principal
from tests.factories import principal

pytestmark = pytest.mark.django_db(transaction=True)
RELEASE = Approval.Verb.RELEASE_HALT


@pytest.fixture
def asha() -> Principal:
    """Return who asks."""
    return principal()


@pytest.fixture
def binod() -> Principal:
    """Return who approves."""
    return principal(role=User.Role.SECURITY_OFFICER)


def ask(by: Principal, now: datetime, **values: object) -> Approval:
    fields: dict[str, Any] = {"verb": RELEASE, "subject": "platform", "reason": "the data is back", **values}
    return approvals.request_approval(by=by, now=now, **fields)


def use(now: datetime, **values: object) -> Approval:
    with transaction.atomic():
        fields: dict[str, Any] = {"verb": RELEASE, "subject": "platform", "actor": "asha", **values}
        return approvals.consume(now=now, **fields)


def test_a_deed_that_two_people_agreed_to_is_done_once(asha: Principal, binod: Principal, now: datetime) -> None:
    asked = ask(asha, now, detail={"halt": 7})
    approvals.approve(approval_id=asked.pk, by=binod, now=now)

    used = use(now, detail={"halt": 7})

    assert used.pk == asked.pk
    with pytest.raises(ApprovalNeeded):
        use(now, detail={"halt": 7})
    actions = AuditEntry.objects.order_by("id").values_list("action", "actor", "subject")
    assert list(actions) == [
        ("accounts.approval.requested", asha.label, "platform"),
        ("accounts.approval.approved", binod.label, "platform"),
        ("accounts.approval.used", "asha", "platform"),
    ]


def test_nothing_is_done_before_it_is_approved(asha: Principal, now: datetime) -> None:
    ask(asha, now)

    with pytest.raises(ApprovalNeeded):
        use(now)


def test_nobody_approves_what_he_asked_for(asha: Principal, now: datetime) -> None:
    asked = ask(asha, now)

    with pytest.raises(SelfApproval):
        approvals.approve(approval_id=asked.pk, by=asha, now=now)


def test_the_database_itself_wants_two_people(asha: Principal, now: datetime) -> None:
    asked = ask(asha, now)

    with pytest.raises(IntegrityError, match="approval_needs_two_people"):
        Approval.objects.filter(pk=asked.pk).update(approved_by=asha.user_id, approved_at=now)


def test_a_program_cannot_approve(asha: Principal, binod: Principal, now: datetime) -> None:
    asked = ask(asha, now)

    with pytest.raises(Forbidden, match="program"):
        approvals.approve(approval_id=asked.pk, by=replace(binod, key_id=3), now=now)


def test_approving_needs_the_right_to(asha: Principal, now: datetime) -> None:
    asked = ask(asha, now)

    with pytest.raises(Forbidden, match="approvals:write"):
        approvals.approve(approval_id=asked.pk, by=principal(role=User.Role.TRADER), now=now)


def test_another_deed_than_the_approved_one_is_refused(asha: Principal, binod: Principal, now: datetime) -> None:
    asked = ask(asha, now, detail={"halt": 7})
    approvals.approve(approval_id=asked.pk, by=binod, now=now)

    for other in ({"detail": {"halt": 8}}, {"subject": "account:one"}, {"verb": Approval.Verb.FLATTEN}):
        with pytest.raises(ApprovalNeeded):
            use(now, **{"detail": {"halt": 7}, **other})


def test_an_approval_dies_after_thirty_minutes(asha: Principal, binod: Principal, now: datetime) -> None:
    asked = ask(asha, now)
    approvals.approve(approval_id=asked.pk, by=binod, now=now)
    late = now + timedelta(minutes=30)

    with pytest.raises(ApprovalNeeded):
        use(late)

    again = ask(binod, late)
    assert again.pk != asked.pk
    assert AuditEntry.objects.filter(action="accounts.approval.expired", actor="platform").count() == 1


def test_the_same_deed_is_not_asked_for_twice(asha: Principal, binod: Principal, now: datetime) -> None:
    ask(asha, now)

    with pytest.raises(ApprovalPending):
        ask(binod, now)


def test_a_declined_request_is_closed(asha: Principal, binod: Principal, now: datetime) -> None:
    asked = ask(asha, now)

    approvals.decline(approval_id=asked.pk, by=binod, reason="not yet", now=now)

    with pytest.raises(ApprovalUnknown):
        approvals.approve(approval_id=asked.pk, by=binod, now=now)
    assert ask(asha, now).pk != asked.pk


def test_who_asked_may_take_it_back_without_the_right_to_approve(now: datetime) -> None:
    trader = principal(role=User.Role.TRADER)
    asked = ask(trader, now)

    assert approvals.decline(approval_id=asked.pk, by=trader, reason="a mistake", now=now).closed_by == trader.label


def test_asking_needs_a_reason(asha: Principal, now: datetime) -> None:
    with pytest.raises(ReasonMissing):
        ask(asha, now, reason=" ")

    assert not Approval.objects.exists()


def test_a_deed_that_fails_gives_its_approval_back(asha: Principal, binod: Principal, now: datetime) -> None:
    asked = ask(asha, now)
    approvals.approve(approval_id=asked.pk, by=binod, now=now)

    def fail() -> None:
        with transaction.atomic():
            approvals.consume(verb=RELEASE, subject="platform", actor="asha", now=now)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()

    assert use(now).pk == asked.pk


def test_of_many_at_once_exactly_one_uses_an_approval(asha: Principal, binod: Principal, now: datetime) -> None:
    asked = ask(asha, now)
    approvals.approve(approval_id=asked.pk, by=binod, now=now)

    def attempt(number: int) -> bool:
        try:
            use(now, actor=f"person {number}")
        except ApprovalNeeded:
            return False
        finally:
            connection.close()
        return True

    with ThreadPoolExecutor(8) as pool:
        outcomes = list(pool.map(attempt, range(16)))

    assert outcomes.count(True) == 1


def test_an_answer_cannot_be_taken_back_in_the_database(asha: Principal, binod: Principal, now: datetime) -> None:
    asked = ask(asha, now)
    approvals.approve(approval_id=asked.pk, by=binod, now=now)
    use(now)

    for change in ({"used_at": None}, {"approved_by": asha.user_id}, {"detail": {"halt": 9}}):
        with pytest.raises((ProgrammingError, IntegrityError)):
            Approval.objects.filter(pk=asked.pk).update(**change)
    with pytest.raises(ProgrammingError, match="stay on record"):
        Approval.objects.filter(pk=asked.pk).delete()


def test_using_an_approval_outside_of_a_transaction_is_refused(now: datetime) -> None:
    with pytest.raises(transaction.TransactionManagementError):
        approvals.consume(verb=RELEASE, subject="platform", actor="asha", now=now)
