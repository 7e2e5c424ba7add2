"""What is kept of single options, minute by minute."""

from datetime import UTC, date, timedelta
from typing import Any

import numpy as np
import pytest
from django.core.management import call_command
from django.db import connection
from rest_framework.test import APIClient

from greeks import history, option_rows, option_store, store
from greeks.chains import Engine
from greeks.kernel import Flag
from greeks.models import ChainSetting, OptionMinute
from greeks.store import ROW, Chain, ChainKey
from kite.wire import KIND_QUOTE
from market_data.bus import SyncBus
from market_data.models import MarketDay
from tests.greeks.market import MONTHLY, NOW, SPOT, WEEKLY, OptionMarket, later
from tests.greeks.test_api import client_with

URL = "/api/v1/greeks/history"


@pytest.fixture
def kept(market: OptionMarket, engine: Engine, bus: SyncBus) -> int:
    market.publish(market.rows())
    engine.recompute(now=NOW)
    return history.record_options(bus=bus, now=later(20))


def test_every_traded_option_is_kept_with_what_it_was_valued_with(market: OptionMarket, kept: int) -> None:
    row = OptionMinute.objects.get(instrument_token=market.token(24_000, "CE"))

    assert kept == OptionMinute.objects.count() == 164
    assert (row.minute_at, row.underlying, row.expiry, row.strike, row.sign) == (NOW, "NIFTY", WEEKLY, 24_000.0, 1)
    assert row.iv == pytest.approx(0.12, abs=0.001)
    assert row.delta == pytest.approx(0.55, abs=0.05)
    assert (row.spot, row.oi, row.volume, row.flags) == (SPOT, 7_500, 1_500, 0)
    assert (row.profile, row.source, row.price_source, row.forward_source) == (0, option_rows.LIVE, 1, 2)


def test_the_stored_numbers_are_the_published_ones(
    market: OptionMarket, engine: Engine, bus: SyncBus, kept: int
) -> None:
    from_bus = {int(row["instrument_token"]): row for row in _published(bus)}

    for stored in OptionMinute.objects.all():
        row = from_bus[stored.instrument_token]
        for name in ("price", *option_rows.GREEKS):
            assert getattr(stored, name) == pytest.approx(float(row[name]), rel=1e-6)


def test_options_nobody_holds_are_kept_near_the_forward_only(
    market: OptionMarket, engine: Engine, bus: SyncBus
) -> None:
    ChainSetting.objects.update(history_strikes=2)
    rows = market.rows()
    rows["oi"], rows["volume"] = 0, 0
    rows["oi"][rows["instrument_token"] == market.token(23_000, "PE")] = 75
    market.publish(rows)
    engine.recompute(now=NOW)

    history.record_options(bus=bus, now=later(20))

    strikes = set(OptionMinute.objects.filter(expiry=WEEKLY).values_list("strike", "sign"))
    assert strikes == {(24_000.0 + 50 * step, sign) for step in range(-1, 4) for sign in (1, -1)} | {(23_000.0, -1)}


def test_the_last_minute_of_the_session_keeps_every_option(market: OptionMarket, engine: Engine, bus: SyncBus) -> None:
    ChainSetting.objects.update(history_strikes=0)
    rows = market.rows(now=NOW.replace(hour=15, minute=29))
    rows["oi"], rows["volume"] = 0, 0
    market.publish(rows)
    engine.recompute(now=NOW.replace(hour=15, minute=29))

    assert history.record_options(bus=bus, now=NOW.replace(hour=15, minute=29, second=30)) == 164


def test_an_option_has_one_row_a_minute(kept: int, bus: SyncBus) -> None:
    assert history.record_options(bus=bus, now=later(40)) == 0
    assert OptionMinute.objects.count() == kept


def test_an_option_without_a_value_is_kept_as_null_with_the_reason(
    market: OptionMarket, engine: Engine, bus: SyncBus
) -> None:
    rows = market.rows()
    broken = rows["instrument_token"] == market.token(24_500, "CE")
    rows["last_price"][broken], rows["bid_price"][broken], rows["ask_price"][broken] = 0.0, 0.0, 0.0
    market.publish(rows)
    engine.recompute(now=NOW)
    history.record_options(bus=bus, now=later(20))

    row = OptionMinute.objects.get(instrument_token=market.token(24_500, "CE"))

    assert (row.price, row.iv, row.delta, row.vomma) == (None, None, None, None)
    assert row.flags & Flag.NO_PRICE


