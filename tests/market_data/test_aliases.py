"""What people call an instrument."""

import pytest

from market_data.aliases import candidates
from market_data.queries import instruments_by_keys
from tests.market_data.factories import InstrumentFactory


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("NSE:INFY", "NSE:INFY"),
        ("nse:infy", "NSE:INFY"),
        ("INFY", "NSE:INFY"),
        ("INFY.NS", "NSE:INFY"),
        ("INFY.BO", "BSE:INFY"),
        ("NSE:INFY-EQ", "NSE:INFY"),
        ("INFY-BE", "NSE:INFY"),
        ("NIFTY", "NSE:NIFTY 50"),
        ("NSE:NIFTY", "NSE:NIFTY 50"),
        ("nifty 50", "NSE:NIFTY 50"),
        ("^NSEI", "NSE:NIFTY 50"),
        ("NIFTY_50", "NSE:NIFTY 50"),
        ("BANKNIFTY", "NSE:NIFTY BANK"),
        ("NIFTY BANK", "NSE:NIFTY BANK"),
        ("FINNIFTY", "NSE:NIFTY FIN SERVICE"),
        ("MIDCAP SELECT", "NSE:NIFTY MID SELECT"),
        ("SENSEX", "BSE:SENSEX"),
        ("^BSESN", "BSE:SENSEX"),
    ],
)
def test_an_alias_finds_its_instrument(said: str, meant: str) -> None:
    for exchange, symbol in (
        ("NSE", "INFY"),
        ("BSE", "INFY"),
        ("NSE", "NIFTY 50"),
        ("NSE", "NIFTY BANK"),
        ("NSE", "NIFTY FIN SERVICE"),
        ("NSE", "NIFTY MID SELECT"),
        ("BSE", "SENSEX"),
    ):
        InstrumentFactory(exchange=exchange, tradingsymbol=symbol)

    assert str(instruments_by_keys([said])[said]) == meant


@pytest.mark.django_db
def test_a_listed_symbol_goes_before_an_alias() -> None:
    InstrumentFactory(tradingsymbol="NIFTY 50")
    InstrumentFactory(tradingsymbol="VIX-EQ")

    assert str(instruments_by_keys(["NSE:VIX-EQ"])["NSE:VIX-EQ"]) == "NSE:VIX-EQ"


@pytest.mark.django_db
@pytest.mark.parametrize("said", ["", ":", "NSE:", "BSE:NIFTY", "MCX:INFY", "NOPE"])
def test_what_is_nobodys_name_finds_nothing(said: str) -> None:
    InstrumentFactory(tradingsymbol="INFY")
    InstrumentFactory(tradingsymbol="NIFTY 50")

    assert instruments_by_keys([said]) == {}


def test_a_name_that_ends_in_a_series_is_tried_as_it_stands_first() -> None:
    assert candidates("NSE:GOLD-EQ")[:2] == [("NSE", "GOLD-EQ"), ("NSE", "GOLD")]
