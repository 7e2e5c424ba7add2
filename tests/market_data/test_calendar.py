"""Trading sessions per exchange."""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from market_data.calendar import EXCHANGES, IST, Calendar, Hours, NeverOpens, Session

TUESDAY = date(2026, 8, 18)
SHUT: tuple[Hours, ...] = ()


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=IST)


@pytest.mark.parametrize(
    ("exchange", "moment", "expected"),
    [
        ("NSE", "2026-08-18 09:14:59", False),
        ("NSE", "2026-08-18 09:15:00", True),
        ("NSE", "2026-08-18 15:29:59", True),
        ("NSE", "2026-08-18 15:30:00", False),
        ("NSE", "2026-08-22 11:00:00", False),
        ("CDS", "2026-08-18 16:59:59", True),
        ("MCX", "2026-08-18 23:29:59", True),
        ("NSE", "2026-08-19 11:00:00", False),
    ],
)
def test_an_exchange_is_open_in_its_own_hours(exchange: str, moment: str, *, expected: bool) -> None:
    calendar = Calendar(odd={("NSE", date(2026, 8, 19)): SHUT})

    assert calendar.is_open(exchange=exchange, at=at(moment)) is expected


@pytest.mark.parametrize(
    ("day", "closes"),
    [(date(2026, 8, 18), time(23, 30)), (date(2026, 11, 24), time(23, 55)), (date(2027, 3, 15), time(23, 30))],
)
def test_commodities_close_later_while_new_york_keeps_winter_time(day: date, closes: time) -> None:
    (session,) = Calendar().sessions(exchange="MCX", day=day)

    assert session.closes == datetime.combine(day, closes, IST)


def test_a_holiday_of_one_exchange_is_none_of_another() -> None:
    calendar = Calendar(odd={("CDS", TUESDAY): SHUT})

    assert not calendar.is_trading_day(exchange="CDS", day=TUESDAY)
    assert calendar.is_trading_day(exchange="NSE", day=TUESDAY)


def test_a_special_session_opens_a_sunday_for_an_hour() -> None:
    sunday = date(2026, 11, 8)
    calendar = Calendar(odd={("NSE", sunday): (Hours(time(13, 45), time(14, 45)),)})

    assert calendar.sessions(exchange="NSE", day=sunday) == (Session(at("2026-11-08 13:45"), at("2026-11-08 14:45")),)


def test_an_early_close_ends_the_day() -> None:
    calendar = Calendar(odd={("NSE", TUESDAY): (Hours(time(9, 15), time(13, 0)),)})

    assert calendar.is_open(exchange="NSE", at=at("2026-08-18 12:59"))
    assert not calendar.is_open(exchange="NSE", at=at("2026-08-18 13:00"))


def test_an_evening_session_ends_at_the_usual_close() -> None:
    (session,) = Calendar(odd={("MCX", TUESDAY): (Hours(time(17)),)}).sessions(exchange="MCX", day=TUESDAY)

    assert (session.opens, session.closes) == (at("2026-08-18 17:00"), at("2026-08-18 23:30"))


def test_a_drill_has_two_sessions_with_a_pause_between() -> None:
    saturday = date(2026, 8, 22)
    hours = (Hours(time(11, 30), time(12, 30)), Hours(time(9, 15), time(10, 0)))
    calendar = Calendar(odd={("NSE", saturday): hours})

    found = [calendar.is_open(exchange="NSE", at=at(f"2026-08-22 {clock}")) for clock in ("09:30", "10:30", "12:00")]

    assert found == [True, False, True]


def test_the_next_opening_skips_weekends_and_holidays() -> None:
    calendar = Calendar(odd={("NSE", date(2026, 8, 24)): SHUT})

    assert calendar.next_opening(exchange="NSE", after=at("2026-08-21 16:00")) == at("2026-08-25 09:15")


def test_the_last_closing_skips_weekends_and_holidays() -> None:
    calendar = Calendar(odd={("NSE", date(2026, 8, 24)): SHUT})

    assert calendar.last_closing(exchange="NSE", before=at("2026-08-25 09:14")) == at("2026-08-21 15:30")


def test_a_table_that_leaves_no_session_is_an_error_and_no_endless_search() -> None:
    shut = {("NSE", TUESDAY + timedelta(days=number)): SHUT for number in range(500)}

    with pytest.raises(NeverOpens):
        Calendar(odd=shut).next_opening(exchange="NSE", after=at("2026-08-18 00:00"))


def test_open_seconds_count_trade_alone() -> None:
    friday_noon, monday_noon = at("2026-08-21 12:00"), at("2026-08-24 12:00")

    assert Calendar().open_seconds(exchange="NSE", start=friday_noon, end=monday_noon) == 3.5 * 3600 + 2.75 * 3600


def test_trading_days_count_both_ends() -> None:
    calendar = Calendar(odd={("NSE", date(2026, 8, 19)): SHUT})

    found = calendar.trading_days(exchange="NSE", start=date(2026, 8, 17), end=date(2026, 8, 22))

    assert [day.day for day in found] == [17, 18, 20, 21]


def test_a_moment_is_judged_in_india_wherever_it_was_written() -> None:
    assert Calendar().is_open(exchange="NSE", at=datetime(2026, 8, 18, 3, 45, tzinfo=UTC))
    assert Calendar().is_open(exchange="NSE", at=datetime(2026, 8, 17, 23, 45, tzinfo=ZoneInfo("America/New_York")))


MOMENTS = st.datetimes(min_value=datetime(2026, 1, 1), max_value=datetime(2027, 12, 31), timezones=st.just(IST))  # noqa: DTZ001


@given(exchange=st.sampled_from(EXCHANGES), moment=MOMENTS)
def test_the_exchange_is_shut_from_now_to_the_next_opening_and_open_at_it(exchange: str, moment: datetime) -> None:
    calendar = Calendar()
    opening = calendar.next_opening(exchange=exchange, after=moment)

    assert calendar.is_open(exchange=exchange, at=opening)
    start = max(moment, calendar.last_closing(exchange=exchange, before=opening))
    assert calendar.open_seconds(exchange=exchange, start=start, end=opening) == 0
