"""Candles of an option with volatility and Greeks, read from what is stored."""

import time
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext
from rest_framework.test import APIClient

from greeks import kernel, option_store
from greeks.conventions import IST, NSE_RATE, ForwardSource, Profile, calendar_years, expiry_instant
from greeks.enrichment import Contract, Enriched, Rates, Series, enrich, years_at
from greeks.kernel import Flag, Floats
from greeks.models import DividendSetting, OptionMinute, RateSetting
from market_data.calendar import Calendar
from market_data.models import Candle, CandleSpan, Instrument
from tests.greeks.market import RATE, SPOT, option_maker
from tests.greeks.test_api import client_with
from tests.market_data.factories import InstrumentFactory

OPENS = datetime(2026, 11, 18, 9, 15, tzinfo=IST)
EXPIRY = date(2026, 11, 24)
MONTH_END = date(2026, 12, 29)
EXPIRES_AT = expiry_instant(expiry=EXPIRY, exchange="NFO")
IV = 0.13
CARRY = 0.08
URL = "/api/v1/greeks/candles"
CONTRACT = Contract("NFO", 24_000.0, 1.0, EXPIRES_AT, 0.05)
RATES = Rates({date(2020, 1, 1): RATE}, {})
AT: Floats = OPENS.timestamp() + 60.0 * np.arange(1, 11, dtype=np.float64)


class Past:
    """Stored minutes of an option, the index and a monthly future; nothing is left to ask the broker."""

    def __init__(self) -> None:
        RateSetting.objects.all().delete()
        RateSetting.objects.create(effective_date=date(2020, 1, 1), rate=Decimal(str(RATE)), source="a test")
        make = option_maker()
        self.index = InstrumentFactory(tradingsymbol="NIFTY 50", segment="INDICES", instrument_token=256_265)
        self.option, self.put, self.future = (
            make("CE", EXPIRY, 24_000),
            make("PE", EXPIRY, 24_000),
            make("FUT", MONTH_END, 0),
        )
        Instrument.objects.bulk_create([self.option, self.put, self.future])

    def fill(self, *, minutes: int = 100) -> None:
        at = [OPENS + timedelta(minutes=number) for number in range(minutes)]
        spots = SPOT + np.arange(minutes)
        ends = [moment + timedelta(seconds=59) for moment in at]
        forward, t = self.forwards(spots, ends)
        store(self.index, at, spots)
        store(self.future, at, spots * np.exp(CARRY * self.years(ends, MONTH_END)))
        for option, sign in ((self.option, 1.0), (self.put, -1.0)):
            store(option, at, kernel.price(forward, 24_000.0, t, RATE, sign, IV))

    def forwards(self, spots: np.ndarray, ends: list[datetime]) -> tuple[np.ndarray, np.ndarray]:
        t = self.years(ends, EXPIRY)
        return spots * np.exp(CARRY * t), t

    def years(self, ends: list[datetime], expiry: date) -> np.ndarray:
        instant = expiry_instant(expiry=expiry, exchange="NFO")
        return np.array([calendar_years(now=end, expires_at=instant) for end in ends])


def store(instrument: Instrument, at: list[datetime], close: np.ndarray) -> None:
    Candle.objects.bulk_create(
        Candle(
            instrument_token=instrument.instrument_token,
            start_at=start,
            **dict.fromkeys(("open", "high", "low", "close"), Decimal(f"{price:.4f}")),
            volume=75,
            day_volume=75,
            oi=1_500,
            source="broker",
        )
        for start, price in zip(at, close.tolist(), strict=True)
    )
    CandleSpan.objects.create(
        instrument_token=instrument.instrument_token,
        start_at=OPENS - timedelta(hours=1),
        end_at=OPENS + timedelta(hours=10),
    )


@pytest.fixture
def past(db: None, clean_redis: object) -> Past:
    return Past()


def ask(client: APIClient, **extra: str) -> dict[str, Any]:
    query = {
        "instrument": "NFO:NIFTY26112424000CE",
        "from": OPENS.isoformat(),
        "to": (OPENS + timedelta(minutes=100)).isoformat(),
    }
    answer = client.get(URL, {**query, **extra})
    assert answer.status_code == 200, answer.json()
    found: dict[str, Any] = answer.json()
    return found


def test_each_candle_carries_the_volatility_it_was_made_with(past: Past) -> None:
    past.fill()

    document = ask(client_with("greeks:read"))

    rows = document["results"]
    assert len(rows) == 100
    assert [row["iv"] for row in rows] == [pytest.approx(IV, abs=2e-5)] * 100
    assert {row["forward_source"] for row in rows} == {"carry"}
    assert [row["spot"] for row in rows[:2]] == [SPOT, SPOT + 1.0]
    assert (rows[0]["volume"], rows[0]["oi"], rows[0]["source"], rows[0]["flags"]) == (75, 1_500, "broker", [])
    assert (document["profile"], document["complete"], document["reason"]) == ("fwd_cal", True, "")


