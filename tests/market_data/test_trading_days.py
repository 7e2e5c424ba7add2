"""The table of odd trading days."""

from datetime import UTC, date, datetime, time

import pytest
from django.db import IntegrityError
from django.test import Client

from accounts.models import AuditEntry
from market_data.calendar import EXCHANGES, IST
from market_data.models import MarketDay
from market_data.trading_days import read_calendar, sync
from tests.factories import UserFactory

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 8, 18, 5, 0, tzinfo=UTC)
FROM = date(2026, 1, 1)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=IST)


@pytest.mark.parametrize(
    ("exchange", "moment", "is_open"),
    [
        ("NSE", "2026-11-24 11:00", False),
        ("BFO", "2026-11-24 11:00", False),
        ("CDS", "2026-11-24 11:00", False),
        ("MCX", "2026-11-24 11:00", False),
        ("MCX", "2026-11-24 18:00", True),
        ("MCX", "2026-12-25 18:00", False),
        ("NSE", "2026-11-25 11:00", True),
        ("NSE", "2026-01-15 11:00", False),
        ("CDS", "2026-02-19 11:00", False),
        ("NSE", "2026-02-19 11:00", True),
        ("NSE", "2026-02-01 11:00", True),
        ("NSE", "2026-11-08 14:00", True),
        ("NSE", "2026-11-08 15:00", False),
        ("MCX", "2026-01-01 18:00", False),
    ],
)
def test_the_sources_give_this_year_as_the_circulars_have_it(exchange: str, moment: str, *, is_open: bool) -> None:
    sync(now=NOW)

    assert read_calendar(since=FROM).is_open(exchange=exchange, at=at(moment)) is is_open


def test_loading_twice_changes_nothing() -> None:
    first = sync(now=NOW)

    again = sync(now=NOW)

    assert (again.added, again.removed, again.kept) == (0, 0, first.added)


def test_a_loaded_row_that_the_sources_no_longer_give_goes() -> None:
    MarketDay.objects.create(
        day=date(2026, 8, 19), name="Withdrawn", exchanges=["NSE"], source=MarketDay.Source.LIBRARY.value
    )

    assert sync(now=NOW).removed == 1


def test_next_years_reckoned_holidays_wait_for_the_circular() -> None:
    sync(now=NOW)

    assert MarketDay.objects.filter(day__year=2027, confirmed=False).exists()
    assert not MarketDay.objects.filter(day__year=2027, confirmed=True).exists()
    assert read_calendar(since=FROM).is_trading_day(exchange="NSE", day=date(2027, 1, 26))


def test_what_an_operator_wrote_wins_and_survives_a_load() -> None:
    sync(now=NOW)
    MarketDay.objects.create(
        day=date(2026, 11, 24), name="The holiday was moved", exchanges=["NSE"], opens=time(9, 15), closes=time(15, 30)
    )

    sync(now=NOW)

    calendar = read_calendar(since=FROM)
    assert calendar.is_open(exchange="NSE", at=at("2026-11-24 11:00"))
    assert not calendar.is_open(exchange="BSE", at=at("2026-11-24 11:00"))


def test_a_day_has_as_many_sessions_as_rows() -> None:
    for opens, closes in ((time(9, 15), time(10)), (time(11, 30), time(12, 30))):
        MarketDay.objects.create(
            day=date(2026, 8, 22), name="Drill", exchanges=["NSE", "NFO"], opens=opens, closes=closes
        )

    assert len(read_calendar(since=FROM).sessions(exchange="NFO", day=date(2026, 8, 22))) == 2


def test_an_empty_table_leaves_the_week() -> None:
    calendar = read_calendar(since=FROM)

    assert all(calendar.is_trading_day(exchange=name, day=date(2026, 11, 24)) for name in EXCHANGES)


def test_an_exchange_that_does_not_exist_is_refused_by_the_database() -> None:
    with pytest.raises(IntegrityError):
        MarketDay.objects.create(day=date(2026, 8, 19), name="x", exchanges=["LSE"])


def test_an_operator_writes_a_day_in_the_admin_and_the_trail_keeps_it(client: Client) -> None:
    client.force_login(UserFactory(administrator=True, is_staff=True))

    answer = client.post(
        "/admin/market_data/marketday/add/",
        {"day": "2026-08-19", "name": "Election", "exchanges": ["NSE", "NFO"], "confirmed": "on"},
    )

    assert answer.status_code == 302
    assert not read_calendar(since=FROM).is_trading_day(exchange="NFO", day=date(2026, 8, 19))
    assert AuditEntry.objects.get(action="market_data.market_day.written").subject == "market_day:2026-08-19"


def test_a_loaded_day_that_an_operator_changes_is_the_operators(client: Client) -> None:
    client.force_login(UserFactory(administrator=True, is_staff=True))
    sync(now=NOW)
    row = MarketDay.objects.get(day=date(2026, 11, 24), exchanges__contains=["NSE"])

    client.post(
        f"/admin/market_data/marketday/{row.pk}/change/",
        {"day": "2026-11-24", "name": row.name, "exchanges": ["NSE"], "opens": "09:15", "confirmed": "on"},
    )

    row.refresh_from_db()
    assert row.source == MarketDay.Source.OPERATOR
    assert client.get(f"/admin/market_data/marketday/{row.pk}/delete/").status_code == 200


def test_a_loaded_day_cannot_be_deleted(client: Client) -> None:
    client.force_login(UserFactory(administrator=True, is_staff=True))
    sync(now=NOW)
    row = MarketDay.objects.filter(source=MarketDay.Source.CIRCULAR).first()
    assert row is not None

    assert client.get(f"/admin/market_data/marketday/{row.pk}/delete/").status_code == 403
