"""A quote is stale where its exchange trades and its class would have ticked."""

from datetime import UTC, date, datetime

import numpy as np
import pytest

from kite.wire import Rows
from market_data.calendar import IST, Calendar
from market_data.freshness import LIMITS, SEGMENT_OF, Allowed, Freshness, QuoteClass, ages, leaders
from tests.market_data.factories import ticks

NOON = datetime(2026, 8, 18, 12, 0, tzinfo=IST)
INDEX, SHARE, OPTION, COMMODITY = 256265, 408065, 11536130, 110359559


def judged(token: int, *, age: float, at: datetime = NOON, calendar: Calendar | None = None) -> bool:
    freshness = Freshness()
    freshness.follow(calendar or Calendar(), now=at.astimezone(UTC))
    rows = ticks({token: 1.0}, received_at=at.timestamp() - age)
    return bool(freshness.stale(rows, at=at.timestamp())[0])


@pytest.mark.parametrize(
    ("token", "age", "stale"),
    [
        (INDEX, 4.9, False),
        (INDEX, 5.1, True),
        (SHARE, 29, False),
        (SHARE, 31, True),
        (OPTION, 29, False),
        (OPTION, 31, True),
    ],
)
def test_each_class_has_its_own_age(token: int, age: float, *, stale: bool) -> None:
    assert judged(token, age=age) is stale


@pytest.mark.parametrize("at", [datetime(2026, 8, 18, 8, 0, tzinfo=IST), datetime(2026, 8, 22, 12, 0, tzinfo=IST)])
def test_a_shut_market_makes_nothing_stale(at: datetime) -> None:
    assert not judged(INDEX, age=50_000, at=at)


def test_a_holiday_makes_nothing_stale() -> None:
    calendar = Calendar(odd={("NSE", date(2026, 8, 18)): ()})

    assert not judged(INDEX, age=600, calendar=calendar)


def test_each_exchange_has_its_own_hours() -> None:
    evening = datetime(2026, 8, 18, 20, 0, tzinfo=IST)

    assert judged(COMMODITY, age=60, at=evening)
    assert not judged(SHARE, age=60, at=evening)


def test_after_an_opening_yesterdays_quote_has_its_classs_time_to_be_renewed() -> None:
    assert not judged(SHARE, age=60_000, at=datetime(2026, 8, 18, 9, 15, 20, tzinfo=IST))
    assert judged(SHARE, age=60_000, at=datetime(2026, 8, 18, 9, 15, 31, tzinfo=IST))


def test_clients_are_told_of_indices_and_shares_only() -> None:
    told = Freshness().told(ticks(dict.fromkeys((INDEX, SHARE, OPTION), 1.0)))

    assert told.tolist() == [True, True, False]


def test_before_the_calendar_is_known_nothing_is_stale() -> None:
    assert not Freshness().stale(ticks({INDEX: 1.0}, received_at=0.0), at=1e9)[0]


def test_every_class_has_a_limit_and_every_exchange_hours() -> None:
    calendar = Calendar()

    assert set(LIMITS) == set(QuoteClass)
    assert all(calendar.sessions(exchange=name, day=NOON.date()) for name, _ in SEGMENT_OF.values())


def test_an_age_is_never_negative() -> None:
    rows = np.concatenate([ticks({1: 1.0}, received_at=10.0), ticks({2: 1.0}, received_at=20.0)])

    assert ages(rows, at=15.0).tolist() == [5.0, 0.0]


def traded(turnover: dict[int, float]) -> Rows:
    rows = ticks(dict.fromkeys(turnover, 10.0))
    rows["average_price"] = 10.0
    rows["volume"] = [value / 10.0 for value in turnover.values()]
    return rows


def test_the_shares_of_greatest_turnover_lead() -> None:
    rows = traded({SHARE: 500.0, SHARE + 256: 900.0, SHARE + 512: 100.0, SHARE + 768: 0.0, OPTION: 9_000.0})

    assert leaders(rows, count=2).tolist() == [SHARE, SHARE + 256]
    assert leaders(rows).tolist() == [SHARE, SHARE + 256, SHARE + 512]


def test_a_leader_is_stale_as_soon_as_an_index() -> None:
    freshness = Freshness()
    freshness.follow(Calendar(), now=NOON.astimezone(UTC))
    rows = ticks({SHARE: 1.0, SHARE + 256: 1.0}, received_at=NOON.timestamp() - 6)

    freshness.lead(np.array([SHARE], np.uint32))

    assert freshness.stale(rows, at=NOON.timestamp()).tolist() == [True, False]
    assert freshness.told(rows).tolist() == [True, True]


def test_without_leaders_nobody_leads() -> None:
    freshness = Freshness()
    freshness.follow(Calendar(), now=NOON.astimezone(UTC))
    freshness.lead(leaders(ticks({SHARE: 1.0})))

    assert not freshness.stale(ticks({SHARE: 1.0}, received_at=NOON.timestamp() - 6), at=NOON.timestamp()).any()


def test_other_limits_hold_from_then_on() -> None:
    freshness = Freshness()
    freshness.follow(Calendar(), now=NOON.astimezone(UTC))

    freshness.allow({**LIMITS, QuoteClass.SHARE: Allowed(seconds=2.0, told=False)})

    rows = ticks({SHARE: 1.0}, received_at=NOON.timestamp() - 3)
    assert (freshness.stale(rows, at=NOON.timestamp())[0], freshness.told(rows)[0]) == (True, False)