def test_a_hundred_candles_take_few_queries_and_less_than_half_a_second(past: Past) -> None:
    past.fill()
    client = client_with("greeks:read")
    ask(client)

    with CaptureQueriesContext(
        connection,
    ) as few:
        ask(client, to=(OPENS + timedelta(minutes=5)).isoformat())
    started = time.process_time()
    with CaptureQueriesContext(connection) as many:
        ask(client)

    assert time.process_time() - started < 0.5
    assert len(many) == len(few) <= 25


def test_wider_candles_are_valued_at_their_ends(past: Past) -> None:
    past.fill()

    rows = ask(client_with("greeks:read"), interval="15minute")["results"]

    assert len(rows) == 7
    assert rows[0]["spot"] == SPOT + 14
    assert [row["iv"] for row in rows[:6]] == [pytest.approx(IV, abs=2e-5)] * 6


def test_without_the_underlying_a_candle_has_no_value_and_says_why(past: Past) -> None:
    past.fill()
    Candle.objects.filter(instrument_token__in=[past.index.instrument_token, past.future.instrument_token]).delete()

    rows = ask(client_with("greeks:read"))["results"]

    assert {row["iv"] for row in rows} == {None}
    assert {tuple(row["flags"]) for row in rows} == {("no_forward",)}


def test_without_candles_anywhere_the_answer_says_who_could_not_be_asked(past: Past) -> None:
    past.fill()
    CandleSpan.objects.filter(instrument_token=past.index.instrument_token).delete()
    Candle.objects.filter(instrument_token=past.index.instrument_token).delete()

    document = ask(client_with("greeks:read"))

    assert document["complete"] is False
    assert "NSE:NIFTY 50" in document["reason"]


def test_only_options_have_values(past: Past) -> None:
    query = {"instrument": "NSE:NIFTY 50", "from": OPENS.isoformat(), "to": (OPENS + timedelta(minutes=5)).isoformat()}

    answer = client_with("greeks:read").get(URL, query)

    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_chain")


@pytest.mark.parametrize("profile", list(Profile))
def test_every_profile_can_value_candles(past: Past, profile: Profile) -> None:
    past.fill()

    document = ask(client_with("greeks:read"), profile=profile.value)

    assert document["profile"] == profile.value
    assert all(row["iv"] is not None for row in document["results"])


def test_a_back_fill_keeps_what_the_candles_say(past: Past, capsys: pytest.CaptureFixture[str]) -> None:
    past.fill()

    call_command("backfill_greeks", "NIFTY", str(EXPIRY), "--from", str(OPENS.date()))

    row = OptionMinute.objects.get(instrument_token=past.option.instrument_token, minute_at=OPENS)
    assert capsys.readouterr().out == "200 minutes kept, 1 days, 0 options could not be read\n"
    assert row.iv == pytest.approx(IV, abs=2e-5)
    assert (row.source, row.volume, row.oi, row.expiry, row.price_source) == (1, 75, 1_500, EXPIRY, 2)


def test_a_back_fill_leaves_what_was_kept_live(past: Past) -> None:
    past.fill()
    call_command("backfill_greeks", "NIFTY", str(EXPIRY), "--from", str(OPENS.date()))
    OptionMinute.objects.filter(minute_at=OPENS).update(source=0)

    call_command("backfill_greeks", "NIFTY", str(EXPIRY), "--from", str(OPENS.date()), "--to", str(OPENS.date()))

    assert OptionMinute.objects.count() == 200
    assert OptionMinute.objects.filter(source=0).count() == 2


def test_a_back_fill_goes_on_where_an_option_cannot_be_read(past: Past, capsys: pytest.CaptureFixture[str]) -> None:
    past.fill()
    CandleSpan.objects.filter(instrument_token=past.put.instrument_token).delete()
    Candle.objects.filter(instrument_token=past.put.instrument_token).delete()

    with pytest.raises(CommandError, match="1 options could not be read"):
        call_command("backfill_greeks", "NIFTY", str(EXPIRY), "--from", str(OPENS.date()), "--strikes", "0")

    out, err = capsys.readouterr()
    assert out == "100 minutes kept, 1 days, 1 options could not be read\n"
    assert "NIFTY26112424000PE" in err


def test_a_back_fill_that_is_only_tried_keeps_nothing(past: Past, capsys: pytest.CaptureFixture[str]) -> None:
    past.fill()

    call_command("backfill_greeks", "NIFTY", str(EXPIRY), "--from", str(OPENS.date()), "--dry-run")

    assert "1 days of 2 options at most" in capsys.readouterr().out
    assert not OptionMinute.objects.filter(source=1).exists()


