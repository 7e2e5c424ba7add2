"""What the kernel answers when there is no answer."""

from itertools import product

import numpy as np
import pytest

from greeks import kernel
from greeks.kernel import COLUMNS, SENSITIVITIES, Flag

GOOD = {"price": 120.0, "forward": 24_000.0, "strike": 24_100.0, "t": 7 / 365, "r": 0.065, "sign": 1.0}


def solve_one(**changes: float) -> kernel.Result:
    price, forward, strike, t, r, sign = {**GOOD, **changes}.values()
    return kernel.solve(price, forward, strike, t, r, sign)


@pytest.mark.parametrize(
    ("changes", "flag"),
    [
        ({"strike": 23_000.0, "price": 990.0}, Flag.BELOW_INTRINSIC),
        ({"price": 0.0}, Flag.BELOW_INTRINSIC),
        ({"price": -1.0}, Flag.BAD_INPUT),
        ({"t": 0.0}, Flag.EXPIRED),
        ({"t": -0.1}, Flag.EXPIRED),
        ({"price": 24_500.0}, Flag.ABOVE_MAX),
        ({"price": 24_000.0, "r": 0.0}, Flag.ABOVE_MAX),
        ({"price": float("nan")}, Flag.BAD_INPUT),
        ({"price": float("inf")}, Flag.BAD_INPUT),
        ({"forward": 0.0}, Flag.BAD_INPUT),
        ({"forward": -24_000.0}, Flag.BAD_INPUT),
        ({"forward": float("nan")}, Flag.BAD_INPUT),
        ({"strike": 0.0}, Flag.BAD_INPUT),
        ({"strike": float("inf")}, Flag.BAD_INPUT),
        ({"t": float("nan")}, Flag.BAD_INPUT),
        ({"t": float("inf")}, Flag.BAD_INPUT),
        ({"r": float("nan")}, Flag.BAD_INPUT),
        ({"sign": 0.0}, Flag.BAD_INPUT),
        ({"sign": 2.0}, Flag.BAD_INPUT),
        ({"sign": float("nan")}, Flag.BAD_INPUT),
        ({"strike": 24_000.0, "price": 1e-4}, Flag.OUT_OF_RANGE),
        ({"strike": 24_000.0, "t": 5.0, "r": 0.0, "price": 23_999.0}, Flag.OUT_OF_RANGE),
    ],
)
def test_a_row_without_a_volatility_says_why(changes: dict[str, float], flag: Flag) -> None:
    result = solve_one(**changes)

    assert result.flags[0] == flag
    assert all(np.isnan(getattr(result, name)[0]) for name in ("iv", *SENSITIVITIES))


def test_a_time_value_below_the_tick_carries_no_volatility() -> None:
    deep = {**GOOD, "strike": 20_000.0, "price": 4_000.0 * np.exp(-0.065 * 7 / 365) + 0.04}

    result = kernel.solve(*deep.values(), tick=0.05)

    assert result.flags[0] == Flag.NO_TIME_VALUE
    assert np.isnan(result.iv[0])
    assert result.time_value[0] == pytest.approx(0.04)


def test_a_price_of_exactly_one_tick_has_a_volatility() -> None:
    result = kernel.solve(0.05, 24_000.0, 28_800.0, 1 / (24 * 365), 0.065, 1.0, tick=0.05)

    assert result.flags[0] == 0
    assert result.iv[0] == pytest.approx(4.73, abs=0.005)


def test_an_expired_option_keeps_its_intrinsic_value() -> None:
    result = solve_one(t=0.0, strike=23_500.0)

    assert result.intrinsic[0] == 500.0
    assert np.isnan(result.time_value[0])


def test_a_missing_price_keeps_the_intrinsic_value() -> None:
    result = solve_one(price=float("nan"), strike=23_500.0)

    assert result.intrinsic[0] == pytest.approx(500.0 * np.exp(-0.065 * 7 / 365), rel=1e-15)


def test_a_bad_contract_has_no_intrinsic_value() -> None:
    assert np.isnan(solve_one(strike=-1.0).intrinsic[0])


@pytest.mark.parametrize("iv", [0.0, -0.1, float("nan"), float("inf")])
def test_sensitivities_at_an_impossible_volatility_are_refused(iv: float) -> None:
    result = kernel.greeks(24_000.0, 24_000.0, 0.1, 0.0, 1.0, iv)

    assert result.flags[0] == Flag.BAD_INPUT
    assert np.isnan(result.delta[0])
    assert np.isnan(result.time_value[0])


def test_sensitivities_beyond_the_range_are_refused() -> None:
    assert kernel.greeks(1.0, 1.0, 1.0, 0.0, 1.0, 5.01).flags[0] == Flag.OUT_OF_RANGE


def test_a_price_without_a_volatility_is_not_a_number() -> None:
    assert np.isnan(kernel.price(1.0, 1.0, 1.0, 0.0, 1.0, float("nan"))[0])


def test_one_bad_row_never_touches_another() -> None:
    values = (float("nan"), float("inf"), -float("inf"), 0.0, -1.0, 1e308)
    bad = [{**GOOD, name: value} for name, value in product(GOOD, values)]
    rows = [row for pair in zip(bad, [GOOD] * len(bad), strict=True) for row in pair]
    columns = [np.array([row[name] for row in rows]) for name in GOOD]
    alone = solve_one()

    together = kernel.solve(*columns)

    for name in COLUMNS:
        assert (getattr(together, name)[1::2] == getattr(alone, name)[0]).all(), name
    assert not together.flags[1::2].any()


@pytest.mark.parametrize("seed", range(5))
def test_every_row_has_a_value_or_exactly_one_reason(seed: int) -> None:
    random = np.random.default_rng(seed)
    odd = np.array([np.nan, np.inf, -np.inf, 0.0, -1.0, 1.0, 1e-300, 1e300, 5e-324, 24_000.0])
    price, forward, strike, t, r = (random.choice(odd, 20_000) for _ in range(5))
    sign = random.choice(np.array([1.0, -1.0, 0.0]), 20_000)

    result = kernel.solve(price, forward, strike, t, r, sign)

    known = result.flags == 0
    reasons = [int(flag).bit_count() for flag in np.unique(result.flags[~known])]
    assert set(reasons) == {1}
    assert np.isfinite(result.iv[known]).all()
    assert np.isnan(result.iv[~known]).all()


def test_an_empty_batch_gives_an_empty_result() -> None:
    assert len(kernel.solve([], [], [], [], 0.0, [])) == 0


def test_columns_of_different_lengths_are_a_mistake_of_the_caller() -> None:
    with pytest.raises(ValueError, match="shape mismatch"):
        kernel.solve([1.0, 2.0], [1.0, 2.0, 3.0], 1.0, 1.0, 0.0, 1.0)


def test_a_table_is_a_mistake_of_the_caller() -> None:
    with pytest.raises(ValueError, match="one dimension"):
        kernel.solve(np.ones((2, 2)), 1.0, 1.0, 1.0, 0.0, 1.0)


def test_an_output_of_another_length_is_a_mistake_of_the_caller() -> None:
    with pytest.raises(ValueError, match="must have 2 rows, was 3"):
        kernel.solve([0.1, 0.2], 1.0, 1.0, 1.0, 0.0, 1.0, out=kernel.Result.allocate(3))
