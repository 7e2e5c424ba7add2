"""The page Prometheus reads."""

import re
import time
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from accounts.models import User
from market_data.bus import sync_bus
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
