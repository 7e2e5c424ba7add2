"""Delta and vega of what the accounts hold, on the Desk."""

from datetime import UTC, datetime

import pytest

from accounts.models import BrokerAccount
from market_data.models import Instrument
from ops import books
from portfolio.models import Reading
from tests.factories import BrokerAccountFactory

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clean_redis")]
NOW = datetime(2026, 11, 24, 5, 0, tzinfo=UTC)


def holds(label: str, quantity: int, symbol: str = "INFY") -> BrokerAccount:
    account: BrokerAccount = BrokerAccountFactory(label=label)
    row = {"exchange": "NSE", "tradingsymbol": symbol, "quantity": quantity, "multiplier": 1, "last_price": 1500.0}
    Reading.objects.create(
        account=account, kind="positions", answer={"net": [row], "day": []}, read_at=datetime.now(UTC)
    )
    return account


def share() -> None:
    Instrument.objects.create(
        instrument_token=408065,
        exchange_token=1594,
        tradingsymbol="INFY",
        name="INFOSYS",
        exchange="NSE",
        segment="NSE",
        instrument_type="EQ",
        tick_size="0.05",
        lot_size=1,
        strike=0,
        synced_at=NOW,
    )


def test_shares_move_one_for_one_and_add_up() -> None:
    share()
    holds("one", 10)
    holds("two", -4)

    book = books.read(now=NOW)

    assert [(line.account, line.delta_rupees, line.vega) for line in book.lines] == [
        ("one", 15_000, 0),
        ("two", -6_000, 0),
        ("all accounts", 9_000, 0),
    ]


def test_without_positions_there_is_no_book() -> None:
    assert books.read(now=NOW) == books.Book((), None)