def test_minutes_lie_in_the_partition_of_their_day(kept: int) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT DISTINCT tableoid::regclass::text FROM greeks_optionminute")
        assert cursor.fetchall() == [(f"greeks_optionminute_{NOW:%Y%m%d}",)]


def test_old_days_are_dropped_whole_and_coming_ones_made(db: None) -> None:
    today = NOW.date()
    option_store.MINUTES.ensure(days=[today - timedelta(days=8), today - timedelta(days=7)])

    made, dropped = option_store.MINUTES.maintain(now=NOW, keep_days=7)

    assert dropped == [f"greeks_optionminute_{today - timedelta(days=8):%Y%m%d}"]
    assert made == [f"greeks_optionminute_{today + timedelta(days=ahead):%Y%m%d}" for ahead in range(4)]
    assert option_store.MINUTES.maintain(now=NOW, keep_days=7) == ([], [])


def test_the_command_drops_what_is_older_than_it_is_told(db: None, capsys: pytest.CaptureFixture[str]) -> None:
    option_store.MINUTES.ensure(days=[date(2020, 1, 1)])

    call_command("maintain_greeks_history", "--keep-days", "3")

    assert "dropped greeks_optionminute_20200101" in capsys.readouterr().out
    assert option_store.MINUTES.name_of(date(2020, 1, 1)) not in option_store.MINUTES.existing()


def test_the_history_of_one_option(market: OptionMarket, kept: int) -> None:
    span = {"start": NOW.isoformat(), "end": later(60).isoformat()}

    document = client_with("greeks:read").get(URL, {"instrument": "NFO:NIFTY37112624000CE", **span}).json()

    columns = document["columns"]
    assert columns["iv"] == [pytest.approx(0.12, abs=0.001)]
    assert (columns["profile"], columns["price_source"], columns["forward_source"]) == (
        ["fwd_cal"],
        ["mid"],
        ["parity"],
    )
    assert (columns["source"], columns["flags"], document["next_start"]) == (["live"], [[]], None)


def test_the_history_of_an_underlying_names_every_contract(kept: int) -> None:
    span = {"start": NOW.isoformat(), "end": later(60).isoformat(), "expiry": str(MONTHLY)}

    columns = client_with("greeks:read").get(URL, {"underlying": "nifty", **span}).json()["columns"]

    assert len(columns["iv"]) == 82
    assert columns["expiry"] == [str(MONTHLY)] * 82
    assert columns["strike"][:3] == [23_000.0, 23_000.0, 23_050.0]
    assert columns["side"][:2] == ["CE", "PE"]


def test_a_long_answer_is_cut_between_minutes(market: OptionMarket, engine: Engine, bus: SyncBus) -> None:
    for minute in range(3):
        now = later(60 * minute)
        market.publish(market.rows(now=now))
        engine.recompute(now=now)
        history.record_options(bus=bus, now=now)
    client = client_with("greeks:read")
    question: dict[str, Any] = {"underlying": "NIFTY", "end": later(600).isoformat()}

    first = client.get(URL, {**question, "start": NOW.isoformat(), "limit": 330}).json()
    rest = client.get(URL, {**question, "start": first["next_start"], "limit": 330}).json()
    whole = client.get(URL, {**question, "start": NOW.isoformat(), "limit": 1}).json()

    assert (len(first["columns"]["iv"]), len(rest["columns"]["iv"])) == (328, 164)
    assert rest["next_start"] is None
    assert len(whole["columns"]["iv"]) == 164


@pytest.mark.parametrize("query", [{}, {"instrument": "NFO:X", "underlying": "NIFTY"}])
def test_the_history_asks_for_an_option_or_an_underlying(db: None, query: dict[str, str]) -> None:
    assert client_with("greeks:read").get(URL, query).status_code == 400


