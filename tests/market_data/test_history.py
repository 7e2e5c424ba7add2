"""Candles: our store first, the broker for the rest."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.conf import LazySettings
from django.core.management import call_command
from hypothesis import given
from hypothesis import strategies as st
from rest_framework.test import APIClient

from accounts.errors import LoginNeeded
from accounts.sessions import Sessions
from kite.types import Candle as BrokerCandle
from market_data import minutes
from market_data.calendar import IST, Calendar
from market_data.correction import Corrected, correct_day
from market_data.errors import HistoryRefused
from market_data.history import Answer, Broker, Opening, Question, read
from market_data.intervals import MINUTES, Bar, Stretch, common, widened, without
from market_data.models import Candle, CandleSpan, FeedGap, Instrument
from tests.factories import BrokerAccountFactory, CredentialFactory
from tests.market_data.factories import InstrumentFactory
from tests.market_data.live import api_key
from tests.sandbox_server import SandboxServer

pytestmark = pytest.mark.django_db

WEDNESDAY = datetime(2026, 11, 18, 9, 15, tzinfo=IST)
CLOSE = WEDNESDAY.replace(hour=15, minute=30)
NOW = datetime(2026, 11, 19, 16, 0, tzinfo=IST)


@pytest.fixture(scope="module")
def exchange() -> Iterator[SandboxServer]:
    """An exchange whose Thursday has ended."""
    with SandboxServer("--clock", "2026-11-19T16:00:00", "--no-limits") as server:
        yield server


@pytest.fixture
def broker(exchange: SandboxServer, clean_redis: object, settings: LazySettings) -> Broker:
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
    return Broker(sessions=Sessions(), now=NOW)


@pytest.fixture
def infy() -> Instrument:
    return InstrumentFactory(tradingsymbol="INFY", instrument_token=408065)


def question(instrument: Instrument, start: datetime = WEDNESDAY, end: datetime = CLOSE, **terms: Any) -> Question:
    return Question(
        instrument=instrument, interval=str(terms.pop("interval", "minute")), stretch=Stretch(start, end), **terms
    )


def asked(exchange: SandboxServer, since: int) -> int:
    return len(exchange.journal(since=since, route="market.historical"))


def record(instrument: Instrument, start: datetime, count: int, price: float = 7.0) -> None:
    Candle.objects.bulk_create(
        Candle(
            instrument_token=instrument.instrument_token,
            start_at=start + timedelta(minutes=number),
            open=price,
            high=price,
            low=price,
            close=price,
            volume=1,
        )
        for number in range(count)
    )


def test_the_broker_is_asked_once_and_the_store_answers_after_that(
    exchange: SandboxServer, broker: Broker, infy: Instrument
) -> None:
    since = exchange.journal_end()

    first = read(question(infy), broker=broker, now=NOW)
    again = read(question(infy), broker=broker, now=NOW)
    part = read(question(infy, WEDNESDAY + timedelta(hours=1), CLOSE - timedelta(hours=1)), broker=broker, now=NOW)

    assert len(first.bars) == 375
    assert first.bars == again.bars
    assert part.bars == first.bars[60:-60]
    assert {bar.source for bar in first.bars} == {"broker"}
    assert asked(exchange, since) == 1


def test_only_what_is_missing_is_asked_for(exchange: SandboxServer, broker: Broker, infy: Instrument) -> None:
    read(question(infy, WEDNESDAY, CLOSE), broker=broker, now=NOW)
    since = exchange.journal_end()

    wider = read(question(infy, WEDNESDAY - timedelta(days=1), CLOSE + timedelta(days=1)), broker=broker, now=NOW)

    assert len(wider.bars) == 3 * 375
    assert asked(exchange, since) == 1
    assert CandleSpan.objects.count() == 1


def test_nothing_is_asked_where_the_exchange_does_not_trade(
    exchange: SandboxServer, broker: Broker, infy: Instrument
) -> None:
    since = exchange.journal_end()

    answer = read(question(infy, CLOSE, CLOSE + timedelta(hours=12)), broker=broker, now=NOW)

    assert answer == Answer([], [])
    assert asked(exchange, since) == 0


def test_wider_candles_are_made_of_stored_minutes_as_the_broker_makes_them(
    exchange: SandboxServer, broker: Broker, infy: Instrument
) -> None:
    read(question(infy), broker=broker, now=NOW)
    since = exchange.journal_end()

    for interval in ("3minute", "5minute", "15minute", "60minute"):
        ours = read(question(infy, interval=interval), broker=broker, now=NOW).bars
        theirs = broker.candles(instrument=infy, interval=interval, stretch=Stretch(WEDNESDAY, CLOSE))
        assert [(bar.start_at, bar.open, bar.high, bar.low, bar.close, bar.volume) for bar in ours] == [
            (one.start_at, one.open, one.high, one.low, one.close, one.volume) for one in theirs
        ]

    assert asked(exchange, since) == 4  # the four comparisons


def test_days_come_from_the_broker_and_are_remembered(
    exchange: SandboxServer, broker: Broker, infy: Instrument
) -> None:
    since = exchange.journal_end()
    year = question(infy, NOW - timedelta(days=365), NOW - timedelta(days=1), interval="day")

    first = read(year, broker=broker, now=NOW)
    again = read(year, broker=broker, now=NOW)

    assert len(first.bars) > 200
    assert first == again
    assert asked(exchange, since) == 1


def test_our_own_minutes_of_today_answer_where_the_recorder_heard_them_all(
    exchange: SandboxServer, broker: Broker, infy: Instrument
) -> None:
    opening = NOW.replace(hour=9, minute=15)
    record(infy, opening, 30)
    since = exchange.journal_end()

    answer = read(question(infy, opening, opening + timedelta(minutes=30)), broker=broker, now=NOW)

    assert [bar.source for bar in answer.bars] == ["ticks"] * 30
    assert asked(exchange, since) == 0


@pytest.mark.parametrize(("ended", "tokens"), [(None, [1, 408_065]), (timedelta(minutes=5), [408_065]), (None, [])])
def test_minutes_with_a_gap_in_the_feed_are_the_brokers(
    broker: Broker, infy: Instrument, ended: timedelta | None, tokens: list[int]
) -> None:
    opening = NOW.replace(hour=9, minute=15)
    record(infy, opening, 30)
    FeedGap.objects.create(
        account_label="a",
        cause="socket",
        started_at=opening + timedelta(minutes=3),
        ended_at=None if ended is None else opening + ended,
        instrument_tokens=tokens,
    )

    answer = read(question(infy, opening, opening + timedelta(minutes=30)), broker=broker, now=NOW)

    assert [bar.source for bar in answer.bars] == ["broker"] * 30


def test_a_recorder_that_began_late_is_helped_out(exchange: SandboxServer, broker: Broker, infy: Instrument) -> None:
    opening = NOW.replace(hour=9, minute=15)
    record(infy, opening + timedelta(minutes=10), 20)

    answer = read(question(infy, opening, opening + timedelta(minutes=30)), broker=broker, now=NOW)

    assert len(answer.bars) == 30


def test_the_minute_that_runs_is_neither_asked_for_nor_called_loaded(
    exchange: SandboxServer, broker: Broker, infy: Instrument
) -> None:
    now = NOW.replace(hour=10, minute=0, second=40)

    read(question(infy, now - timedelta(minutes=10), now + timedelta(hours=1)), broker=broker, now=now)

    assert CandleSpan.objects.get().end_at == now.replace(second=0)


def test_what_was_recorded_under_a_token_before_it_was_ours_is_not_ours(broker: Broker, infy: Instrument) -> None:
    record(infy, WEDNESDAY, 10, price=99_999.0)
    CandleSpan.objects.create(instrument_token=infy.instrument_token, start_at=WEDNESDAY, end_at=CLOSE)
    Instrument.objects.filter(pk=infy.pk).update(token_since=WEDNESDAY + timedelta(minutes=5))
    infy.refresh_from_db()

    bars = read(question(infy), broker=broker, now=NOW).bars

    assert bars[0].start_at == WEDNESDAY + timedelta(minutes=5)
    assert all(bar.close < 99_999 for bar in bars)


def test_without_a_login_the_store_answers_and_says_what_may_be_missing(clean_redis: object, infy: Instrument) -> None:
    record(infy, WEDNESDAY, 3)

    answer = read(question(infy), broker=Broker(sessions=Sessions(), now=NOW), now=NOW)

    assert len(answer.bars) == 3
    assert answer.missing == [Stretch(WEDNESDAY, CLOSE)]
    assert "no account is logged in" in answer.reason


def test_without_a_login_and_without_a_candle_the_question_fails(clean_redis: object, infy: Instrument) -> None:
    with pytest.raises(LoginNeeded):
        read(question(infy), broker=Broker(sessions=Sessions(), now=NOW), now=NOW)


@pytest.mark.parametrize(
    ("terms", "told"),
    [
        ({"interval": "7minute"}, "known are minute, 3minute"),
        ({"end": WEDNESDAY}, "to must be after from"),
        ({"start": NOW + timedelta(days=1), "end": NOW + timedelta(days=2)}, "in the future"),
        ({"start": NOW - timedelta(days=61), "end": NOW}, "minute candles: at most 60 days"),
        (
            {"start": NOW - timedelta(days=401), "end": NOW, "interval": "60minute"},
            "60minute candles: at most 400 days",
        ),
        ({"start": NOW - timedelta(days=2001), "end": NOW, "interval": "day"}, "day candles: at most 2000 days"),
        ({"continuous": True}, "daily ones of a future"),
        ({"continuous": True, "interval": "day"}, "daily ones of a future"),
    ],
)
def test_a_question_that_cannot_be_answered_is_refused_clearly(
    infy: Instrument, terms: dict[str, Any], told: str
) -> None:
    with pytest.raises(HistoryRefused, match=told):
        read(question(infy, **terms), broker=Broker(sessions=Sessions(), now=NOW), now=NOW)


def test_the_broker_wins_over_our_ticks_and_what_it_does_not_know_goes(infy: Instrument) -> None:
    record(infy, WEDNESDAY, 3)
    price = Decimal("1500.05")
    theirs = [
        BrokerCandle(WEDNESDAY + timedelta(minutes=number), price, price, price, price, 10, None) for number in (0, 1)
    ]

    changed = minutes.keep(instrument=infy, stretch=Stretch(WEDNESDAY, CLOSE), candles=theirs, now=NOW)
    again = minutes.keep(instrument=infy, stretch=Stretch(WEDNESDAY, CLOSE), candles=theirs, now=NOW)

    assert (changed, again) == (3, 0)
    assert set(Candle.objects.values_list("close", "source")) == {(price, "broker")}


def test_an_empty_answer_of_the_broker_deletes_nothing(infy: Instrument) -> None:
    record(infy, WEDNESDAY, 3)

    minutes.keep(instrument=infy, stretch=Stretch(WEDNESDAY, CLOSE), candles=[], now=NOW)

    assert Candle.objects.count() == 3


def test_a_closed_day_is_corrected_once(exchange: SandboxServer, broker: Broker, infy: Instrument) -> None:
    record(infy, WEDNESDAY, 375)

    done = correct_day(day=WEDNESDAY.date(), broker=broker, now=NOW)
    again = correct_day(day=WEDNESDAY.date(), broker=broker, now=NOW)

    assert (done.asked, done.failed, done.left) == (1, 0, 0)
    assert done.minutes == 375
    assert again == Corrected()
    assert not Candle.objects.filter(source="ticks").exists()


def test_a_day_is_not_corrected_before_its_minutes_have_settled(broker: Broker, infy: Instrument) -> None:
    record(infy, WEDNESDAY, 3)

    done = correct_day(day=WEDNESDAY.date(), broker=broker, now=CLOSE + timedelta(minutes=5))

    assert done == Corrected()


def test_a_run_that_has_no_time_leaves_the_rest_to_the_next(broker: Broker, infy: Instrument) -> None:
    record(infy, WEDNESDAY, 3)

    assert correct_day(day=WEDNESDAY.date(), broker=broker, now=NOW, seconds=-1.0).left == 1


def test_an_instrument_that_cannot_be_asked_for_is_counted_and_tried_again(
    clean_redis: object, infy: Instrument
) -> None:
    record(infy, WEDNESDAY, 3)

    done = correct_day(day=WEDNESDAY.date(), broker=Broker(sessions=Sessions(), now=NOW), now=NOW)

    assert done == Corrected(asked=0, minutes=0, failed=1, left=0)
    assert Candle.objects.filter(source="ticks").count() == 3


def test_old_minutes_are_forgotten_with_what_was_loaded(infy: Instrument) -> None:
    record(infy, WEDNESDAY, 10)
    CandleSpan.objects.create(instrument_token=1, start_at=WEDNESDAY, end_at=CLOSE)

    call_command("maintain_partitions", keep_candle_days=0)

    assert not Candle.objects.exists()
    assert not CandleSpan.objects.exists()


def test_the_api_answers_with_open_interest_where_it_is_asked(
    exchange: SandboxServer, broker: Broker, infy: Instrument
) -> None:
    api = APIClient()
    api.credentials(HTTP_AUTHORIZATION=f"Bearer {api_key()}")
    ends = {"from": WEDNESDAY.isoformat(), "to": (WEDNESDAY + timedelta(minutes=10)).isoformat()}

    plain = api.get("/api/v1/candles", {"instrument": "INFY", "interval": "5minute", **ends}).json()
    rich = api.get("/api/v1/candles", {"instrument": "INFY", "oi": "true", **ends}).json()
    refused = api.get("/api/v1/candles", {"instrument": "INFY", "interval": "7minute", **ends})

    assert (plain["instrument"], plain["interval"], plain["complete"], plain["missing"]) == (
        "NSE:INFY",
        "5minute",
        True,
        [],
    )
    assert [row["start_at"] for row in plain["results"]] == ["2026-11-18T03:45:00Z", "2026-11-18T03:50:00Z"]
    assert isinstance(plain["results"][0]["close"], float)
    assert "oi" not in plain["results"][0]
    assert "oi" in rich["results"][0]
    assert refused.status_code == 400


def test_the_api_says_that_the_broker_is_silent(broker: Broker, infy: Instrument, settings: LazySettings) -> None:
    settings.KITE_REST_ROOT = "http://127.0.0.1:1"
    api = APIClient()
    api.credentials(HTTP_AUTHORIZATION=f"Bearer {api_key()}")
    ends = {"from": WEDNESDAY.isoformat(), "to": (WEDNESDAY + timedelta(minutes=10)).isoformat()}

    answer: Any = api.get("/api/v1/candles", {"instrument": "INFY", **ends})

    assert (answer.status_code, answer.json()["code"]) == (502, "broker_unavailable")


moments = st.integers(0, 200).map(lambda minute: WEDNESDAY.astimezone(UTC) + timedelta(minutes=minute))
stretches = st.tuples(moments, moments).filter(lambda pair: pair[0] < pair[1]).map(lambda pair: Stretch(*pair))


@given(stretches, st.lists(stretches, max_size=6))
def test_what_is_left_and_what_was_taken_out_make_the_whole(whole: Stretch, parts: list[Stretch]) -> None:
    def covers(ones: list[Stretch], minute: datetime) -> bool:
        return any(one.start <= minute < one.end for one in ones)

    left = without(whole, parts)

    assert all(one.start < one.end for one in left)
    minute = whole.start
    while minute < whole.end:
        assert covers(left, minute) is not covers(parts, minute)
        assert covers(common([whole], parts), minute) is covers(parts, minute)
        minute += timedelta(minutes=1)


@given(st.sets(st.integers(0, 374), min_size=1, max_size=60), st.sampled_from(sorted(MINUTES)))
def test_wider_candles_lose_nothing_of_their_minutes(places: set[int], interval: str) -> None:
    bars = [
        Bar(
            WEDNESDAY.astimezone(UTC) + timedelta(minutes=place),
            Decimal(place),
            Decimal(place + 2),
            Decimal(place),
            Decimal(place + 1),
            place,
            None,
            "ticks",
        )
        for place in sorted(places)
    ]

    wide = list(widened(bars, interval=interval, opens=Opening(exchange="NSE", calendar=Calendar())))

    assert sum(bar.volume for bar in wide) == sum(places)
    assert (wide[0].open, wide[-1].close) == (bars[0].open, bars[-1].close)
    assert max(bar.high for bar in wide) == max(bar.high for bar in bars)
    assert all((bar.start_at - WEDNESDAY) % timedelta(minutes=MINUTES[interval]) == timedelta(0) for bar in wide)
