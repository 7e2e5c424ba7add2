"""Limits that people edit, and who obeys them."""

from datetime import UTC, datetime
from typing import Any

import pytest
from django.db import IntegrityError

from accounts.models import AuditEntry, User
from market_data.freshness import LIMITS, Allowed, QuoteClass
from market_data.plan import Planner
from market_data.pressure import PRESSURE, Bounds, Gauge, Level, hub_level
from market_data.queries import latest_of
from market_data.thresholds import PressureLimit, StalenessLimit, ages_allowed, pressure_limits
from tests.factories import UserFactory
from tests.market_data.factories import InstrumentFactory
from tests.market_data.live import store_prices
from tests.panel_client import PanelClient

pytestmark = pytest.mark.django_db
LEVEL = {"share": "0.9", "milliseconds": "20", "pending": "300", "skipped": "0.3", "whole_every": "3"}


@pytest.fixture
def panel() -> PanelClient:
    browser = PanelClient()
    browser.force_login(UserFactory(username="asha", role=User.Role.OPERATOR, is_staff=True))
    return browser


@pytest.fixture
def share_limit() -> StalenessLimit:
    return StalenessLimit.objects.update_or_create(quote_class="share", defaults={"seconds": 30.0, "told": True})[0]


@pytest.fixture
def warning() -> PressureLimit:
    bounds = {"share": 0.8, "milliseconds": 50.0, "pending": 500, "skipped": 0.5, "whole_every": 2}
    return PressureLimit.objects.update_or_create(level="warning", defaults=bounds)[0]


def change(panel: PanelClient, row: Any, **values: object) -> Any:
    label = row._meta.model_name
    return panel.post(f"/admin/market_data/{label}/{row.pk}/change/", {"reason": "a dull day", **values})


def test_what_nobody_edited_is_what_the_code_says() -> None:
    assert ages_allowed() == dict(LIMITS)
    assert pressure_limits() == PRESSURE


def test_an_edited_age_is_asked_for_and_kept_in_the_trail(panel: PanelClient, share_limit: StalenessLimit) -> None:
    answer = change(panel, share_limit, seconds="12.5")

    assert answer.status_code == 302, answer.text
    assert ages_allowed()[QuoteClass.SHARE] == Allowed(seconds=12.5, told=False)
    entry = AuditEntry.objects.get(action="market_data.stalenesslimit.changed")
    assert (entry.actor, entry.reason, entry.detail["seconds"]) == ("asha", "a dull day", "12.5")


@pytest.mark.parametrize("seconds", ["0", "-1", "3601", "soon", ""])
def test_an_impossible_age_is_refused(panel: PanelClient, share_limit: StalenessLimit, seconds: str) -> None:
    answer = change(panel, share_limit, seconds=seconds, told="on")

    share_limit.refresh_from_db()
    assert (answer.status_code, share_limit.seconds) == (200, 30.0)


def test_a_level_gets_other_bounds_and_another_deed(panel: PanelClient, warning: PressureLimit) -> None:
    assert change(panel, warning, **LEVEL).status_code == 302

    limits = pressure_limits()
    assert limits.bounds[Level.WARNING] == Bounds(0.9, 20.0, 300)
    assert (limits.skipped[Level.WARNING], limits.whole_every[Level.WARNING]) == (0.3, 3)


@pytest.mark.parametrize(
    "wrong", [{"share": "1.1"}, {"share": ""}, {"pending": "-1"}, {"milliseconds": ""}, {"whole_every": "0"}]
)
def test_a_level_without_a_possible_bound_is_refused(
    panel: PanelClient, warning: PressureLimit, wrong: dict[str, str]
) -> None:
    answer = change(panel, warning, **{**LEVEL, **wrong})

    warning.refresh_from_db()
    assert (answer.status_code, warning.pending, warning.whole_every) == (200, 500, 2)


def test_the_last_level_has_no_bounds_to_edit(panel: PanelClient) -> None:
    last, _ = PressureLimit.objects.get_or_create(level="overload", defaults={"whole_every": 10})

    page = panel.get(f"/admin/market_data/pressurelimit/{last.pk}/change/").text
    change(panel, last, whole_every="20", share="0.1")

    last.refresh_from_db()
    assert 'name="whole_every"' in page
    assert 'name="share"' not in page
    assert (last.whole_every, last.share) == (20, None)


def test_the_database_refuses_a_level_without_its_bounds() -> None:
    PressureLimit.objects.filter(level="critical").delete()

    with pytest.raises(IntegrityError):
        PressureLimit.objects.create(level="critical", whole_every=4)


def test_no_row_is_added_or_deleted_by_hand(panel: PanelClient, warning: PressureLimit) -> None:
    assert panel.get("/admin/market_data/pressurelimit/add/").status_code == 403
    assert panel.post(f"/admin/market_data/pressurelimit/{warning.pk}/delete/", {"post": "yes"}).status_code == 403


def test_the_feed_hears_of_it_with_its_next_plan(warning: PressureLimit) -> None:
    planner = Planner(shard=0, shards=1)
    now = datetime.now(UTC)
    before = planner.load(now=now)

    PressureLimit.objects.filter(pk=warning.pk).update(whole_every=7)

    assert planner.load(now=now).pressure.whole_every[Level.WARNING] == 7
    assert before.pressure.whole_every[Level.WARNING] == 2


def test_gauge_and_hub_judge_by_what_they_are_given(warning: PressureLimit) -> None:
    PressureLimit.objects.filter(pk=warning.pk).update(pending=100_000, milliseconds=9_000, skipped=0.99, whole_every=5)
    gauge = Gauge()
    gauge.limits = pressure_limits()

    assert gauge.read(pending=50_000, now=1.0).level is Level.WARNING
    assert [gauge.is_whole() for _ in range(5)] == [False] * 4 + [True]
    assert hub_level(sent=2, skipped=98, limits=gauge.limits) is Level.WARNING


def test_a_quote_is_stale_by_the_edited_age(
    panel: PanelClient, share_limit: StalenessLimit, clean_redis: object
) -> None:
    InstrumentFactory(tradingsymbol="INFY", instrument_token=408065)
    StalenessLimit.objects.filter(pk=share_limit.pk).update(seconds=3600.0)
    open_at = datetime(2026, 11, 24, 6, 0, tzinfo=UTC)
    store_prices({408065: 1500.0}, received_at=open_at.timestamp() - 60)

    assert latest_of([408065], now=open_at)[408065][1] is False
    StalenessLimit.objects.filter(pk=share_limit.pk).update(seconds=30.0)
    assert latest_of([408065], now=open_at)[408065][1] is True
