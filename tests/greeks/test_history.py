"""What is kept of every minute, and what years of minutes say about today."""

from datetime import timedelta

import pytest
from rest_framework.test import APIClient

from greeks import history
from greeks.chains import Engine
from greeks.models import ChainMinute
from market_data.bus import SyncBus
from tests.greeks.market import MONTHLY, NOW, SPOT, WEEKLY, OptionMarket, later
from tests.greeks.test_api import client_with


def minute_row(*, days_ago: int, atm_iv: float | None, days_left: int = 30, hour: int = 15) -> ChainMinute:
    at = (NOW - timedelta(days=days_ago)).replace(hour=hour)
    return ChainMinute(
        underlying="NIFTY",
        expiry=(at + timedelta(days=days_left)).date(),
        minute_at=at,
        profile="fwd_cal",
        sequence=1,
        years=days_left / 365,
        forward_source="parity",
        atm_iv=atm_iv,
        priced=1,
        unpriced=0,
    )


def test_a_minute_of_each_live_chain_is_kept(market: OptionMarket, engine: Engine, bus: SyncBus) -> None:
    market.publish(market.rows())
    engine.recompute(now=NOW)

    kept = history.record(bus=bus, now=later(20))

    row = ChainMinute.objects.get(expiry=WEEKLY)
    assert kept == 2
    assert (row.minute_at, row.forward_source, row.spot) == (NOW, "parity", SPOT)
    assert row.atm_iv == pytest.approx(0.12, abs=0.001)
    assert row.risk_reversal is not None
    assert row.risk_reversal < 0.0
    assert (row.put_call_oi, row.priced, row.unpriced) == (1.0, 82, 0)


def test_a_minute_is_kept_once(market: OptionMarket, engine: Engine, bus: SyncBus) -> None:
    market.publish(market.rows())
    engine.recompute(now=NOW)
    history.record(bus=bus, now=later(20))

    history.record(bus=bus, now=later(40))

    assert ChainMinute.objects.count() == 2


def test_a_minute_without_a_fresh_price_is_not_kept(market: OptionMarket, engine: Engine, bus: SyncBus) -> None:
    market.publish(market.rows())
    engine.recompute(now=NOW)
    engine.recompute(now=later(600))

    assert history.record(bus=bus, now=later(601)) == 0


def test_a_number_the_chain_did_not_carry_stays_null(market: OptionMarket, engine: Engine, bus: SyncBus) -> None:
    rows = market.rows()
    few = rows["instrument_token"] < market.token(23_100, "CE")
    market.publish(rows[few | (rows["instrument_token"] == market.index.instrument_token)])
    engine.recompute(now=NOW)

    history.record(bus=bus, now=NOW)

    row = ChainMinute.objects.get(expiry=WEEKLY)
    assert (row.risk_reversal, row.butterfly) == (None, None)


def test_without_live_chains_nothing_is_kept(market: OptionMarket, bus: SyncBus) -> None:
    assert history.record(bus=bus, now=NOW) == 0


def test_rank_and_percentile_compare_with_the_closes_of_past_sessions(db: None) -> None:
    rows = [minute_row(days_ago=day, atm_iv=0.10 + 0.01 * day) for day in range(1, 6)]
    rows += [minute_row(days_ago=1, atm_iv=0.90, hour=11), minute_row(days_ago=0, atm_iv=0.13, hour=11)]
    ChainMinute.objects.bulk_create(rows)

    found = history.standing(underlying="NIFTY", now=NOW)

    assert found.iv == pytest.approx(0.13)
    assert found.sessions == 5
    assert found.rank == pytest.approx(50.0)
    assert found.percentile == pytest.approx(40.0)


def test_the_maturity_is_interpolated_between_expiries(db: None) -> None:
    ChainMinute.objects.bulk_create(
        [minute_row(days_ago=0, atm_iv=0.10, days_left=20), minute_row(days_ago=0, atm_iv=0.20, days_left=40)]
    )

    found = history.standing(underlying="NIFTY", now=NOW)

    assert found.iv == pytest.approx(((0.10**2 * 20 + 0.20**2 * 40) / 2 / 30) ** 0.5)


def test_without_history_there_is_no_standing(db: None) -> None:
    found = history.standing(underlying="NIFTY", now=NOW)

    assert found.as_of is None
    assert found.sessions == 0


def test_a_close_without_a_volatility_is_no_session(db: None) -> None:
    ChainMinute.objects.bulk_create([minute_row(days_ago=1, atm_iv=None), minute_row(days_ago=0, atm_iv=0.1, hour=11)])

    assert history.standing(underlying="NIFTY", now=NOW).sessions == 0


@pytest.fixture
def client(db: None) -> APIClient:
    return client_with("greeks:read")


def test_the_history_of_a_chain_is_one_list_a_column(
    client: APIClient, market: OptionMarket, engine: Engine, bus: SyncBus
) -> None:
    for beat in (0, 60):
        market.publish(market.rows(now=later(beat)))
        engine.recompute(now=later(beat))
        history.record(bus=bus, now=later(beat))
    span = {"start": NOW.isoformat(), "end": later(61).isoformat()}

    columns = client.get(f"/api/v1/chains/NIFTY/{MONTHLY}/history", span).json()["columns"]

    assert len(columns["minute_at"]) == 2
    assert columns["forward_source"] == ["future", "future"]


@pytest.mark.parametrize(
    ("span", "code"),
    [
        ({"start": NOW.isoformat(), "end": NOW.isoformat()}, "invalid_span"),
        ({"start": later(-40 * 86_400).isoformat(), "end": NOW.isoformat()}, "invalid_span"),
        ({"start": "yesterday"}, "invalid"),
    ],
)
def test_a_span_that_cannot_be_answered_is_refused(client: APIClient, span: dict[str, str], code: str) -> None:
    answer = client.get(f"/api/v1/chains/NIFTY/{MONTHLY}/history", span)

    assert (answer.status_code, answer.json()["code"]) == (400, code)


def test_the_standing_of_a_volatility_can_be_asked_for(client: APIClient) -> None:
    ChainMinute.objects.bulk_create([minute_row(days_ago=1, atm_iv=0.1)])

    document = client.get("/api/v1/volatility/nifty").json()

    assert (document["underlying"], document["iv"]) == ("NIFTY", 0.1)
    assert document["constant_maturity_days"] == 30
