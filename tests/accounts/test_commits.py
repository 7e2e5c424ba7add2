"""What follows a commit cannot undo it."""

import pytest
from django.db import transaction

from accounts.commits import after_commit

pytestmark = pytest.mark.django_db(transaction=True)


def test_it_is_done_after_the_commit_with_what_it_was_given() -> None:
    told: list[tuple[int, int]] = []

    def tell(one: int, *, other: int) -> None:
        told.append((one, other))

    with transaction.atomic():
        for number in range(2):
            after_commit(tell, number, other=number + 1)
        assert told == []

    assert told == [(0, 1), (1, 2)]


def test_it_is_not_done_after_a_rollback() -> None:
    told: list[int] = []

    with transaction.atomic():
        after_commit(told.append, 1)
        transaction.set_rollback(True)

    assert told == []


def test_a_failure_is_logged_and_what_stands_behind_it_is_still_done(caplog: pytest.LogCaptureFixture) -> None:
    told: list[int] = []

    def fail(account: str) -> None:
        raise KeyError(account)

    with transaction.atomic():
        after_commit(fail, "sbx001")
        after_commit(told.append, 1)

    assert told == [1]
    assert "KeyError" in caplog.text
