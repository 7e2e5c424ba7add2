"""The page Prometheus reads."""

import re
import time
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from accounts.models import User
from market_data.bus import sync_bus
from ops import status
from ops.metrics import families
from ops.pulse import listen
from tests.architecture.sources import ROOT
from tests.factories import CredentialFactory, UserFactory
from tests.orders.factories import OrderFactory

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clean_redis")]
SAMPLE = re.compile(r'^[a-z_]+(\{[a-z]+="[^"]*"(,[a-z]+="[^"]*")*\})? -?[0-9.e+-]+$')
REPORT: dict[str, Any] = {
    "shard": 0,
    "wanted": 2,
    "counts": {"frames": 7, "packets": 70},
    "lost_batches": 1,
}


# What the former service exported, or its documents asked for, as its own description lists it.
FORMER = """
http_requests_total http_request_duration_seconds order_requests_total order_requests_completed
order_execution_duration_seconds order_execution_success_rate circuit_breaker_state circuit_breaker_failures_total
task_queue_depth task_queue_depth_total order_dead_letter_queue_depth order_dead_letter_total
active_subscriptions_total websocket_connections_total websocket_messages_total websocket_pool_connections
websocket_pool_subscribed_tokens websocket_pool_target_tokens websocket_pool_capacity_utilization_percent
websocket_pool_subscriptions_total websocket_pool_unsubscriptions_total websocket_pool_subscription_errors_total
websocket_pool_connected_status instrument_cache_size instrument_lookups_total kite_api_calls_total
kite_api_errors_total database_queries_total database_query_duration_seconds redis_operations_total
redis_publish_size_bytes redis_publish_total redis_publish_failures redis_circuit_open_drops redis_circuit_state
tick_processing_latency_seconds greeks_calculation_latency_seconds tick_batch_flush_latency_seconds
ticks_processed_total ticks_published_total tick_batch_size tick_batches_flushed_total tick_batch_fill_rate
tick_processing_errors_total tick_validation_errors_total tick_processor_active_accounts
tick_processor_underlying_price tick_batch_pending_size greeks_calculations_total market_depth_updates_total
ticker_ticks_received_total ticker_ticks_published_total ticker_ticks_dropped_total ticker_publish_latency_seconds
ticker_pending_publishes ticker_backpressure_level ticker_ingestion_rate_per_sec ticker_publish_rate_per_sec
kite_websocket_subscriptions_current kite_websocket_subscriptions_limit
kite_websocket_subscription_utilization_percent kite_websocket_connections_active kite_websocket_connections_limit
kite_websocket_total_capacity_utilization_percent kite_api_rate_limit_remaining kite_api_rate_limit_exceeded_total
kite_api_calls_per_second kite_order_rate_current kite_order_queue_depth kite_daily_order_count
kite_daily_api_requests kite_access_token_expiry_seconds kite_session_active trading_account_connection_status
trading_account_connection_status_change_timestamp service_health service_uptime service_restarts service_requests
service_errors service_cpu service_memory service_disk service_network service_dependency_* service_connections
service_queue service_cache auth_failures_total auth_success_total access_denied_total credential_access_total
db_pool_* lock_wait_time_seconds executor_queue_depth kite_failover_*
"""


def table_rows(*, first: str) -> list[list[str]]:
    """Return the rows of the table in docs/metrics.md whose first column is headed so."""
    _, _, rest = (ROOT / "docs/metrics.md").read_text().partition(f"| {first} |")
    lines = rest.partition("\n\n")[0].splitlines()[2:]
    return [line.strip("|").split("|") for line in lines]


def exported() -> set[str]:
    """Return the name of every family, with a sample now or without."""
    now = timezone.now()
    return {metric.name for metric in families(state=status.snapshot(now=now), pulse=listen())}


def test_every_metric_is_explained_and_nothing_else() -> None:
    explained = {name for row in table_rows(first="metric") for name in re.findall(r"`(\w+)`", row[0])}

    assert explained == exported()


def test_every_name_of_the_former_service_is_answered_with_what_there_is() -> None:
    rows = table_rows(first="former name")

    assert {name for row in rows for name in re.findall(r"`([\w*]+)`", row[0])} == set(FORMER.split())
    assert {name for row in rows for name in re.findall(r"\bticker_\w+", row[1])} - exported() == set()
    assert all(row[1].strip() for row in rows)


def page_of(client: Client) -> str:
    """Return the page as an operator's key reads it."""
    return client.get("/metrics").content.decode()


def test_every_line_is_a_sample_or_says_what_follows(desk: Client) -> None:
    CredentialFactory(account__label="one", live=True)

    lines = page_of(desk).splitlines()

    assert len(lines) > 60
    assert [line for line in lines if not line.startswith("# ") and not SAMPLE.match(line)] == []


def test_every_family_is_declared_once_before_its_samples(desk: Client) -> None:
    declared: list[str] = []
    for line in page_of(desk).splitlines():
        if line.startswith("# TYPE "):
            declared.append(line.split()[2])
        elif not line.startswith("#"):
            assert re.split(r"[{ ]", line)[0] == declared[-1]

    assert len(set(declared)) == len(declared)


def test_an_order_in_doubt_is_counted(desk: Client) -> None:
    now = timezone.now()
    OrderFactory(state="UNKNOWN", unknown_since=now, next_look_at=now)

    page = page_of(desk)

    assert 'ticker_orders{stage="unknown"} 1\n' in page
    assert "ticker_orders_unknown 1\n" in page


def test_a_live_session_counts_down(desk: Client) -> None:
    CredentialFactory(account__label="one", live=True)

    page = page_of(desk)

    found = re.search(r'ticker_token_expires_seconds\{account="one"\} ([0-9.]+)', page)
    assert 'ticker_session_active{account="one"} 1\n' in page
    assert found is not None
    assert 3500 < float(found[1]) <= 3600


def test_what_nobody_reports_is_absent_rather_than_zero(desk: Client) -> None:
    page = page_of(desk)

    assert "ticker_feed_frames_total" not in page
    assert "ticker_last_tick_age_seconds" not in page
    assert 'ticker_process_up{process="feed:0"} 0\n' in page


def test_the_feeds_counters_come_from_the_feeds_report(desk: Client) -> None:
    account = CredentialFactory(account__label="one", live=True).account
    part = {"account_id": str(account.pk), "tokens": 2, "lag_ms": {"p50": 2.0, "p99": 40.0}, "ticks_per_second": 12.5}
    sync_bus().put_health(name="feed:0", report={**REPORT, "at": time.time(), "accounts": [part]})

    page = page_of(desk)

    assert 'ticker_feed_packets_total{shard="0"} 70\n' in page
    assert 'ticker_feed_batches_lost_total{shard="0"} 1\n' in page
    assert 'ticker_feed_lag_seconds{account="one",quantile="0.99"} 0.04\n' in page
    assert "ticker_ticks_per_second 12.5\n" in page
    assert 'ticker_process_up{process="feed:0"} 1\n' in page


def test_a_strange_label_is_escaped(desk: Client) -> None:
    sync_bus().put_health(name='odd"name', report={"at": time.time()})

    assert 'ticker_process_up{process="odd\\"name"} 1\n' in page_of(desk)


def test_the_page_needs_the_scope(client: Client) -> None:
    assert client.get("/metrics").status_code == 401
    client.force_login(UserFactory(role=User.Role.TRADER, is_staff=True))

    assert client.get("/metrics").status_code == 403
