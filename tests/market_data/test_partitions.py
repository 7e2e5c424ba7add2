"""The days of the tick table."""

from datetime import date, timedelta

import pytest

from market_data.partitions import TICKS
from tests.market_data.factories import NOW

pytestmark = pytest.mark.django_db


def test_the_days_ahead_are_made() -> None:
    made, _ = TICKS.maintain(now=NOW)

    assert made == [f"market_data_tick_202608{day}" for day in (18, 19, 20, 21)]


def test_a_day_begins_at_midnight_in_india() -> None:
    made, _ = TICKS.maintain(now=NOW.replace(hour=18, minute=30))

    assert made[0] == "market_data_tick_20260819"


def test_maintaining_twice_makes_nothing_more() -> None:
    TICKS.maintain(now=NOW)

    assert TICKS.maintain(now=NOW) == ([], [])


def test_old_days_are_dropped_whole() -> None:
    TICKS.ensure(days=[date(2026, 7, 1), date(2026, 8, 1)])

    _, dropped = TICKS.maintain(now=NOW, keep_days=30)

    assert dropped == ["market_data_tick_20260701"]
    assert "market_data_tick_20260801" in TICKS.existing()


def test_the_last_kept_day_is_kept() -> None:
    first = NOW.date() - timedelta(days=30)
    TICKS.ensure(days=[first])

    assert TICKS.maintain(now=NOW, keep_days=30)[1] == []
