"""Trading sessions per exchange."""

from datetime import date, datetime

import pytest

from market_data.calendar import IST, is_open, next_opening


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
    at = datetime.fromisoformat(moment).replace(tzinfo=IST)

    assert is_open(exchange=exchange, at=at, holidays={date(2026, 8, 19)}) is expected


def test_the_next_opening_skips_weekends_and_holidays() -> None:
    friday = datetime(2026, 8, 21, 16, tzinfo=IST)

    assert next_opening(exchange="NSE", after=friday, holidays={date(2026, 8, 24)}) == datetime(
        2026, 8, 25, 9, 15, tzinfo=IST
    )
