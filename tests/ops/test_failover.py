"""Moving data between accounts."""

from datetime import UTC, datetime, timedelta

import pytest

from accounts.errors import AccountStateConflict, AccountUnknown, ReasonMissing
from accounts.models import AuditEntry, BrokerAccount
from kite.types import Mode
from market_data.errors import CapacityExceeded
from market_data.models import Instrument
from market_data.subscriptions import wish
from ops import failover
from ops.errors import NoTaker
from tests.factories import CredentialFactory
from tests.market_data.factories import InstrumentFactory

pytestmark = pytest.mark.django_db
NOW = datetime.now(UTC)
LATER = NOW + timedelta(minutes=5)


def streaming(*labels: str) -> list[BrokerAccount]:
    """Return accounts that are logged in and stream data."""
    return [CredentialFactory(account__label=label, live=True).account for label in labels]


def wanted(count: int) -> None:
    """Want ticks of some instruments."""
    rows = [InstrumentFactory() for _ in range(count)]
    wish(instruments=rows, mode=Mode.QUOTE, wanted_by="test", now=NOW)


def state_of(label: str) -> str:
    """Return the account's state as stored."""
    return BrokerAccount.objects.get(label=label).state


def test_a_plan_says_who_takes_how_many() -> None:
    streaming("one", "two", "three")
    wanted(30)

    move = failover.plan(label="one", now=NOW)

    assert 0 < move.instruments < 30
    assert sum(move.takers.values()) == move.instruments
    assert set(move.takers) <= {"two", "three"}
    assert move.unplaced == 0


def test_a_plan_changes_nothing() -> None:
    streaming("one", "two")

    failover.plan(label="one", now=NOW)

    assert state_of("one") == "active"
    assert not AuditEntry.objects.filter(action="ops.data.failed_over").exists()


def test_with_an_end_only_data_moves_and_the_account_comes_back_by_itself() -> None:
    streaming("one", "two")

    failover.fail_over(label="one", reason="slow", actor="asha", now=NOW, until=LATER)

    account = BrokerAccount.objects.get(label="one")
    assert (account.state, account.recovers_at) == ("degraded", LATER)


def test_without_an_end_the_account_is_out_until_restored() -> None:
    streaming("one", "two")

    failover.fail_over(label="one", reason="key is leaking", actor="asha", now=NOW)

    assert state_of("one") == "cordoned"


def test_a_failover_is_written_down_with_what_moved() -> None:
    streaming("one", "two")
    wanted(10)

    move = failover.fail_over(label="one", reason="slow", actor="asha", now=NOW, until=LATER)

    entry = AuditEntry.objects.get(action="ops.data.failed_over")
    assert (entry.actor, entry.subject, entry.reason) == ("asha", "account:one", "slow")
    assert entry.detail["takers"] == {"two": move.instruments}


def test_the_last_streaming_account_is_not_failed_over() -> None:
    streaming("one")

    with pytest.raises(NoTaker):
        failover.fail_over(label="one", reason="slow", actor="asha", now=NOW)

    assert state_of("one") == "active"


def test_a_plan_above_nine_tenths_of_the_capacity_is_refused() -> None:
    streaming("one", "two")
    rows = Instrument.objects.bulk_create(InstrumentFactory.build_batch(8_101))
    wish(instruments=rows, mode=Mode.QUOTE, wanted_by="test", now=NOW)

    with pytest.raises(CapacityExceeded, match="8101 instruments wanted, 1 accounts admit 8100"):
        failover.fail_over(label="one", reason="slow", actor="asha", now=NOW)

    assert state_of("one") == "active"
    assert not AuditEntry.objects.filter(action="ops.data.failed_over").exists()


def test_a_failover_needs_a_reason() -> None:
    streaming("one", "two")

    with pytest.raises(ReasonMissing):
        failover.fail_over(label="one", reason=" ", actor="asha", now=NOW)

    assert state_of("one") == "active"


def test_a_failover_names_an_account_that_exists() -> None:
    with pytest.raises(AccountUnknown):
        failover.fail_over(label="nobody", reason="slow", actor="asha", now=NOW)


@pytest.mark.parametrize("until", [LATER, None])
def test_a_failed_over_account_is_restored(until: datetime | None) -> None:
    streaming("one", "two")
    failover.fail_over(label="one", reason="slow", actor="asha", now=NOW, until=until)

    failover.restore(label="one", reason="mended", actor="asha", now=NOW)

    assert state_of("one") == "active"


def test_an_active_account_cannot_be_restored() -> None:
    streaming("one")

    with pytest.raises(AccountStateConflict):
        failover.restore(label="one", reason="mended", actor="asha", now=NOW)
