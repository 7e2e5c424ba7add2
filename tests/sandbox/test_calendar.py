"""Holidays, special sessions and phases of the day, by exchange."""

import datetime as dt
import json
from pathlib import Path

import pytest

from sandbox.calendar import Calendar, change_calendar, parse_holiday, parse_special, read_calendar
from sandbox.clock import IST, parse_jump
from sandbox.options import parse_options
from sandbox.sessions import Phase, Sessions, turns_between
from tests.sandbox_server import SandboxServer

NSE_2026 = (
    "2026-01-15", "2026-01-26", "2026-03-03", "2026-03-26", "2026-03-31", "2026-04-03", "2026-04-14", "2026-05-01",
    "2026-05-28", "2026-06-26", "2026-09-14", "2026-10-02", "2026-10-20", "2026-11-10", "2026-11-24", "2026-12-25",
)  # fmt: skip
HOLIDAY, WORKDAY = dt.date(2026, 11, 24), dt.date(2026, 11, 25)


@pytest.fixture
def sessions() -> Sessions:
    return Sessions(always=False)


def at(text: str, day: dt.date = WORKDAY) -> dt.datetime:
    return dt.datetime.combine(day, dt.time.fromisoformat(text), tzinfo=IST)


def test_the_published_holidays_of_2026_are_closed_and_no_other_weekday(sessions: Sessions) -> None:
    days = [dt.date(2026, 1, 1) + dt.timedelta(days=number) for number in range(365)]

    shut = [day.isoformat() for day in days if day.weekday() < 5 and not sessions.is_trading_day(day)]

    assert shut == list(NSE_2026)


@pytest.mark.parametrize(
    ("text", "phase"),
    [
        ("08:59", Phase.CLOSED), ("09:00", Phase.COLLECTING), ("09:07:59", Phase.COLLECTING), ("09:08", Phase.MATCHED),
        ("09:15", Phase.OPEN), ("15:29:59", Phase.OPEN), ("15:30", Phase.CLOSED),
    ],
)  # fmt: skip
def test_the_equity_day_has_its_phases(sessions: Sessions, text: str, phase: Phase) -> None:
    assert sessions.phase(exchange="NSE", moment=at(text)) is phase


def test_derivatives_have_no_pre_open(sessions: Sessions) -> None:
    assert sessions.phase(exchange="NFO", moment=at("09:05")) is Phase.CLOSED


def test_a_holiday_leaves_commodities_their_evening(sessions: Sessions) -> None:
    assert not sessions.is_open(exchange="NSE", moment=at("18:00", HOLIDAY))
    assert not sessions.is_open(exchange="MCX", moment=at("10:00", HOLIDAY))
    assert sessions.is_open(exchange="MCX", moment=at("18:00", HOLIDAY))


def test_a_bank_holiday_shuts_currencies_alone(sessions: Sessions) -> None:
    day = dt.date(2026, 4, 1)

    assert not sessions.is_open(exchange="CDS", moment=at("10:00", day))
    assert sessions.is_open(exchange="NSE", moment=at("10:00", day))


def test_a_special_session_opens_a_sunday(sessions: Sessions) -> None:
    day = dt.date(2026, 2, 1)

    assert sessions.is_open(exchange="NSE", moment=at("10:00", day))
    assert not sessions.is_open(exchange="MCX", moment=at("10:00", day))


def test_intraday_positions_of_a_short_session_are_closed_before_its_end(sessions: Sessions) -> None:
    change_calendar(sessions.calendar, parse_special("NSE:2026-11-29T18:00-19:00"))

    assert sessions.mis_cutoff(exchange="NSE", day=dt.date(2026, 11, 29)) == dt.time(18, 42)


def test_a_mark_can_be_taken_away() -> None:
    calendar = read_calendar()
    change_calendar(calendar, {"date": "2026-11-24", "exchanges": "NSE", "ordinary": True})

    assert Sessions(always=False, calendar=calendar).is_trading_day(HOLIDAY)


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({"date": "2026-11-25", "exchanges": ["NYSE"]}, "no exchange NYSE"),
        ({"date": "tomorrow"}, "Invalid isoformat"),
        ({"date": "2026-11-25", "opens": "10:00", "closes": "09:00"}, "must open before it closes"),
    ],
)
def test_a_wrong_mark_is_named(row: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        change_calendar(Calendar(), row)


def test_the_command_line_marks_days() -> None:
    options = parse_options(["--holiday", "MCX,NCO:2026-12-01", "--special", "2026-12-05T10:00-11:00"])
    calendar = Calendar()
    for row in (*options.holiday, *options.special):
        change_calendar(calendar, row)

    assert calendar.rows(exchange="MCX")[0] == {
        "date": "2026-12-01", "name": "holiday of the command line", "hours": None,
    }  # fmt: skip
    assert calendar.rows(exchange="NSE")[0]["hours"] == ["10:00", "11:00"]


def test_a_date_that_is_none_is_refused_on_the_command_line() -> None:
    for parse, text in ((parse_holiday, "NSE:2026-13-01"), (parse_special, "2026-12-05T10:00")):
        with pytest.raises(ValueError, match=r"must be in|nvalid"):
            parse(text)


def test_a_jump_names_its_turns(sessions: Sessions) -> None:
    turns = turns_between(sessions, start=at("08:00"), end=at("15:31"))

    assert [f"{turn:%H:%M}" for turn in turns] == ["09:00", "09:08", "09:15", "15:12", "15:30"]


def test_a_long_jump_passes_over_its_first_days(sessions: Sessions) -> None:
    turns = turns_between(sessions, start=at("08:00", dt.date(2026, 1, 2)), end=at("10:00"))

    assert turns[0].date() >= WORKDAY - dt.timedelta(days=15)


@pytest.mark.parametrize(
    ("name", "time"),
    [("login", "06:00"), ("pre-open", "09:00"), ("open", "09:15"), ("square-off", "15:12"), ("close", "15:30")],
)
def test_times_of_the_day_have_names(name: str, time: str) -> None:
    assert f"{parse_jump(name, now=at('03:00')):%H:%M}" == time


def test_the_running_exchange_shows_and_changes_its_calendar(tmp_path: Path) -> None:
    path = tmp_path / "calendar.json"
    path.write_text(json.dumps({"holidays": [{"date": "2026-11-26", "name": "Test day"}]}))
    with SandboxServer("--sessions", "real", "--clock", "2026-11-26T10:00:00", "--calendar", str(path)) as server:
        shown = server.control("GET", "/calendar")
        server.control("POST", "/calendar", {"date": "2026-11-26", "exchanges": ["NSE"], "ordinary": True})
        after = server.control("GET", "/calendar")["phases"]

        assert shown["days"] == [{"date": "2026-11-26", "name": "Test day", "hours": None}]
        assert set(shown["phases"].values()) == {"closed"}
        assert (after["NSE"], after["BSE"]) == ("open", "closed")
