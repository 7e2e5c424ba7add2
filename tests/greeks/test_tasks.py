"""The beat of the live chains."""

import threading
from datetime import timedelta

import pytest
from django.db import connection, transaction
from django.utils import timezone

from greeks import chains, option_store, queries, store, tasks
from greeks.models import ChainMinute, OptionMinute, UnderlyingMinute
from market_data.bus import sync_bus
from market_data.partitions import AHEAD_DAYS
from tests.greeks.market import OptionMarket


@pytest.fixture(autouse=True)
def fresh_engine() -> None:
    chains.engine.cache_clear()


def test_a_beat_computes_the_live_chains(market: OptionMarket) -> None:
    tasks.recompute_chains()

    blob = sync_bus().get_blob(store.INDEX)
    assert blob is not None
    assert all(str(head.key).startswith("NIFTY:") for head in store.unpack_index(blob))


def test_a_minute_of_every_live_chain_is_kept(market: OptionMarket) -> None:
    now = timezone.now()
    market.publish(market.rows(now=now))
    tasks.recompute_chains()

    tasks.record_minutes()

    assert ChainMinute.objects.count() == 2
    assert UnderlyingMinute.objects.get().underlying == "NIFTY"
    assert OptionMinute.objects.count() == 164


def test_the_days_of_the_option_history_are_made_ahead(db: None) -> None:
    tasks.maintain_history()

    today = timezone.localdate()
    days = {today + timedelta(days=ahead) for ahead in range(AHEAD_DAYS + 1)}
    assert {option_store.MINUTES.name_of(day) for day in days} <= option_store.MINUTES.existing()


@pytest.mark.django_db(transaction=True)
def test_two_workers_never_compute_at_the_same_time(market: OptionMarket) -> None:
    taken, done = threading.Event(), threading.Event()

    def other_worker() -> None:
        with transaction.atomic():
            queries.take_lease()
            taken.set()
            done.wait(10)
        connection.close()

    thread = threading.Thread(target=other_worker)
    thread.start()
    taken.wait(10)
    tasks.recompute_chains()
    while_held = sync_bus().get_blob(store.INDEX)
    done.set()
    thread.join()
    tasks.recompute_chains()

    assert while_held is None
    assert sync_bus().get_blob(store.INDEX) is not None
