"""What traders read off a chain."""

import numpy as np
import pytest

from greeks import kernel
from greeks.analytics import (
    between_maturities,
    constant_maturity,
    gamma_exposure,
    max_pain,
    percentile,
    put_call_ratios,
    rank,
    straddle,
)

STRIKE = np.array([90.0, 100.0, 110.0, 90.0, 100.0, 110.0])
SIGN = np.array([1.0, 1.0, 1.0, -1.0, -1.0, -1.0])


def test_ratios_are_puts_over_calls() -> None:
    found = put_call_ratios(
        sign=SIGN, open_interest=np.array([1.0, 2, 1, 3, 2, 1]), volume=np.array([10.0, 0, 0, 5, np.nan, 0])
    )

    assert (found.open_interest, found.volume) == (1.5, 0.5)


def test_no_calls_no_ratio() -> None:
    nothing = np.array([0.0, 0, 0, 3, 2, 1])

    assert np.isnan(put_call_ratios(sign=SIGN, open_interest=nothing, volume=nothing).open_interest)


def test_max_pain_is_where_holders_get_least() -> None:
    open_interest = np.array([100.0, 900.0, 100.0, 100.0, 300.0, 100.0])
    paid = {s: float(np.sum(np.maximum(SIGN * (s - STRIKE), 0.0) * open_interest)) for s in (90.0, 100.0, 110.0)}

    assert max_pain(strike=STRIKE, sign=SIGN, open_interest=open_interest) == min(paid, key=lambda s: paid[s])


def test_no_open_interest_has_no_max_pain() -> None:
    assert np.isnan(max_pain(strike=STRIKE, sign=SIGN, open_interest=np.zeros(6)))


def test_the_straddle_nearest_the_forward_gives_the_expected_move() -> None:
    price = np.array([11.0, 4.0, 1.0, 1.0, 4.2, 10.0])
    iv = np.array([0.2, 0.20, 0.2, 0.2, 0.22, 0.2])

    found = straddle(strike=STRIKE, sign=SIGN, price=price, iv=iv, forward=101.0, t=0.25)

    assert (found.strike, found.price) == (100.0, pytest.approx(8.2))
    assert found.expected_move == pytest.approx(101.0 * 0.21 * 0.5)


def test_an_unpriced_leg_moves_the_straddle_to_the_next_strike() -> None:
    price = np.array([11.0, np.nan, 1.0, 1.0, 4.2, 10.0])

    found = straddle(strike=STRIKE, sign=SIGN, price=price, iv=np.full(6, 0.2), forward=101.0, t=0.25)

    assert found.strike == 110.0


def test_a_chain_without_a_pair_has_no_straddle() -> None:
    price = np.array([1.0, 1.0, 1.0, np.nan, np.nan, np.nan])

    assert np.isnan(straddle(strike=STRIKE, sign=SIGN, price=price, iv=price, forward=100.0, t=0.25).strike)


def test_gamma_exposure_is_rupees_for_one_percent_with_units_not_lots() -> None:
    gamma = kernel.greeks(100.0, 100.0, 0.1, 0.0, 1.0, 0.2).gamma[0]
    lot_size, lots = 75, 40

    found = gamma_exposure(
        spot=100.0,
        forward=100.0,
        strike=np.array([100.0]),
        sign=np.array([1.0]),
        t=np.array([0.1]),
        r=0.0,
        iv=np.array([0.2]),
        open_interest=np.array([float(lot_size * lots)]),
    )

    assert found.units_per_rupee == pytest.approx(gamma * 3_000)
    assert found.rupees_per_percent == pytest.approx(gamma * 3_000 * 100.0**2 / 100.0)
    assert found.unpriced == 0


def test_exposure_changes_sign_between_puts_below_and_calls_above() -> None:
    found = gamma_exposure(
        spot=100.0,
        forward=100.0,
        strike=np.array([105.0, 95.0]),
        sign=np.array([1.0, -1.0]),
        t=np.full(2, 0.02),
        r=0.0,
        iv=np.full(2, 0.2),
        open_interest=np.array([100.0, 100.0]),
    )

    assert 98.0 < found.zero_gamma < 102.0


def test_an_option_without_a_volatility_is_counted_as_unpriced() -> None:
    found = gamma_exposure(
        spot=100.0,
        forward=100.0,
        strike=np.array([105.0, 95.0]),
        sign=np.array([1.0, 1.0]),
        t=np.full(2, 0.02),
        r=0.0,
        iv=np.array([0.2, np.nan]),
        open_interest=np.array([100.0, 100.0]),
    )

    assert found.unpriced == 1
    assert np.isnan(found.zero_gamma)


def test_rank_places_a_level_between_the_extremes() -> None:
    assert rank(level=0.15, history=np.array([0.10, 0.12, 0.30])) == pytest.approx(25.0)


@pytest.mark.parametrize("history", [np.array([]), np.array([0.2, 0.2])])
def test_rank_needs_a_range(history: np.ndarray) -> None:
    assert np.isnan(rank(level=0.2, history=history))


def test_percentile_is_the_share_below() -> None:
    assert percentile(level=0.15, history=np.array([0.10, 0.12, 0.15, 0.30])) == 50.0
    assert np.isnan(percentile(level=0.15, history=np.array([])))


@pytest.mark.parametrize(
    ("target", "expected"),
    [(0.1, 0.2), (0.05, 0.2), (0.3, 0.3), (0.2, np.sqrt((0.004 + (0.0225 - 0.004) * 2 / 3) / 0.2))],
)
def test_constant_maturity_interpolates_total_variance(target: float, expected: float) -> None:
    found = constant_maturity(t=np.array([0.25, 0.1]), iv=np.array([0.3, 0.2]), target=target)

    assert found == pytest.approx(expected, rel=1e-3)


def test_no_known_volatility_has_no_constant_maturity() -> None:
    assert np.isnan(constant_maturity(t=np.array([0.1]), iv=np.array([np.nan]), target=0.1))


@pytest.mark.parametrize(
    ("target", "expected"), [(0.05, -0.02), (0.1, -0.02), (0.15, -0.03), (0.2, -0.04), (0.9, -0.04)]
)
def test_a_skew_is_interpolated_in_time_and_flat_outside(target: float, expected: float) -> None:
    t, value = np.array([0.2, 0.1, 0.15, 0.0]), np.array([-0.04, -0.02, np.nan, 9.0])

    assert between_maturities(t=t, value=value, target=target) == pytest.approx(expected)


def test_no_known_skew_has_no_maturity() -> None:
    assert np.isnan(between_maturities(t=np.array([0.1]), value=np.array([np.nan]), target=0.1))
