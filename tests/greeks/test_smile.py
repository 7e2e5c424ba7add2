"""The smile fit, its arbitrage checks and the skew read off it."""

import numpy as np
import pytest

from greeks import kernel
from greeks.errors import NotEnoughQuotes
from greeks.smile import Svi, calendar_gap, fit, skew

TRUE = Svi(a=0.0002, b=0.02, rho=-0.4, m=0.01, sigma=0.05)
T = 30 / 365
K = np.linspace(-0.15, 0.12, 40)


def test_a_fit_recovers_the_slice_it_was_given() -> None:
    found = fit(k=K, iv=TRUE.volatility(k=K, t=T), t=T)

    assert found.worst_points < 1e-4
    assert found.svi.rho == pytest.approx(TRUE.rho, abs=1e-3)
    assert found.points == 40


def test_a_noisy_slice_is_fitted_to_its_noise() -> None:
    noise = 0.001 * np.random.default_rng(4).standard_normal(len(K))

    found = fit(k=K, iv=TRUE.volatility(k=K, t=T) + noise, t=T)

    assert found.rmse_points < 0.12
    assert found.butterfly_free


def test_unknown_volatilities_are_left_out() -> None:
    iv = TRUE.volatility(k=K, t=T)
    iv[::4] = np.nan

    found = fit(k=K, iv=iv, t=T)

    assert found.points == 30
    assert found.worst_points < 1e-4


def test_a_warm_start_finds_the_same_slice() -> None:
    iv = TRUE.volatility(k=K, t=T)

    found = fit(k=K, iv=iv, t=T, start=Svi(a=0.0003, b=0.03, rho=-0.2, m=0.0, sigma=0.06))

    assert found.worst_points < 1e-3


def test_four_quotes_are_too_few_for_a_smile() -> None:
    with pytest.raises(NotEnoughQuotes, match="was given 4"):
        fit(k=K[:4], iv=TRUE.volatility(k=K[:4], t=T), t=T)


def test_a_butterfly_arbitrage_is_found() -> None:
    known_bad = Svi(a=-0.0410, b=0.1331, rho=0.3060, m=0.3586, sigma=0.4153)

    assert known_bad.density(k=np.linspace(-1.5, 1.5, 301)).min() < 0.0


def test_the_density_of_a_flat_smile_is_positive() -> None:
    flat = Svi(a=0.04, b=0.0, rho=0.0, m=0.0, sigma=0.1)

    assert np.allclose(flat.density(k=np.linspace(-1.0, 1.0, 11)), 1.0)


def test_a_later_slice_below_an_earlier_one_is_calendar_arbitrage() -> None:
    near = fit(k=K, iv=TRUE.volatility(k=K, t=T), t=T)
    far = fit(k=K, iv=0.5 * TRUE.volatility(k=K, t=T), t=2 * T)

    assert calendar_gap(near=near, far=far) < 0.0
    assert calendar_gap(near=far, far=near) > 0.0


def test_skew_is_read_at_twenty_five_delta() -> None:
    found = skew(slice_fit=fit(k=K, iv=TRUE.volatility(k=K, t=T), t=T), t=T)
    dense = np.linspace(-0.2, 0.2, 20_001)
    delta = kernel.greeks(1.0, np.exp(dense), T, 0.0, 1.0, TRUE.volatility(k=dense, t=T)).delta

    assert found.atm == pytest.approx(TRUE.volatility(k=np.zeros(1), t=T)[0], abs=1e-6)
    assert found.call == pytest.approx(TRUE.volatility(k=dense, t=T)[np.argmin(np.abs(delta - 0.25))], abs=2e-4)
    assert found.put == pytest.approx(TRUE.volatility(k=dense, t=T)[np.argmin(np.abs(delta - 0.75))], abs=2e-4)
    assert found.risk_reversal < 0.0
    assert found.butterfly > 0.0
    assert found.slope < 0.0


def test_a_smile_that_does_not_reach_twenty_five_delta_says_so() -> None:
    narrow = np.linspace(-0.001, 0.001, 9)

    found = skew(slice_fit=fit(k=narrow, iv=np.full(9, 0.6), t=1.0), t=1.0)

    assert np.isnan(found.risk_reversal)
    assert found.atm == pytest.approx(0.6, abs=1e-4)
