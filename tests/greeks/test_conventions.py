"""Time, forward and price: which one is chosen, and what is remembered of the choice."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import numpy as np
import pytest

from greeks.conventions import (
    DEFAULT_RULES,
    IST,
    Forward,
    ForwardInputs,
    ForwardSource,
    Future,
    Parity,
    PriceSource,
    Profile,
    Quotes,
    calendar_years,
    choose_forward,
    choose_prices,
    expiry_instant,
    near_expiry,
    nse_years,
    parity_forward,
    trading_years,
)
from greeks.kernel import Flag

EXPIRY = date(2026, 11, 26)
CLOSE = datetime(2026, 11, 26, 15, 30, tzinfo=IST)


@pytest.mark.parametrize(
    ("exchange", "hour", "minute"), [("NFO", 15, 30), ("BFO", 15, 30), ("MCX", 23, 30), ("CDS", 12, 30)]
)
def test_an_option_expires_when_its_exchange_closes(exchange: str, hour: int, minute: int) -> None:
    assert expiry_instant(expiry=EXPIRY, exchange=exchange) == datetime(2026, 11, 26, hour, minute, tzinfo=IST)


def test_calendar_time_counts_seconds() -> None:
    assert calendar_years(now=CLOSE - timedelta(days=7), expires_at=CLOSE) == 7 / 365


def test_calendar_time_does_not_depend_on_the_zone_of_the_clock() -> None:
    now = (CLOSE - timedelta(days=1)).astimezone(UTC)

    assert calendar_years(now=now, expires_at=CLOSE) == 1 / 365


def test_the_last_minute_does_not_shrink_further() -> None:
    assert calendar_years(now=CLOSE - timedelta(seconds=1), expires_at=CLOSE) == 60 / (365 * 86_400)


@pytest.mark.parametrize("late", [0, 1, 86_400])
def test_no_time_is_left_at_expiry_and_after(late: int) -> None:
    assert calendar_years(now=CLOSE + timedelta(seconds=late), expires_at=CLOSE) == 0.0
    assert trading_years(now=CLOSE + timedelta(seconds=late), expires_at=CLOSE, sessions=[]) == 0.0


def test_trading_time_counts_open_seconds_only() -> None:
    sessions = [
        (datetime(2026, 11, day, 9, 15, tzinfo=IST), datetime(2026, 11, day, 15, 30, tzinfo=IST))
        for day in (24, 25, 26)
    ]

    left = trading_years(now=datetime(2026, 11, 25, 12, 30, tzinfo=IST), expires_at=CLOSE, sessions=sessions)

    assert left == (3.0 * 3_600 + 22_500) / (252 * 22_500)


def test_a_session_that_outlasts_the_expiry_counts_to_the_expiry() -> None:
    opens, closes = CLOSE - timedelta(hours=1), CLOSE + timedelta(hours=5)

    assert trading_years(now=opens, expires_at=CLOSE, sessions=[(opens, closes)]) == 3_600 / (252 * 22_500)


@pytest.mark.parametrize(("days", "years"), [(7, 7 / 365), (1, 1 / 365), (0, 1 / 365), (-2, 1 / 365)])
def test_the_exchange_counts_whole_days_and_at_least_one(days: int, years: float) -> None:
    assert nse_years(today=EXPIRY - timedelta(days=days), expiry=EXPIRY) == years


@pytest.mark.parametrize(("seconds", "near"), [(1_801, False), (1_800, True), (1, True), (0, False)])
def test_the_last_half_hour_is_near_expiry(seconds: int, near: bool) -> None:
    assert near_expiry(now=CLOSE - timedelta(seconds=seconds), expires_at=CLOSE) is near


def test_two_profiles_work_on_spot_and_codes_are_stable() -> None:
    assert [profile for profile in Profile if profile.on_spot] == [Profile.NSE_COMPAT, Profile.SPOT_BSM]
    assert [profile.code for profile in Profile] == [0, 1, 2, 3]


INPUTS = ForwardInputs(
    spot=24_000.0,
    spot_age=0.5,
    years=0.1,
    rate=0.065,
    same_expiry=Future(24_120.0, 0.1, 1.0),
    nearest=Future(24_060.0, 0.05, 2.0),
    parity=Parity(24_115.0, 3.0, 6, 0.3),
)


def test_a_live_future_of_the_expiry_is_the_forward() -> None:
    assert choose_forward(inputs=INPUTS) == Forward(24_120.0, ForwardSource.FUTURE, 1.0)


def test_an_old_future_gives_way_to_parity() -> None:
    old = replace(INPUTS, same_expiry=Future(24_120.0, 0.1, 61.0))

    assert choose_forward(inputs=old) == Forward(24_115.0, ForwardSource.PARITY, 0.3)


def test_parity_that_disagrees_gives_way_to_the_last_good_one() -> None:
    torn = replace(INPUTS, same_expiry=None, parity=Parity(24_115.0, 13.0, 6), kept=1.005, kept_age=20.0)

    found = choose_forward(inputs=torn)

    assert found.value == pytest.approx(24_120.0)
    assert (found.source, found.age, found.flags) == (ForwardSource.KEPT_PARITY, 20.0, Flag.STALE_FORWARD)


def test_the_last_good_parity_is_not_kept_for_ever() -> None:
    torn = replace(INPUTS, same_expiry=None, parity=None, kept=1.005, kept_age=901.0)

    assert choose_forward(inputs=torn).source is ForwardSource.CARRY


def test_another_future_lends_its_carry() -> None:
    only = replace(INPUTS, same_expiry=None, parity=None)

    found = choose_forward(inputs=only)

    assert found.source is ForwardSource.CARRY
    assert found.value == pytest.approx(24_000.0 * (24_060.0 / 24_000.0) ** 2)
    assert found.age == 2.0


def test_spot_grows_at_the_configured_rate_less_the_dividend() -> None:
    bare = replace(INPUTS, same_expiry=None, parity=None, nearest=None, dividend=0.01)

    found = choose_forward(inputs=bare)

    assert found.source is ForwardSource.SPOT
    assert found.value == pytest.approx(24_000.0 * np.exp(0.055 * 0.1))


def test_an_old_spot_makes_a_stale_forward() -> None:
    bare = replace(INPUTS, same_expiry=None, parity=None, nearest=None, spot_age=61.0)

    assert choose_forward(inputs=bare).flags == Flag.STALE_FORWARD


@pytest.mark.parametrize("spot", [float("nan"), 0.0])
def test_no_forward_is_said_and_not_guessed(spot: float) -> None:
    nothing = ForwardInputs(spot=spot, spot_age=0.0, years=0.1, rate=0.065, kept=1.0)

    found = choose_forward(inputs=nothing)

    assert np.isnan(found.value)
    assert (found.source, found.flags) == (ForwardSource.NONE, Flag.NO_FORWARD)


def chain_mids(*, forward: float = 24_100.0, years: float = 0.1, rate: float = 0.065) -> tuple[np.ndarray, ...]:
    strike = np.arange(23_000.0, 25_050.0, 50.0)
    time_value = 300.0 * np.exp(-(((strike - forward) / 500.0) ** 2))
    discount = np.exp(-rate * years)
    call = discount * np.maximum(forward - strike, 0.0) + time_value
    put = discount * np.maximum(strike - forward, 0.0) + time_value
    return strike, call, put


def parity_of(strike: np.ndarray, call: np.ndarray, put: np.ndarray, *, spot: float = 24_000.0) -> Parity | None:
    age = np.abs(strike - 24_000.0) / 100.0
    return parity_forward(strike=strike, call=call, put=put, age=age, spot=spot, years=0.1, rate=0.065)


def test_parity_is_as_old_as_its_oldest_quote() -> None:
    found = parity_of(*chain_mids())

    assert found is not None
    assert found.age == 1.5


def test_parity_recovers_the_forward() -> None:
    strike, call, put = chain_mids()

    found = parity_of(strike, call, put)

    assert found is not None
    assert found.value == pytest.approx(24_100.0, abs=1e-9)
    assert found.dispersion == pytest.approx(0.0, abs=1e-9)
    assert found.strikes == 6


def test_parity_survives_one_wrong_quote() -> None:
    strike, call, put = chain_mids()
    call[np.searchsorted(strike, 24_000.0)] += 400.0

    found = parity_of(strike, call, put)

    assert found is not None
    assert found.value == pytest.approx(24_100.0, abs=1e-9)


def test_parity_reads_only_the_strikes_nearest_the_spot() -> None:
    strike, call, put = chain_mids()
    far = np.abs(strike - 24_000.0) > 200.0
    call[far] = 1.0

    found = parity_of(strike, call, put)

    assert found is not None
    assert found.value == pytest.approx(24_100.0, abs=1e-9)


def test_parity_finds_its_centre_without_a_spot() -> None:
    strike, call, put = chain_mids()
    call[np.abs(strike - 24_100.0) > 200.0] += 900.0

    found = parity_of(strike, call, put, spot=float("nan"))

    assert found is not None
    assert found.value == pytest.approx(24_100.0, abs=1e-9)


def test_three_quoted_strikes_are_too_few_for_parity() -> None:
    strike, call, put = chain_mids()
    call[3:] = np.nan

    assert parity_of(strike, call, put) is None


def one_quote(**changes: float) -> Quotes:
    values = {"bid": 99.0, "ask": 101.0, "last": 100.5, "quote_age": 1.0, "trade_age": 5.0, "tick": 0.05, **changes}
    return Quotes(**{name: np.array([value]) for name, value in values.items()})


NAN = float("nan")


@pytest.mark.parametrize(
    ("changes", "value", "source", "age", "flags"),
    [
        ({}, 100.0, PriceSource.MID, 1.0, 0),
        ({"bid": 95.0, "ask": 105.0}, 100.0, PriceSource.MID, 1.0, 0),
        ({"bid": 0.05, "ask": 0.15, "last": 0.1}, 0.1, PriceSource.MID, 1.0, 0),
        ({"bid": 90.0, "ask": 110.0}, 100.5, PriceSource.LAST, 5.0, Flag.WIDE_SPREAD),
        (
            {"bid": 90.0, "ask": 110.0, "last": 120.0},
            120.0,
            PriceSource.STALE,
            5.0,
            Flag.STALE_PRICE | Flag.WIDE_SPREAD,
        ),
        ({"bid": 90.0, "ask": 110.0, "last": 0.0}, NAN, PriceSource.NONE, NAN, Flag.NO_PRICE | Flag.WIDE_SPREAD),
        ({"quote_age": 31.0}, 100.5, PriceSource.LAST, 5.0, 0),
        ({"quote_age": 31.0, "trade_age": 61.0}, 100.5, PriceSource.STALE, 61.0, Flag.STALE_PRICE),
        ({"bid": 0.0}, 100.5, PriceSource.LAST, 5.0, 0),
        ({"bid": 102.0}, 100.5, PriceSource.LAST, 5.0, 0),
        ({"bid": NAN, "ask": NAN, "last": NAN}, NAN, PriceSource.NONE, NAN, Flag.NO_PRICE),
        ({"bid": NAN, "ask": NAN, "trade_age": NAN}, 100.5, PriceSource.STALE, NAN, Flag.STALE_PRICE),
    ],
)
def test_the_price_chosen_is_remembered_with_its_source(
    changes: dict[str, float], value: float, source: PriceSource, age: float, flags: int
) -> None:
    chosen = choose_prices(quotes=one_quote(**changes))

    assert chosen.value[0] == pytest.approx(value, nan_ok=True)
    assert (chosen.source[0], chosen.flags[0]) == (source, flags)
    assert chosen.age[0] == pytest.approx(age, nan_ok=True)


def test_the_limits_of_the_choice_are_data() -> None:
    wide = one_quote(bid=90.0, ask=110.0)

    chosen = choose_prices(quotes=wide, rules=replace(DEFAULT_RULES, spread_fraction=0.25))

    assert chosen.source[0] == PriceSource.MID
