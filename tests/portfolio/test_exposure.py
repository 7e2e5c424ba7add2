"""Sums over positions and holdings."""

import pytest

from portfolio.exposure import Line, by_underlying, profit


def line(**values: object) -> Line:
    fields = {
        "account": "a",
        "instrument": "NFO:NIFTY26DECFUT",
        "underlying": "NIFTY",
        "units": 75.0,
        "last_price": 24_000.0,
        "pnl": 10.0,
        "delta_units": 75.0,
    }
    return Line(**{**fields, **values})  # type: ignore[arg-type]


def test_long_and_short_do_not_cancel_in_the_gross() -> None:
    (found,) = by_underlying([line(), line(units=-75.0, delta_units=-75.0, last_price=24_100.0)])

    assert found.gross_value == 75 * 48_100
    assert found.net_value == -75 * 100
    assert found.delta_units == 0
    assert found.pnl == 20


def test_an_option_without_greeks_is_named_and_keeps_its_value() -> None:
    (found,) = by_underlying([line(), line(instrument="NFO:NIFTY26DEC24000CE", delta_units=None, last_price=100.0)])

    assert found.unpriced == ["NFO:NIFTY26DEC24000CE"]
    assert found.delta_units == 75
    assert found.long_value == 75 * 24_100


def test_a_closed_position_is_no_exposure() -> None:
    assert by_underlying([line(units=0.0)]) == []


def test_underlyings_come_by_name() -> None:
    found = by_underlying([line(underlying="SENSEX"), line(underlying="NIFTY")])

    assert [each.underlying for each in found] == ["NIFTY", "SENSEX"]


def test_todays_profit_counts_the_days_change_of_every_share_held() -> None:
    found = profit(
        net=[{"realised": 5.0, "unrealised": -2.0, "m2m": 3.0}],
        holdings=[{"quantity": 10, "t1_quantity": 5, "day_change": 2.0, "pnl": 100.0}],
    )

    assert found.holdings_day_change == 30
    assert found.today == pytest.approx(33)
    assert found.holdings_pnl == 100