def test_an_unknown_option_has_no_history(db: None) -> None:
    answer = APIClient(headers={"Authorization": ""}).get(URL)
    known = client_with("greeks:read").get(URL, {"instrument": "NFO:NOTHING"})

    assert answer.status_code == 401
    assert (known.status_code, known.json()["code"]) == (404, "instrument_unknown")


def test_a_day_without_trade_has_no_last_minute(market: OptionMarket, engine: Engine, bus: SyncBus) -> None:
    MarketDay.objects.create(day=NOW.date(), name="a holiday", exchanges=["NFO"], confirmed=True, source="a test")
    ChainSetting.objects.update(history_strikes=0)
    rows = market.rows(now=NOW.replace(hour=15, minute=29))
    rows["oi"], rows["volume"] = 0, 0
    market.publish(rows)
    engine.recompute(now=NOW.replace(hour=15, minute=29))

    assert history.record_options(bus=bus, now=NOW.replace(hour=15, minute=29, second=30)) == 4


def test_without_a_forward_or_a_spot_only_held_options_are_kept() -> None:
    rows = np.zeros(3, ROW)
    rows["oi"] = [0, 75, 0]
    rows["strike"] = [100.0, 110.0, 120.0]
    header = np.zeros(1, [("forward", "f8"), ("spot", "f8")])[0]
    header["forward"], header["spot"] = np.nan, np.nan

    kept = option_rows.worth_keeping(chain=Chain(header, rows, ()), each_side=5)

    assert kept.tolist() == [False, True, False]


def _published(bus: SyncBus) -> np.ndarray:
    blobs = [
        bus.get_blob(option_rows_key)
        for option_rows_key in (ChainKey("NIFTY", WEEKLY).blob, ChainKey("NIFTY", MONTHLY).blob)
    ]
    return np.concatenate([store.unpack(blob).rows for blob in blobs if blob])


def chain_at(market: OptionMarket, engine: Engine, **days: int) -> dict[str, Any]:
    """Return the weekly chain as the API gives it so many days later, 1,000 more open of the call at 24,000."""
    moment = NOW + timedelta(**days)
    rows = market.rows(now=moment)
    rows["oi"][rows["instrument_token"] == market.token(24_000, "CE")] += 1_000
    rows["kind"][rows["instrument_token"] == market.token(24_050, "PE")] = KIND_QUOTE
    market.publish(rows)
    engine.recompute(now=moment)
    found: dict[str, Any] = client_with("greeks:read").get(f"/api/v1/chains/NIFTY/{WEEKLY}").json()
    return found


def legs(document: dict[str, Any], strike: float) -> tuple[dict[str, Any], dict[str, Any]]:
    row = next(row for row in document["strikes"] if row["strike"] == strike)
    return row["call"], row["put"]


def test_open_interest_is_compared_with_the_end_of_the_last_session(
    market: OptionMarket, engine: Engine, kept: int
) -> None:
    OptionMinute.objects.filter(instrument_token=market.token(24_050, "CE")).delete()
    OptionMinute.objects.filter(instrument_token=market.token(24_000, "PE")).update(instrument_token=1)

    document = chain_at(market, engine, days=1)

    call, put = legs(document, 24_000.0)
    assert (call["oi"], call["oi_change"], put["oi_change"]) == (8_500, 1_000, 0)
    assert document["oi_change"]["since"] == NOW.astimezone(UTC).isoformat()


def test_a_change_of_open_interest_that_nobody_can_know_is_null(
    market: OptionMarket, engine: Engine, kept: int
) -> None:
    OptionMinute.objects.filter(instrument_token=market.token(24_050, "CE")).delete()

    document = chain_at(market, engine, days=1)

    call, put = legs(document, 24_050.0)
    assert (call["oi"], call["oi_change"]) == (7_500, None)
    assert (put["oi"], put["oi_change"], put["volume"]) == (None, None, 1_500)
    assert document["oi_change"]["reason"] == "1 options were not recorded then"


@pytest.mark.parametrize("days", [0, 4])
def test_only_the_last_session_is_compared_with(market: OptionMarket, engine: Engine, kept: int, days: int) -> None:
    document = chain_at(market, engine, days=days)

    assert legs(document, 24_000.0)[0]["oi_change"] is None
    assert document["oi_change"] == {"since": None, "reason": "no minute of the last session is recorded"}
