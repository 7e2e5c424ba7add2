"""Wishes for ticks."""

from datetime import timedelta

import pytest
from django.core.management import call_command

from kite.types import Mode
from market_data.errors import CapacityExceeded
from market_data.models import Subscription
from market_data.queries import desired_modes
from market_data.sharding import PER_ACCOUNT
from market_data.subscriptions import (
    forget_expired,
    renew,
    socket_wisher,
    unwish,
    unwish_everything,
    wish,
    wishes,
)
from tests.factories import CredentialFactory
from tests.market_data.factories import NOW, InstrumentFactory

pytestmark = pytest.mark.django_db


def test_a_wish_is_wanted() -> None:
    infy = InstrumentFactory()

    new = wish(instruments=[infy], mode=Mode.QUOTE, wanted_by="desk", now=NOW)

    assert new == 1
    assert desired_modes(now=NOW) == {infy.instrument_token: Mode.QUOTE}


def test_wishing_again_is_idempotent_and_changes_the_mode() -> None:
    infy = InstrumentFactory()
    wish(instruments=[infy], mode=Mode.QUOTE, wanted_by="desk", now=NOW)

    new = wish(instruments=[infy], mode=Mode.FULL, wanted_by="desk", now=NOW)

    assert new == 0
    assert desired_modes(now=NOW) == {infy.instrument_token: Mode.FULL}


def test_the_widest_mode_of_all_wishers_is_streamed() -> None:
    infy = InstrumentFactory()
    for name, mode in (("a", Mode.LTP), ("b", Mode.FULL), ("c", Mode.QUOTE)):
        wish(instruments=[infy], mode=mode, wanted_by=name, now=NOW)

    assert desired_modes(now=NOW) == {infy.instrument_token: Mode.FULL}


def test_an_instrument_stays_wanted_while_one_wisher_is_left() -> None:
    infy = InstrumentFactory()
    for name in ("a", "b"):
        wish(instruments=[infy], mode=Mode.LTP, wanted_by=name, now=NOW)

    gone = unwish(instruments=[infy], wanted_by="a")

    assert gone == 1
    assert desired_modes(now=NOW) == {infy.instrument_token: Mode.LTP}


def test_unwishing_twice_is_idempotent() -> None:
    assert unwish(instruments=[InstrumentFactory()], wanted_by="a") == 0


def test_everything_of_one_wisher_can_go_at_once() -> None:
    wish(instruments=InstrumentFactory.create_batch(3), mode=Mode.LTP, wanted_by="a", now=NOW)
    wish(instruments=[InstrumentFactory()], mode=Mode.LTP, wanted_by="b", now=NOW)

    assert unwish_everything(wanted_by="a") == 3
    assert len(desired_modes(now=NOW)) == 1


def test_a_wish_ends_at_its_time() -> None:
    wish(instruments=[InstrumentFactory()], mode=Mode.LTP, wanted_by="s", now=NOW, expires_at=NOW + timedelta(hours=1))

    assert desired_modes(now=NOW + timedelta(hours=1)) == {}


def test_a_renewed_wish_lives_on() -> None:
    infy = InstrumentFactory()
    wisher = socket_wisher(user_id=1, mode=Mode.LTP)
    wish(instruments=[infy], mode=Mode.LTP, wanted_by=wisher, now=NOW, expires_at=NOW + timedelta(hours=1))

    renew(user_id=1, modes={infy.instrument_token: Mode.LTP}, now=NOW + timedelta(minutes=59))

    assert len(desired_modes(now=NOW + timedelta(minutes=100))) == 1


def test_expired_wishes_and_contracts_are_forgotten() -> None:
    wish(instruments=[InstrumentFactory()], mode=Mode.LTP, wanted_by="s", now=NOW, expires_at=NOW)
    wish(instruments=[InstrumentFactory(expiry=NOW.date() - timedelta(days=1))], mode=Mode.LTP, wanted_by="s", now=NOW)
    wish(instruments=[InstrumentFactory()], mode=Mode.LTP, wanted_by="s", now=NOW)

    assert forget_expired(now=NOW) == 2
    assert Subscription.objects.count() == 1


def test_a_retired_instrument_is_streamed_no_more() -> None:
    wish(instruments=[InstrumentFactory(listed=False)], mode=Mode.LTP, wanted_by="s", now=NOW)

    assert desired_modes(now=NOW) == {}


def test_more_than_the_accounts_admit_is_refused_and_nothing_is_written() -> None:
    CredentialFactory(live=True, token_expires_at=NOW + timedelta(hours=1))
    many = [InstrumentFactory.build() for _ in range(PER_ACCOUNT)]

    with pytest.raises(CapacityExceeded):
        wish(instruments=many, mode=Mode.LTP, wanted_by="s", now=NOW)

    assert not Subscription.objects.exists()


def test_the_wishes_of_one_wisher_are_listed_by_name() -> None:
    for symbol in ("TCS", "INFY"):
        instrument = InstrumentFactory(tradingsymbol=symbol)
        wish(instruments=[instrument], mode=Mode.LTP, wanted_by="a", now=NOW)
    wish(instruments=[InstrumentFactory()], mode=Mode.LTP, wanted_by="b", now=NOW)

    assert [row.instrument.tradingsymbol for row in wishes(wanted_by="a", now=NOW)] == ["INFY", "TCS"]


def test_the_command_wants_a_chain_with_its_index_and_futures(capsys: pytest.CaptureFixture[str]) -> None:
    InstrumentFactory(tradingsymbol="NIFTY 50", segment="INDICES")
    InstrumentFactory(tradingsymbol="NIFTYFUT", name="NIFTY", instrument_type="FUT", expiry=NOW.date())
    for kind in ("CE", "PE"):
        InstrumentFactory(exchange="NFO", name="NIFTY", instrument_type=kind, expiry=NOW.date(), strike=25000)

    call_command("subscribe", "NIFTY")

    assert capsys.readouterr().out == "4 instruments wanted by operator, 4 of them new\n"
