"""manage.py greeks prints a chain a person can read."""

from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from greeks.chains import Engine
from tests.greeks.market import NOW, WEEKLY, OptionMarket


def printed(*arguments: str) -> str:
    out = StringIO()
    call_command("greeks", *arguments, stdout=out)
    return out.getvalue()


def test_the_table_has_calls_left_and_puts_right(market: OptionMarket, engine: Engine) -> None:
    market.publish(market.rows())
    engine.recompute(now=NOW)

    lines = printed("NIFTY", str(WEEKLY), "--strikes", "2").splitlines()

    assert lines[0].startswith(f"NIFTY:{WEEKLY}  fwd_cal")
    assert "from parity" in lines[1]
    assert lines[4].split() == [
        *("oi", "volume", "vega", "theta", "gamma", "delta", "iv", "price"),
        "strike",
        *("price", "iv", "delta", "gamma", "theta", "vega", "volume", "oi"),
    ]
    assert [line.split()[8] for line in lines[5:]] == ["23950.00", "24000.00", "24050.00", "24100.00", "24150.00"]
    assert lines[6].split()[6] == "12.02%"


def test_a_leg_without_a_value_is_a_dash_with_a_reason(market: OptionMarket, engine: Engine) -> None:
    engine.recompute(now=NOW)

    lines = printed("NIFTY", str(WEEKLY), "--strikes", "0").splitlines()

    assert len(lines) == 5 + 41
    assert lines[5].endswith("no_forward no_price")
    assert lines[5].split()[2:8] == ["-"] * 6


def test_a_chain_that_was_not_computed_says_what_to_look_at(market: OptionMarket) -> None:
    with pytest.raises(CommandError, match="was not computed"):
        printed("NIFTY", str(WEEKLY))
