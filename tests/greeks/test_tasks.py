"""The beat of the live chains."""

import threading

import pytest
from django.db import connection, transaction

from greeks import chains, queries, store, tasks
from market_data.bus import sync_bus
from tests.greeks.market import OptionMarket


@pytest.fixture(autouse=True)
def fresh_engine() -> None:
    chains.engine.cache_clear()


def test_a_beat_computes_the_live_chains(market: OptionMarket) -> None:
    tasks.recompute_chains()

    blob = sync_bus().get_blob(store.INDEX)
    assert blob is not None
    assert all(str(head.key).startswith("NIFTY:") for head in store.unpack_index(blob))


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
