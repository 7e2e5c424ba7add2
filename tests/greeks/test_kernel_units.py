"""Units, and the corrected reference values of the textbook option."""

from decimal import Decimal

import numpy as np
import pytest

from greeks import kernel
from greeks.kernel import Flag

FORWARD, STRIKE, T, R, IV = 24_000.0, 24_100.0, 7 / 365, 0.065, 0.12


def closed_forms(sign: float) -> dict[str, float]:
    """Annual values per unit of volatility and rate, from the formulas with scipy's normal distribution."""
    from_scipy = pytest.importorskip("scipy.stats").norm
    total = IV * np.sqrt(T)
    d1 = np.log(FORWARD / STRIKE) / total + total / 2
    discount = np.exp(-R * T)
    price = discount * sign * (FORWARD * from_scipy.cdf(sign * d1) - STRIKE * from_scipy.cdf(sign * (d1 - total)))
    vega = discount * FORWARD * from_scipy.pdf(d1) * np.sqrt(T)
    return {"theta": R * price - vega * IV / (2 * T), "vega": vega, "rho": -T * price}


@pytest.mark.parametrize("sign", [1.0, -1.0])
@pytest.mark.parametrize(("name", "unit"), [("theta", 365.0), ("vega", 100.0), ("rho", 100.0)])
def test_a_sensitivity_is_its_annual_value_in_trader_units(sign: float, name: str, unit: float) -> None:
    result = kernel.greeks(FORWARD, STRIKE, T, R, sign, IV)

    assert getattr(result, name)[0] * unit == pytest.approx(closed_forms(sign)[name], rel=1e-12)


def test_theta_is_what_a_day_costs() -> None:
    bump = 1e-4 / 365
    now, later = (kernel.price(FORWARD, STRIKE, T - step, R, 1.0, IV)[0] for step in (-bump, bump))

    assert kernel.greeks(FORWARD, STRIKE, T, R, 1.0, IV).theta[0] == pytest.approx((later - now) / 2e-4, rel=1e-5)


@pytest.mark.parametrize(
    ("name", "of", "scale"), [("vanna", "delta", 0.01), ("vomma", "vega", 0.01), ("charm", "delta", -1 / 365)]
)
def test_a_second_order_value_is_the_slope_of_the_first_order_one(name: str, of: str, scale: float) -> None:
    step = 1e-6
    if name == "charm":
        ends = [kernel.greeks(FORWARD, STRIKE, T + s * T, R, 1.0, IV) for s in (-step, step)]
        slope = (getattr(ends[1], of)[0] - getattr(ends[0], of)[0]) / (2 * step * T)
    else:
        ends = [kernel.greeks(FORWARD, STRIKE, T, R, 1.0, IV + s) for s in (-step, step)]
        slope = (getattr(ends[1], of)[0] - getattr(ends[0], of)[0]) / (2 * step)

    measured = getattr(kernel.greeks(FORWARD, STRIKE, T, R, 1.0, IV), name)[0]

    assert measured == pytest.approx(slope * scale, rel=1e-6)


def on_spot(iv: float = IV) -> kernel.Result:
    spot = FORWARD * np.exp(-0.05 * T)
    raw = kernel.greeks(FORWARD, STRIKE, T, R, 1.0, iv)
    return kernel.to_spot(result=raw, forward=FORWARD, spot=spot, t=T)


def test_spot_vanna_is_the_slope_of_spot_delta() -> None:
    step = 1e-6
    slope = (on_spot(IV + step).delta[0] - on_spot(IV - step).delta[0]) / (2 * step)

    assert on_spot().vanna[0] == pytest.approx(slope * 0.01, rel=1e-6)


def test_what_does_not_depend_on_the_spot_stays_when_the_rest_is_turned_to_it() -> None:
    raw, turned = kernel.greeks(FORWARD, STRIKE, T, R, 1.0, IV), on_spot()

    for name in ("iv", "vega", "vomma", "intrinsic", "time_value", "flags"):
        assert np.array_equal(getattr(turned, name), getattr(raw, name))


def test_money_may_come_as_decimals() -> None:
    exact = kernel.solve(120.5, FORWARD, STRIKE, T, R, 1.0)
    price, forward, strike, spot, years = (
        np.array([Decimal(text)]) for text in ("120.5", "24000", "24100", "23990", "0.02")
    )

    found = kernel.solve(price, forward, strike, T, R, 1.0)
    turned = kernel.to_spot(result=found, forward=forward, spot=spot, t=years)

    assert found.iv[0] == exact.iv[0]
    assert turned.delta[0] == kernel.to_spot(result=exact, forward=24_000.0, spot=23_990.0, t=0.02).delta[0]


def test_the_sensitivities_can_be_written_into_memory_that_is_there() -> None:
    out = kernel.Result.allocate(2)

    found = kernel.greeks(FORWARD, [STRIKE, FORWARD], T, R, 1.0, IV, out=out)

    assert found is out
    assert np.array_equal(out.delta, kernel.greeks(FORWARD, [STRIKE, FORWARD], T, R, 1.0, IV).delta)


@pytest.mark.parametrize(
    ("total", "flag"), [(5.0, 0), (5.0000001, Flag.OUT_OF_RANGE), (1e-6, 0), (9.99e-7, Flag.OUT_OF_RANGE)]
)
def test_a_total_volatility_up_to_the_limits_is_in_range(total: float, flag: int) -> None:
    assert kernel.greeks(100.0, 100.0, 1.0, 0.0, 1.0, total).flags[0] == flag


@pytest.mark.parametrize(
    ("spot", "price", "delta", "gamma"),
    [(120.0, 26.169, 0.89646, 0.007500), (80.0, 1.8594, 0.22192, 0.018598), (100.0, 10.4506, 0.63683, 0.018762)],
)
def test_the_textbook_option_has_its_corrected_values(spot: float, price: float, delta: float, gamma: float) -> None:
    forward = spot * np.exp(0.05)
    result = kernel.to_spot(
        result=kernel.greeks(forward, 100.0, 1.0, 0.05, 1.0, 0.2), forward=forward, spot=spot, t=1.0
    )

    assert result.intrinsic[0] + result.time_value[0] == pytest.approx(price, abs=6e-4)
    assert result.delta[0] == pytest.approx(delta, abs=6e-6)
    assert result.gamma[0] == pytest.approx(gamma, abs=6e-7)


def test_a_deep_put_gains_with_time_and_its_theta_says_so() -> None:
    forward = 60.0 * np.exp(0.1)

    raw = kernel.greeks(forward, 100.0, 1.0, 0.1, -1.0, 0.15)

    assert kernel.to_spot(result=raw, forward=forward, spot=60.0, t=1.0).theta[0] > 0.0
