"""Time, forward and price: which one is chosen, and what is remembered of the choice."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import numpy as np
import pytest

from greeks.conventions import (
    DEFAULT_RULES,
    IST,
    ForwardInputs,
    Forwards,
    ForwardSource,
    Futures,
    Parity,
    PriceSource,
    Profile,
    Quotes,
    calendar_years,
    choose_forwards,
    choose_prices,
    expiry_instant,
    near_expiry,
    nse_years,
    parity_forwards,
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


NAN = float("nan")
NO_FUTURE = {"price": NAN, "years": NAN, "age": NAN}
NO_PARITY = {"value": NAN, "dispersion": NAN, "strikes": 0, "age": NAN}
KNOWN = {"spot": 24_000.0, "spot_age": 0.5, "years": 0.1, "rate": 0.065, "dividend": 0.0, "kept": NAN, "kept_age": NAN}
SAME = {"price": 24_120.0, "years": 0.1, "age": 1.0}
NEAREST = {"price": 24_060.0, "years": 0.05, "age": 2.0}
PARITY = {"value": 24_115.0, "dispersion": 3.0, "strikes": 6, "age": 0.3}


def row(values: Mapping[str, float]) -> dict[str, np.ndarray]:
    return {name: np.array([value]) for name, value in values.items()}


def inputs(
    *,
    same: Mapping[str, float] = SAME,
    nearest: Mapping[str, float] = NEAREST,
    parity: Mapping[str, float] = PARITY,
    **changes: float,
) -> ForwardInputs:
    """One chain of which everything is known."""
    return ForwardInputs(
        **row({**KNOWN, **changes}),
        same_expiry=Futures(**row(same)),
        nearest=Futures(**row(nearest)),
        parity=Parity(**row(parity)),
    )


def chosen(found: Forwards, place: int = 0) -> tuple[float, ForwardSource, float, int]:
    value, source, age, flags = (column[place].item() for column in (found.value, found.source, found.age, found.flags))
    return value, ForwardSource(source), age, flags


def test_a_live_future_of_the_expiry_is_the_forward() -> None:
    assert chosen(choose_forwards(inputs=inputs())) == (24_120.0, ForwardSource.FUTURE, 1.0, 0)


@pytest.mark.parametrize(("age", "source"), [(60.0, ForwardSource.FUTURE), (61.0, ForwardSource.PARITY)])
def test_an_old_future_gives_way_to_parity(age: float, source: ForwardSource) -> None:
    found = chosen(choose_forwards(inputs=inputs(same={**SAME, "age": age})))

    assert (
        found
        == {
            ForwardSource.FUTURE: (24_120.0, ForwardSource.FUTURE, 60.0, 0),
            ForwardSource.PARITY: (24_115.0, ForwardSource.PARITY, 0.3, 0),
        }[source]
    )


@pytest.mark.parametrize("price", [0.0, -1.0, NAN])
def test_a_future_without_a_price_is_no_forward(price: float) -> None:
    assert chosen(choose_forwards(inputs=inputs(same={**SAME, "price": price})))[1] is ForwardSource.PARITY


@pytest.mark.parametrize(("dispersion", "trusted"), [(24_115.0 * 0.0005, True), (12.1, False), (NAN, False)])
def test_parity_is_trusted_up_to_a_twentieth_of_a_per_cent(dispersion: float, trusted: bool) -> None:
    found = choose_forwards(inputs=inputs(same=NO_FUTURE, parity={**PARITY, "dispersion": dispersion}))

    assert (chosen(found)[1] is ForwardSource.PARITY) is trusted


def test_parity_that_disagrees_gives_way_to_the_last_good_one() -> None:
    torn = inputs(same=NO_FUTURE, parity={**PARITY, "dispersion": 13.0}, kept=1.005, kept_age=20.0)

    assert chosen(choose_forwards(inputs=torn)) == (
        pytest.approx(24_120.0),
        ForwardSource.KEPT_PARITY,
        20.0,
        Flag.STALE_FORWARD,
    )


@pytest.mark.parametrize(("age", "source"), [(900.0, ForwardSource.KEPT_PARITY), (901.0, ForwardSource.CARRY)])
def test_the_last_good_parity_is_not_kept_for_ever(age: float, source: ForwardSource) -> None:
    torn = inputs(same=NO_FUTURE, parity=NO_PARITY, kept=1.005, kept_age=age)

    assert chosen(choose_forwards(inputs=torn))[1] is source


def test_another_future_lends_its_carry() -> None:
    found = choose_forwards(inputs=inputs(same=NO_FUTURE, parity=NO_PARITY))

    assert chosen(found) == (pytest.approx(24_000.0 * (24_060.0 / 24_000.0) ** 2), ForwardSource.CARRY, 2.0, 0)


def test_a_carry_is_as_old_as_the_older_of_future_and_spot() -> None:
    found = choose_forwards(inputs=inputs(same=NO_FUTURE, parity=NO_PARITY, spot_age=61.0))

    assert chosen(found)[1:] == (ForwardSource.CARRY, 61.0, Flag.STALE_FORWARD)


def test_spot_grows_at_the_configured_rate_less_the_dividend() -> None:
    bare = inputs(same=NO_FUTURE, parity=NO_PARITY, nearest=NO_FUTURE, dividend=0.01)

    assert chosen(choose_forwards(inputs=bare)) == (
        pytest.approx(24_000.0 * np.exp(0.055 * 0.1)),
        ForwardSource.SPOT,
        0.5,
        0,
    )


@pytest.mark.parametrize(("age", "flags"), [(60.0, 0), (61.0, Flag.STALE_FORWARD)])
def test_an_old_spot_makes_a_stale_forward(age: float, flags: int) -> None:
    bare = inputs(same=NO_FUTURE, parity=NO_PARITY, nearest=NO_FUTURE, spot_age=age)

    assert chosen(choose_forwards(inputs=bare))[3] == flags


@pytest.mark.parametrize("spot", [NAN, 0.0])
def test_no_forward_is_said_and_not_guessed(spot: float) -> None:
    nothing = inputs(same=NO_FUTURE, parity=NO_PARITY, spot=spot, kept=1.0, kept_age=0.0)

    value, source, age, flags = chosen(choose_forwards(inputs=nothing))

    assert np.isnan([value, age]).all()
    assert (source, flags) == (ForwardSource.NONE, Flag.NO_FORWARD)


def test_a_currency_below_a_rupee_has_a_forward_too() -> None:
    penny = inputs(same=NO_FUTURE, parity=NO_PARITY, nearest=NO_FUTURE, spot=0.5)

    assert chosen(choose_forwards(inputs=penny))[1] is ForwardSource.SPOT
    assert chosen(choose_forwards(inputs=inputs(same={**SAME, "price": 0.5})))[:2] == (0.5, ForwardSource.FUTURE)


def test_how_far_parity_may_disagree_is_data() -> None:
    torn = inputs(same=NO_FUTURE, parity={**PARITY, "dispersion": 13.0})

    found = choose_forwards(inputs=torn, rules=replace(DEFAULT_RULES, parity_disagreement=0.01))

    assert chosen(found)[1] is ForwardSource.PARITY
    assert (found.source.dtype, found.flags.dtype) == (np.uint8, np.uint16)


def test_each_chain_gets_the_best_forward_of_its_own() -> None:
    columns = {name: np.array([value, value]) for name, value in KNOWN.items()}
    futures = {name: np.array([value, NAN]) for name, value in SAME.items()}
    found = choose_forwards(
        inputs=ForwardInputs(
            **columns,
            same_expiry=Futures(**futures),
            nearest=Futures(**{name: np.array([value, value]) for name, value in NEAREST.items()}),
            parity=Parity(**{name: np.array([value, value]) for name, value in PARITY.items()}),
        )
    )

    assert [chosen(found, place)[:2] for place in (0, 1)] == [
        (24_120.0, ForwardSource.FUTURE),
        (24_115.0, ForwardSource.PARITY),
    ]


def chain_mids(*, forward: float = 24_100.0, years: float = 0.1, rate: float = 0.065) -> tuple[np.ndarray, ...]:
    strike = np.arange(23_000.0, 25_050.0, 50.0)
    time_value = 300.0 * np.exp(-(((strike - forward) / 500.0) ** 2))
    discount = np.exp(-rate * years)
    call = discount * np.maximum(forward - strike, 0.0) + time_value
    put = discount * np.maximum(strike - forward, 0.0) + time_value
    return strike, call, put


def parity_of(strike: np.ndarray, call: np.ndarray, put: np.ndarray, *, spot: float = 24_000.0) -> Parity:
    age = np.abs(strike - 24_000.0) / 100.0
    return parity_forwards(
        strike=strike[None],
        call=call[None],
        put=put[None],
        age=age[None],
        spot=np.array([spot]),
        years=np.array([0.1]),
        rate=np.array([0.065]),
    )


def test_parity_is_as_old_as_its_oldest_quote() -> None:
    assert parity_of(*chain_mids()).age[0] == 1.5


def test_parity_recovers_the_forward() -> None:
    found = parity_of(*chain_mids())

    assert found.value[0] == pytest.approx(24_100.0, abs=1e-9)
    assert found.dispersion[0] == pytest.approx(0.0, abs=1e-9)
    assert found.strikes[0] == 6


def test_parity_survives_one_wrong_quote() -> None:
    strike, call, put = chain_mids()
    call[np.searchsorted(strike, 24_000.0)] += 400.0

    assert parity_of(strike, call, put).value[0] == pytest.approx(24_100.0, abs=1e-9)


def test_parity_takes_the_median_and_the_median_distance_from_it() -> None:
    strike, call, put = chain_mids()
    near = np.argsort(np.abs(strike - 24_000.0), kind="stable")[:6]
    call[near] += np.array([0.0, 1.0, 2.0, 4.0, 8.0, 16.0]) * np.exp(-0.0065)

    found = parity_of(strike, call, put)

    assert found.value[0] == pytest.approx(24_103.0, abs=1e-9)
    assert found.dispersion[0] == pytest.approx(2.5, abs=1e-9)


def test_of_an_odd_number_of_strikes_the_middle_one_counts() -> None:
    strike, call, put = chain_mids()
    near = np.argsort(np.abs(strike - 24_000.0), kind="stable")
    call[near[5:]] = np.nan
    call[near[:5]] += np.array([0.0, 1.0, 2.0, 4.0, 8.0]) * np.exp(-0.0065)

    found = parity_of(strike, call, put)

    assert (found.value[0], found.strikes[0]) == (pytest.approx(24_102.0, abs=1e-9), 5)
    assert found.dispersion[0] == pytest.approx(2.0, abs=1e-9)


def test_parity_reads_only_the_strikes_nearest_the_spot() -> None:
    strike, call, put = chain_mids()
    far = np.abs(strike - 24_000.0) > 200.0
    call[far] = 1.0

    assert parity_of(strike, call, put).value[0] == pytest.approx(24_100.0, abs=1e-9)


def test_of_two_strikes_as_near_the_lower_one_is_read() -> None:
    strike, call, put = chain_mids()
    call[strike >= 24_150.0] += 900.0
    put[strike < 23_850.0] += 900.0

    found = parity_of(strike, call, put)

    assert found.value[0] == pytest.approx(24_100.0, abs=1e-9)


def test_parity_finds_its_centre_without_a_spot() -> None:
    strike, call, put = chain_mids()
    call[np.abs(strike - 24_100.0) > 200.0] += 900.0

    assert parity_of(strike, call, put, spot=NAN).value[0] == pytest.approx(24_100.0, abs=1e-9)


@pytest.mark.parametrize(("quoted", "enough"), [(3, False), (4, True)])
def test_three_quoted_strikes_are_too_few_for_parity(quoted: int, enough: bool) -> None:
    strike, call, put = chain_mids()
    call[quoted:] = np.nan

    found = parity_of(strike, call, put)

    assert np.isfinite([found.value[0], found.dispersion[0], found.age[0]]).tolist() == [enough] * 3
    assert found.strikes[0] == (quoted if enough else 0)


def test_chains_of_any_length_are_read_side_by_side() -> None:
    strike, call, put = chain_mids()
    short = np.where(strike <= 24_000.0, call, np.nan)

    found = parity_forwards(
        strike=np.stack([strike, strike, strike]),
        call=np.stack([call, short, np.full(len(strike), np.nan)]),
        put=np.stack([put, put, put]),
        age=np.stack([np.full(len(strike), age) for age in (1.0, 2.0, 3.0)]),
        spot=np.array([24_000.0, 25_000.0, 24_000.0]),
        years=np.full(3, 0.1),
        rate=np.full(3, 0.065),
    )

    assert found.value[:2] == pytest.approx([24_100.0, 24_100.0], abs=1e-9)
    assert found.age[:2].tolist() == [1.0, 2.0]
    assert np.isnan([found.value[2], found.age[2]]).all()
    assert found.strikes.tolist() == [6, 6, 0]


def one_quote(**changes: float) -> Quotes:
    values = {"bid": 99.0, "ask": 101.0, "last": 100.5, "quote_age": 1.0, "trade_age": 5.0, "tick": 0.05, **changes}
    return Quotes(**{name: np.array([value]) for name, value in values.items()})


@pytest.mark.parametrize(
    ("changes", "value", "source", "age", "flags"),
    [
        ({}, 100.0, PriceSource.MID, 1.0, 0),
        ({"bid": 95.0, "ask": 105.0}, 100.0, PriceSource.MID, 1.0, 0),
        ({"bid": 100.0, "ask": 100.0}, 100.0, PriceSource.MID, 1.0, 0),
        ({"quote_age": 30.0}, 100.0, PriceSource.MID, 30.0, 0),
        ({"bid": 90.0, "ask": 110.0, "quote_age": 30.0}, 100.5, PriceSource.LAST, 5.0, Flag.WIDE_SPREAD),
        ({"bid": 90.0, "ask": 110.0, "last": 90.0}, 90.0, PriceSource.LAST, 5.0, Flag.WIDE_SPREAD),
        ({"bid": 90.0, "ask": 110.0, "last": 110.0}, 110.0, PriceSource.LAST, 5.0, Flag.WIDE_SPREAD),
        ({"bid": 90.0, "ask": 110.0, "trade_age": 60.0}, 100.5, PriceSource.LAST, 60.0, Flag.WIDE_SPREAD),
        ({"bid": 0.5, "ask": 0.9, "last": 0.7}, 0.7, PriceSource.LAST, 5.0, Flag.WIDE_SPREAD),
        ({"bid": 0.0, "ask": 0.05, "last": 0.05}, 0.05, PriceSource.LAST, 5.0, 0),
        ({"bid": np.inf, "ask": np.inf}, 100.5, PriceSource.STALE, 5.0, Flag.STALE_PRICE | Flag.WIDE_SPREAD),
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
    assert (chosen.source.dtype, chosen.flags.dtype) == (np.uint8, np.uint16)
    assert chosen.age[0] == pytest.approx(age, nan_ok=True)


def test_mids_that_are_known_are_not_looked_for() -> None:
    assert choose_prices(quotes=one_quote(), mids=np.array([77.0])).value[0] == 77.0


def test_the_limits_of_the_choice_are_data() -> None:
    wide = one_quote(bid=90.0, ask=110.0)

    chosen = choose_prices(quotes=wide, rules=replace(DEFAULT_RULES, spread_fraction=0.25))

    assert chosen.source[0] == PriceSource.MID
