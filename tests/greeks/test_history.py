"""What is kept of every minute, and what years of minutes say about today."""

from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from rest_framework.test import APIClient

from greeks import analytics, history
from greeks.chains import Engine
from greeks.models import ChainMinute, UnderlyingMinute
from market_data.bus import SyncBus
from tests.greeks.market import MONTHLY, NOW, SPOT, WEEKLY, OptionMarket, later
from tests.greeks.test_api import client_with


def closing(*, days_ago: int, iv: float | None, hour: int = 15) -> UnderlyingMinute:
    at = (NOW - timedelta(days=days_ago)).replace(hour=hour)
    return UnderlyingMinute(underlying="NIFTY", minute_at=at, expiries=2, iv=iv, priced=1, unpriced=0)


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


def test_all_chains_of_an_underlying_make_one_row_a_minute(market: OptionMarket, engine: Engine, bus: SyncBus) -> None:
    rows = market.rows()
    puts = np.isin(rows["instrument_token"], [market.token(strike, "PE") for strike in range(23_000, 25_001, 50)])
    rows["oi"][puts] *= 3
    rows["volume"][puts] *= 2
    market.publish(rows)
    engine.recompute(now=NOW)

    history.record(bus=bus, now=later(20))

    whole = UnderlyingMinute.objects.get(underlying="NIFTY")
    chains = list(ChainMinute.objects.order_by("expiry"))
    columns = {
        name: np.array([getattr(row, name) for row in chains], np.float64)
        for name in ("years", "atm_iv", "butterfly", "gamma_exposure", "put_call_oi", "max_pain")
    }
    years, target = columns["years"], 30 / 365
    assert (whole.minute_at, whole.expiries, whole.spot, whole.priced, whole.unpriced) == (NOW, 2, SPOT, 164, 0)
    assert whole.iv == pytest.approx(analytics.constant_maturity(t=years, iv=columns["atm_iv"], target=target))
    assert whole.butterfly == pytest.approx(
        analytics.between_maturities(t=years, value=columns["butterfly"], target=target)
    )
    assert whole.gamma_exposure == pytest.approx(columns["gamma_exposure"].sum())
    assert (columns["put_call_oi"].tolist(), whole.put_call_oi) == ([3.0, 1.0], 2.0)
    assert (whole.put_call_volume, whole.max_pain) == (1.5, columns["max_pain"][0])


def test_a_minute_is_kept_once(market: OptionMarket, engine: Engine, bus: SyncBus) -> None:
    market.publish(market.rows())
    engine.recompute(now=NOW)
    history.record(bus=bus, now=later(20))

    history.record(bus=bus, now=later(40))

    assert (ChainMinute.objects.count(), UnderlyingMinute.objects.count()) == (2, 1)


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
    rows = [closing(days_ago=day, iv=0.10 + 0.01 * day) for day in range(1, 6)]
    rows += [closing(days_ago=1, iv=0.90, hour=11), closing(days_ago=0, iv=0.13, hour=11)]
    UnderlyingMinute.objects.bulk_create(rows)

    found = history.standing(underlying="NIFTY", now=NOW)

    assert found.iv == pytest.approx(0.13)
    assert found.sessions == 5
    assert found.rank == pytest.approx(50.0)
    assert found.percentile == pytest.approx(40.0)


def test_only_so_many_sessions_count_and_the_latest_do(db: None, django_assert_num_queries: Any) -> None:
    UnderlyingMinute.objects.bulk_create([closing(days_ago=day, iv=day / 1_000) for day in range(1, 301)])

    with django_assert_num_queries(3):
        found = history.standing(underlying="NIFTY", now=NOW)

    assert (found.sessions, found.iv, found.rank) == (252, 0.001, 0.0)


def test_without_history_there_is_no_standing(db: None) -> None:
    found = history.standing(underlying="NIFTY", now=NOW)

    assert found.as_of is None
    assert found.sessions == 0


def test_a_close_without_a_volatility_is_no_session(db: None) -> None:
    UnderlyingMinute.objects.bulk_create([closing(days_ago=1, iv=None), closing(days_ago=0, iv=0.1, hour=11)])

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


def test_the_history_of_an_underlying_is_one_list_a_column(
    client: APIClient, market: OptionMarket, engine: Engine, bus: SyncBus
) -> None:
    for beat in (0, 60):
        market.publish(market.rows(now=later(beat)))
        engine.recompute(now=later(beat))
        history.record(bus=bus, now=later(beat))
    span = {"start": NOW.isoformat(), "end": later(60).isoformat()}

    document = client.get("/api/v1/volatility/nifty/history", span).json()

    assert (document["underlying"], document["constant_maturity_days"]) == ("NIFTY", 30)
    assert (document["columns"]["expiries"], document["columns"]["put_call_oi"]) == ([2], [1.0])


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
    UnderlyingMinute.objects.bulk_create([closing(days_ago=1, iv=0.1)])

    document = client.get("/api/v1/volatility/nifty").json()

    assert (document["underlying"], document["iv"]) == ("NIFTY", 0.1)
    assert document["constant_maturity_days"] == 30
