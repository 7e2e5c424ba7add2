"""The account's order calls never pass the broker's limits, as the broker counts them."""

import random
from collections import Counter
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orders.budget import BROKER_PER_MINUTE, Limits, Spent, Wait, for_cancels, remaining, spend

DAY = date(2026, 11, 24)
LIMITS = Limits()


def greedy(*, seconds: float, start: float, limits: Limits = LIMITS) -> list[float]:
    """Return the times of a caller that calls again the moment it may."""
    spent, at, calls = Spent(), start, []
    while at < start + seconds:
        result = spend(spent=spent, limits=limits, at=at, day=DAY, counts_for_day=True)
        if isinstance(result, Wait):
            assert result.seconds is not None
            at += max(result.seconds, 1e-6)
            continue
        spent = result
        calls.append(at)
    return calls


@pytest.mark.proof(id="R12")
@given(st.floats(0, 1), st.integers(0, 2**32))
def test_no_calendar_second_at_the_broker_sees_more_than_ten(phase: float, seed: int) -> None:
    jitter = random.Random(seed)

    arrivals = [at + jitter.uniform(0, 0.2) for at in greedy(seconds=20, start=1000 + phase)]

    assert max(Counter(int(at) for at in arrivals).values()) <= 10


@pytest.mark.proof(id="R12")
def test_eight_a_second_are_sustained() -> None:
    assert len(greedy(seconds=30, start=1000.0)) >= 7.5 * 30


@given(st.floats(0, 60))
def test_no_sixty_seconds_see_more_than_three_hundred(phase: float) -> None:
    calls = greedy(seconds=200, start=1000 + phase)

    worst = max(sum(at <= other < at + 60 for other in calls) for at in calls[::10])
    assert worst <= 300


def test_the_day_ends_at_its_count() -> None:
    spent = Spent(day=DAY, day_count=LIMITS.per_day - 1)

    last = spend(spent=spent, limits=LIMITS, at=1000.0, day=DAY, counts_for_day=True)
    assert isinstance(last, Spent)
    beyond = spend(spent=last, limits=LIMITS, at=1001.0, day=DAY, counts_for_day=True)

    assert beyond == Wait(scope="day", seconds=None)


def test_a_cancellation_passes_when_the_day_is_spent() -> None:
    spent = Spent(day=DAY, day_count=LIMITS.per_day)

    result = spend(spent=spent, limits=LIMITS, at=1000.0, day=DAY, counts_for_day=False)

    assert isinstance(result, Spent)
    assert result.day_count == LIMITS.per_day


def test_a_new_day_starts_at_nothing() -> None:
    spent = Spent(day=DAY, day_count=LIMITS.per_day)

    result = spend(spent=spent, limits=LIMITS, at=1000.0, day=date(2026, 11, 25), counts_for_day=True)

    assert isinstance(result, Spent)
    assert result.day_count == 1


def test_a_clock_that_steps_back_allows_no_more() -> None:
    spent = Spent()
    for _ in range(2):
        result = spend(spent=spent, limits=LIMITS, at=1000.0, day=DAY, counts_for_day=True)
        assert isinstance(result, Spent)
        spent = result

    back = spend(spent=spent, limits=LIMITS, at=940.0, day=DAY, counts_for_day=True)

    assert isinstance(back, Wait)


def test_what_is_left_is_told() -> None:
    spent = spend(spent=Spent(), limits=LIMITS, at=1000.0, day=DAY, counts_for_day=True)
    assert isinstance(spent, Spent)

    assert remaining(spent=spent, limits=LIMITS, at=1000.0, day=DAY) == {"second": 1, "minute": 299, "day": 3999}


@pytest.mark.parametrize("at", [1000.0, 1004.9, 1059.9])
def test_the_minute_is_not_over_before_it_is(at: float) -> None:
    spent = Spent(next_at=0.0, bucket=200, buckets=(0,) * 12 + (300,))

    result = spend(spent=spent, limits=LIMITS, at=at, day=DAY, counts_for_day=True)

    assert isinstance(result, Wait)
    assert result.scope == "minute"


def test_the_last_calls_of_a_minute_are_kept_for_cancellations() -> None:
    assert for_cancels(Limits()) == Limits(per_minute=360)


@pytest.mark.parametrize("per_minute", [340, 390, 400])
def test_a_cancellation_stays_below_the_brokers_minute(per_minute: int) -> None:
    assert for_cancels(Limits(per_minute=per_minute)).per_minute == BROKER_PER_MINUTE == 400
