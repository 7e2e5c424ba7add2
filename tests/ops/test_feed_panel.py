"""The feed panel: shards, clients and counts as the processes report them."""

from datetime import UTC, datetime
from typing import Any

import pytest
from redis import Redis

from market_data.bus import sync_bus
from market_data.frames import Format
from market_data.hub_clients import Client, slowest
from ops import feed, pulse
from ops.state import Feed

NOW = datetime.now(UTC)


@pytest.fixture
def panel(clean_redis: Redis) -> Feed:
    """Return the panel of one shard and two web processes."""
    account = {"account_id": "1", "connections": [], "ticks_per_second": 40.0, "lag_ms": {"p50": 2.0, "p99": 9.0}}
    hubs: dict[str, dict[str, Any]] = {
        "hub:a": {"slowest": [{"label": "slow", "waits_seconds": 3.0, "skipped": 7}], "clients": 2, "stale_quotes": 4},
        "hub:b": {
            "slowest": [{"label": "slower", "waits_seconds": 9.0, "skipped": 1}],
            "clients": 1,
            "stale_quotes": 5,
        },
    }
    report = {"shard": 0, "at": NOW.timestamp(), "accounts": [account], "counts": {"conflated": 6}}
    sync_bus().put_health(name="feed:0", report=report)
    for name, each in hubs.items():
        sync_bus().put_health(name=name, report={**each, "at": NOW.timestamp(), "counts": {"conflated": 1}})
    return feed.read(pulse=pulse.listen(), now=NOW)


def test_a_shard_tells_its_pace_and_lag(panel: Feed) -> None:
    (shard,) = panel.shards

    assert (shard.name, shard.ticks_per_second, shard.lag_p50_ms, shard.lag_p99_ms) == ("shard 0", 40.0, 2.0, 9.0)


def test_the_slowest_clients_of_all_processes_come_first(panel: Feed) -> None:
    assert [(one.label, one.skipped) for one in panel.slowest] == [("slower", 1), ("slow", 7)]


def test_counts_are_summed_over_feed_and_web_processes(panel: Feed) -> None:
    facts = {fact.name: fact.value for fact in panel.facts}

    assert (facts["Values conflated"], facts["Clients"], facts["Stale quotes"]) == (8, 3, 5)


def test_without_a_web_process_clients_are_not_measured(clean_redis: Redis) -> None:
    facts = {fact.name: fact.value for fact in feed.read(pulse=pulse.listen(), now=NOW).facts}

    assert (facts["Clients"], facts["Stale quotes"]) == (None, None)


async def unheard(_: object) -> None:
    """Send nowhere."""


def client(label: str, *, busy_since: float | None = None, skipped: int = 0) -> Client:
    one = Client(send=unheard, form=Format.JSON, label=label)
    one.busy_since, one.skipped = busy_since, skipped
    return one


def test_who_keeps_a_server_waiting_is_slower_than_who_was_skipped() -> None:
    clients = [client("quick"), client("skipped", skipped=9), client("waits", busy_since=90.0)]

    found = slowest(clients, now=100.0)

    assert found == [
        {"label": "waits", "waits_seconds": 10.0, "skipped": 0},
        {"label": "skipped", "waits_seconds": 0.0, "skipped": 9},
    ]
