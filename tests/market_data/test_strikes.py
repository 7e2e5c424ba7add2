"""Strikes around a price."""

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from market_data.strikes import around, follow, nearest, step_at

FIFTIES = [Decimal(strike) for strike in range(24_000, 26_001, 50)]
QUARTER = Decimal("0.25")
prices = st.decimals(min_value=23_900, max_value=26_100, places=2)


def test_the_nearest_strike_is_the_lower_of_two() -> None:
    assert nearest(FIFTIES, Decimal(25_024)) == 25_000
    assert nearest(FIFTIES, Decimal(25_025)) == 25_000
    assert nearest(FIFTIES, Decimal("25025.05")) == 25_050


def test_a_price_beyond_the_ends_is_nearest_to_the_end() -> None:
    assert nearest(FIFTIES, Decimal(1)) == 24_000
    assert nearest(FIFTIES, Decimal(99_999)) == 26_000


def test_a_window_holds_the_same_number_of_strikes_on_each_side() -> None:
    assert around(FIFTIES, center=Decimal(25_000), count=2) == [24_900, 24_950, 25_000, 25_050, 25_100]


def test_a_window_is_cut_at_the_ends() -> None:
    assert around(FIFTIES, center=Decimal(24_000), count=2) == [24_000, 24_050, 24_100]
    assert around([], center=Decimal(24_000), count=2) == []


def test_an_expiry_with_wider_steps_has_its_own_strikes_around_the_same_center() -> None:
    hundreds = [Decimal(strike) for strike in range(24_000, 26_001, 100)]

    assert around(hundreds, center=Decimal(25_050), count=1) == [24_900, 25_000, 25_100]


def test_the_step_is_the_smaller_one_where_steps_change() -> None:
    mixed = [Decimal(strike) for strike in (24_000, 24_100, 24_150, 24_200)]

    assert step_at(mixed, Decimal(24_100)) == 50
    assert step_at(mixed, Decimal(24_000)) == 100
    assert step_at([Decimal(1)], Decimal(1)) == 0


def test_a_window_moves_only_when_the_price_is_past_the_middle_and_the_hysteresis() -> None:
    def stand(price: str) -> Decimal:
        return follow(FIFTIES, center=Decimal(25_000), price=Decimal(price), hysteresis=QUARTER)

    assert stand("25037.50") == 25_000
    assert stand("25037.55") == 25_050
    assert stand("24962.50") == 25_000
    assert stand("24962.45") == 24_950


def test_a_window_without_a_center_begins_at_the_price() -> None:
    assert follow(FIFTIES, center=None, price=Decimal(25_030), hysteresis=QUARTER) == 25_050


def test_a_center_that_is_no_strike_any_more_is_left() -> None:
    assert follow(FIFTIES, center=Decimal(25_025), price=Decimal(25_030), hysteresis=QUARTER) == 25_050


@given(prices)
def test_a_window_that_has_moved_stays_where_it_is(price: Decimal) -> None:
    stood = follow(FIFTIES, center=Decimal(25_000), price=price, hysteresis=QUARTER)

    assert follow(FIFTIES, center=stood, price=price, hysteresis=QUARTER) == stood


@given(st.lists(st.decimals(min_value=-12, max_value=12, places=2), min_size=1, max_size=50))
def test_a_price_that_swings_between_two_strikes_moves_a_window_at_most_once(swings: list[Decimal]) -> None:
    center = Decimal(25_000)
    moves = 0
    for swing in swings:
        stood = follow(FIFTIES, center=center, price=Decimal(25_025) + swing, hysteresis=QUARTER)
        moves += stood != center
        center = stood

    assert moves <= 1


@given(prices)
def test_a_window_is_never_further_away_than_a_step(price: Decimal) -> None:
    stood = follow(FIFTIES, center=Decimal(25_000), price=price, hysteresis=QUARTER)

    assert abs(stood - min(max(price, FIFTIES[0]), FIFTIES[-1])) <= Decimal(50) * (Decimal("0.5") + QUARTER)
