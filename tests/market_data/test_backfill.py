"""Holes in the stream are filled with the broker's minutes."""

import threading
from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest
from django.conf import LazySettings
from django.core.management import call_command
from django.db import connections

from accounts.sessions import Sessions
from kite.types import Mode
from market_data.backfill import LOCK, Filled, backfill
from market_data.calendar import IST
from market_data.history import Broker
from market_data.lease import turn
from market_data.models import Candle, FeedGap, Instrument
from market_data.subscriptions import wish
from tests.factories import BrokerAccountFactory, CredentialFactory
from tests.market_data.factories import InstrumentFactory
from tests.sandbox_server import SandboxServer

pytestmark = pytest.mark.django_db

NOW = datetime(2026, 11, 19, 16, 0, tzinfo=IST)
ELEVEN = datetime(2026, 11, 19, 11, 0, tzinfo=IST)


@pytest.fixture(scope="module")
def exchange() -> Iterator[SandboxServer]:
    """An exchange whose Thursday has ended."""
    with SandboxServer("--clock", "2026-11-19T16:00:00", "--no-limits") as server:
        yield server


@pytest.fixture
def broker(exchange: SandboxServer, clean_redis: object, settings: LazySettings) -> Iterator[Broker]:
    """One account is logged in."""
    settings.KITE_REST_ROOT = exchange.rest_root
    user = exchange.user(0)
    CredentialFactory(
        account=BrokerAccountFactory(broker_user_id=user.user_id),
        api_key=user.api_key,
        api_secret=user.api_secret,
        access_token=exchange.session(0),
        token_expires_at=NOW + timedelta(days=900),
    )
    yield Broker(sessions=Sessions(), now=NOW)
    exchange.clear_faults()


@pytest.fixture
def infy() -> Instrument:
    return InstrumentFactory(tradingsymbol="INFY", instrument_token=408065)


def hole(*tokens: int, start: datetime = ELEVEN, seconds: float = 150) -> FeedGap:
    return FeedGap.objects.create(
        account_label="desk-0",
        cause="closed by the broker",
        started_at=start,
        ended_at=start + timedelta(seconds=seconds),
        instrument_tokens=list(tokens),
    )


def asked(exchange: SandboxServer, since: int) -> int:
    return len(exchange.journal(since=since, route="market.historical"))


def test_the_minutes_a_hole_touches_come_from_the_broker_and_say_so(broker: Broker, infy: Instrument) -> None:
    gap = hole(infy.instrument_token, start=ELEVEN + timedelta(seconds=30))

    done = backfill(broker=broker, now=NOW)

    rows = Candle.objects.filter(instrument_token=infy.instrument_token).order_by("start_at")
    gap.refresh_from_db()
    assert [row.start_at for row in rows] == [ELEVEN + timedelta(minutes=number) for number in range(4)]
    assert {row.source for row in rows} == {"broker"}
    assert done == Filled(gaps=1, asked=1, minutes=4)
    assert (gap.filled_at, gap.filled_minutes, gap.unfilled_tokens) == (NOW, 4, [])


def test_minutes_beside_the_hole_stay_as_the_recorder_had_them(broker: Broker, infy: Instrument) -> None:
    for minute in (-1, 0, 3):
        Candle.objects.create(
            instrument_token=infy.instrument_token,
            start_at=ELEVEN + timedelta(minutes=minute),
            open=1,
            high=1,
            low=1,
            close=1,
            volume=1,
        )
    hole(infy.instrument_token)

    backfill(broker=broker, now=NOW)

    sources = dict(Candle.objects.values_list("start_at", "source"))
    assert sources[ELEVEN - timedelta(minutes=1)] == sources[ELEVEN + timedelta(minutes=3)] == "ticks"
    assert sources[ELEVEN] == "broker"


def test_a_filled_hole_is_not_asked_for_again(broker: Broker, infy: Instrument, exchange: SandboxServer) -> None:
    hole(infy.instrument_token)
    backfill(broker=broker, now=NOW)
    since = exchange.journal_end()

    assert backfill(broker=broker, now=NOW) == Filled()
    assert asked(exchange, since) == 0


def test_a_hole_while_the_exchange_was_shut_is_filled_without_a_question(
    broker: Broker, infy: Instrument, exchange: SandboxServer
) -> None:
    gap = hole(infy.instrument_token, start=ELEVEN.replace(hour=3))
    since = exchange.journal_end()

    backfill(broker=broker, now=NOW)

    gap.refresh_from_db()
    assert (gap.filled_at, gap.filled_minutes, asked(exchange, since)) == (NOW, 0, 0)


@pytest.mark.parametrize("ended", [None, NOW - timedelta(seconds=30)])
def test_a_hole_that_goes_on_or_has_just_ended_waits(broker: Broker, infy: Instrument, ended: datetime | None) -> None:
    FeedGap.objects.create(
        account_label="a", cause="b", started_at=ELEVEN, ended_at=ended, instrument_tokens=[infy.instrument_token]
    )

    assert backfill(broker=broker, now=NOW) == Filled()


def test_a_hole_that_names_nobody_hit_everybody_wanted(broker: Broker, infy: Instrument) -> None:
    wish(instruments=[infy], mode=Mode.QUOTE, wanted_by="test", now=NOW)
    hole(seconds=0)

    assert backfill(broker=broker, now=NOW).asked == 1


def test_a_run_that_ends_early_goes_on_later(broker: Broker, infy: Instrument) -> None:
    gap = hole(infy.instrument_token)

    early = backfill(broker=broker, now=NOW, seconds=-1)

    gap.refresh_from_db()
    assert (early.left, gap.unfilled_tokens, gap.filled_at) == (1, [infy.instrument_token], None)
    assert backfill(broker=broker, now=NOW).gaps == 1


def test_a_broker_that_refuses_again_and_again_ends_the_run(
    broker: Broker, exchange: SandboxServer, infy: Instrument
) -> None:
    others = InstrumentFactory.create_batch(9)
    hole(infy.instrument_token, *(row.instrument_token for row in others))
    exchange.fault("http_5xx", route="market.historical")
    since = exchange.journal_end()

    done = backfill(broker=broker, now=NOW)

    assert (done.gaps, done.minutes, done.left) == (0, 0, 10)
    assert done.failed == 5
    assert asked(exchange, since) <= 5


def test_an_index_is_filled_first(broker: Broker, infy: Instrument, exchange: SandboxServer) -> None:
    nifty = InstrumentFactory(tradingsymbol="NIFTY 50", instrument_token=256265, segment="INDICES")
    hole(infy.instrument_token, nifty.instrument_token)
    since = exchange.journal_end()

    backfill(broker=broker, now=NOW)

    first = exchange.journal(since=since, route="market.historical")[0]
    assert "256265" in str(first)


@pytest.mark.django_db(transaction=True)
def test_one_run_goes_at_a_time(broker: Broker, infy: Instrument) -> None:
    hole(infy.instrument_token)
    held, end = threading.Event(), threading.Event()

    def hold() -> None:
        with turn(LOCK) as mine:
            assert mine
            held.set()
            end.wait(20)
        connections.close_all()

    other = threading.Thread(target=hold)
    other.start()
    held.wait(20)

    try:
        assert backfill(broker=broker, now=NOW) == Filled()
    finally:
        end.set()
        other.join(20)


def test_the_command_says_what_it_did(broker: Broker, infy: Instrument, capsys: pytest.CaptureFixture[str]) -> None:
    hole(infy.instrument_token, start=datetime.now(IST) - timedelta(days=1))

    call_command("backfill_gaps")

    assert "holes filled" in capsys.readouterr().out