def test_a_back_fill_of_an_unknown_chain_says_so(past: Past) -> None:
    with pytest.raises(CommandError, match="no options of NIFTY"):
        call_command("backfill_greeks", "NIFTY", "2031-01-07")


def test_the_future_of_the_expiry_is_the_forward() -> None:
    future = Series(AT, np.full(10, 24_050.0), EXPIRES_AT)

    found = valued(spot=Series(AT, np.full(10, SPOT)), future=future)

    assert set(found.forward) == {24_050.0}
    assert set(found.forward_source) == {ForwardSource.FUTURE}


def test_without_a_future_the_forward_is_the_spot_at_rate_less_dividend() -> None:
    rates = Rates({date(2020, 1, 1): 0.01, OPENS.date(): RATE}, {OPENS.date(): 0.02})

    found = valued(spot=Series(AT, np.full(10, SPOT)), rates=rates)

    assert found.forward == pytest.approx(SPOT * np.exp((RATE - 0.02) * found.years))
    assert set(found.forward_source) == {ForwardSource.SPOT}


def test_an_underlying_more_than_five_minutes_away_is_not_used() -> None:
    found = valued(spot=Series(AT[:1], np.array([SPOT])))

    assert np.isfinite(found.result.iv).tolist() == [True] * 6 + [False] * 4
    assert found.underlying_age[:6].tolist() == [0.0, 60.0, 120.0, 180.0, 240.0, 300.0]
    assert set(found.flags[6:]) == {Flag.NO_FORWARD}


def test_the_nearer_of_two_closes_is_used() -> None:
    spot = Series(AT[[0, 5]], np.array([1.0, 2.0]))

    level, away = spot.nearest(at=AT[[2, 3]])

    assert (level.tolist(), away.tolist()) == ([1.0, 2.0], [120.0, 120.0])


def test_before_the_first_rate_there_is_no_value() -> None:
    found = valued(spot=Series(AT, np.full(10, SPOT)), rates=Rates({date(2027, 1, 1): RATE}, {}))

    assert not np.isfinite(found.result.iv).any()


def test_the_exchange_profile_has_its_own_rate_and_whole_days() -> None:
    found = valued(spot=Series(AT, np.full(10, SPOT)), profile=Profile.NSE_COMPAT, rates=Rates({}, {}))

    assert set(found.rate) == {NSE_RATE}
    assert found.years.tolist() == [6 / 365] * 10


def test_trading_years_count_open_minutes_alone() -> None:
    t = years_at(profile=Profile.FWD_TRD, contract=CONTRACT, at=np.array([OPENS.timestamp()]), calendar=Calendar())

    assert t.tolist() == [pytest.approx(5 / 252)]


@pytest.mark.parametrize("profile", list(Profile))
def test_at_the_expiry_no_time_is_left(profile: Profile) -> None:
    at = np.array([EXPIRES_AT.timestamp() - 1.0, EXPIRES_AT.timestamp()])

    t = years_at(profile=profile, contract=CONTRACT, at=at, calendar=Calendar())

    assert t[0] > 0.0
    assert t[1] == 0.0


def test_the_last_half_hour_is_marked() -> None:
    at: Floats = EXPIRES_AT.timestamp() - np.array([1_801.0, 1_800.0, 1.0, 0.0])
    option = Series(at, np.array([50.0, 50.0, 50.0, 50.0]))

    found = enrich(
        contract=CONTRACT,
        option=option,
        spot=Series(at, np.full(4, SPOT)),
        future=None,
        rates=RATES,
        profile=Profile.FWD_CAL,
        calendar=Calendar(),
    )

    assert found.flags.tolist() == [0, Flag.NEAR_EXPIRY, Flag.NEAR_EXPIRY, Flag.EXPIRED]


def test_no_candles_make_no_values() -> None:
    nothing = Series(np.zeros(0), np.zeros(0))

    for profile in Profile:
        assert len(valued(option=nothing, spot=nothing, profile=profile).result) == 0


def valued(
    *,
    spot: Series,
    option: Series | None = None,
    future: Series | None = None,
    rates: Rates = RATES,
    profile: Profile = Profile.FWD_CAL,
) -> Enriched:
    return enrich(
        contract=CONTRACT,
        option=option or Series(AT, np.full(10, 200.0)),
        spot=spot,
        future=future,
        rates=rates,
        profile=profile,
        calendar=Calendar(),
    )


def test_dated_dividends_belong_to_their_underlying(past: Past) -> None:
    DividendSetting.objects.create(underlying="OTHER", effective_date=date(2020, 1, 1), annual_yield=Decimal("0.4"))
    past.fill()
    Candle.objects.filter(instrument_token=past.future.instrument_token).delete()

    rows = ask(client_with("greeks:read"))["results"]

    assert rows[0]["forward"] == pytest.approx(SPOT * np.exp(RATE * rows[0]["years"]), abs=1e-3)
    assert option_store.MINUTES.existing() is not None
