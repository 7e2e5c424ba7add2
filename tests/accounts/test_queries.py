"""The lock between claims and halts, and the halts in force."""

import threading
from datetime import datetime, timedelta

import pytest
from django.db import OperationalError, connection, transaction

from accounts.models import HaltEpoch, TradingHalt
from accounts.queries import lock_halt_epoch, open_halts


@pytest.mark.django_db
def test_the_epoch_begins_at_zero_without_being_made() -> None:
    assert lock_halt_epoch() == 0
    assert HaltEpoch.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_a_halt_waits_for_the_claims_that_hold_the_epoch_and_claims_do_not_wait_for_each_other() -> None:
    with transaction.atomic():
        lock_halt_epoch()
    seen: list[object] = []

    def other() -> None:
        try:
            with transaction.atomic():
                seen.append(lock_halt_epoch())
            with transaction.atomic(), connection.cursor() as cursor:
                cursor.execute("SET LOCAL lock_timeout = '100ms'")
                HaltEpoch.objects.update(epoch=1)
        except OperationalError as error:
            seen.append(getattr(error.__cause__, "sqlstate", None))
        finally:
            connection.close()

    with transaction.atomic():
        lock_halt_epoch()
        thread = threading.Thread(target=other)
        thread.start()
        thread.join(10)

    assert seen == [0, "55P03"]
    assert HaltEpoch.objects.get().epoch == 0


@pytest.mark.django_db
def test_released_halts_are_not_in_force(now: datetime) -> None:
    values = {"scope": "account", "reason": "drill", "engaged_by": "asha"}
    late = TradingHalt.objects.create(target="two", engaged_at=now, **values)
    early = TradingHalt.objects.create(target="one", engaged_at=now - timedelta(hours=1), **values)
    TradingHalt.objects.create(target="one", engaged_at=now, released_at=now, released_by="asha", **values)

    assert open_halts() == [early, late]
