"""The chains API: values, their sources and ages, and refusals that say why."""

from datetime import timedelta

import pytest
from django.utils import timezone
from rest_framework.test import APIClient

from accounts.authentication import issue_api_key
from accounts.models import User
from greeks.chains import Engine
from greeks.store import ChainKey
from market_data.bus import SyncBus
from tests.factories import UserFactory
from tests.greeks.market import MONTHLY, NOW, SPOT, WEEKLY, OptionMarket, later

URL = f"/api/v1/chains/NIFTY/{WEEKLY}"


def client_with(*scopes: str) -> APIClient:
    now = timezone.now()
    user = UserFactory(role=User.Role.ADMINISTRATOR, every_account=True)
    _, text = issue_api_key(
        user=user, name="a test", scopes=scopes, accounts=None, expires_at=now + timedelta(days=1), now=now
    )
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {text}")
    return client


@pytest.fixture
def client(db: None) -> APIClient:
    return client_with("greeks:read")


@pytest.fixture
def computed(market: OptionMarket, engine: Engine) -> OptionMarket:
    market.publish(market.rows())
    engine.recompute(now=NOW)
    return market


def test_the_list_names_every_live_chain(client: APIClient, computed: OptionMarket) -> None:
    results = client.get("/api/v1/chains").json()["results"]

    assert [row["chain"] for row in results] == [f"NIFTY:{WEEKLY}", f"NIFTY:{MONTHLY}"]
    assert [row["forward"]["source"] for row in results] == ["parity", "future"]
    assert all(row["options"] == 82 for row in results)


def test_before_the_first_computation_the_list_is_empty(client: APIClient, market: OptionMarket) -> None:
    assert client.get("/api/v1/chains").json() == {"results": []}


def test_a_chain_shows_both_sides_of_every_strike(client: APIClient, computed: OptionMarket) -> None:
    document = client.get(URL).json()

    assert [row["strike"] for row in document["strikes"]] == list(range(23_000, 25_001, 50))
    middle = next(row for row in document["strikes"] if row["strike"] == 24_000.0)
    assert middle["call"]["tradingsymbol"] == "NIFTY37112624000CE"
    assert middle["put"]["tradingsymbol"] == "NIFTY37112624000PE"
    assert middle["call"]["iv"] == pytest.approx(0.12, abs=0.001)
    assert 0.5 < middle["call"]["delta"] < 0.6
    assert middle["call"]["flags"] == []


def test_every_value_has_its_source_and_age(client: APIClient, computed: OptionMarket) -> None:
    document = client.get(URL).json()

    leg = document["strikes"][20]["call"]
    assert leg["price_source"] == "mid"
    assert leg["price_age_seconds"] == pytest.approx(max((timezone.now() - NOW).total_seconds(), 0.0), abs=5.0)
    assert document["forward"]["source"] == "parity"
    assert document["forward"]["parity_strikes"] == 6
    assert document["spot"]["value"] == SPOT
    assert document["delta_basis"] == "forward"
    assert document["units"]["theta"] == "rupees per calendar day"


def test_a_missing_value_is_null_with_its_reason(client: APIClient, market: OptionMarket, engine: Engine) -> None:
    rows = market.rows()
    market.publish(rows[rows["instrument_token"] != market.token(24_000, "PE")])
    engine.recompute(now=NOW)

    leg = next(row for row in client.get(URL).json()["strikes"] if row["strike"] == 24_000.0)["put"]

    assert (leg["iv"], leg["delta"], leg["price"]) == (None, None, None)
    assert (leg["price_source"], leg["flags"]) == ("none", ["no_price"])


def test_a_leg_says_how_far_it_moved_since_the_last_close(
    client: APIClient, market: OptionMarket, engine: Engine
) -> None:
    rows = market.rows()
    rows["last_price"][1:], rows["close"] = 61.5, 50.25
    rows["close"][rows["instrument_token"] == market.token(24_000, "PE")] = 0.0
    market.publish(rows)
    engine.recompute(now=NOW)

    strike = next(row for row in client.get(URL).json()["strikes"] if row["strike"] == 24_000.0)

    assert (strike["call"]["change"], strike["put"]["change"]) == (11.25, None)


def test_a_chain_says_what_it_means_as_a_whole(client: APIClient, computed: OptionMarket) -> None:
    numbers = client.get(URL).json()["analytics"]

    assert numbers["priced"] == 82
    assert numbers["put_call_ratio"] == {"open_interest": 1.0, "volume": 1.0}
    assert numbers["straddle"]["strike"] == 24_050.0
    assert numbers["atm_iv"] == pytest.approx(0.12, abs=0.001)
    assert numbers["expected_move"] == pytest.approx(24_032 * 0.12 * (7.19 / 365) ** 0.5, rel=0.02)
    assert "dealers" in numbers["gamma_exposure"]["sign_assumption"]


def test_an_unchanged_chain_is_not_sent_twice(client: APIClient, computed: OptionMarket, engine: Engine) -> None:
    first = client.get(URL)

    again = client.get(URL, headers={"If-None-Match": first["ETag"]})
    computed.publish(computed.rows(now=later(1)))
    engine.recompute(now=later(1))
    moved = client.get(URL, headers={"If-None-Match": first["ETag"]})

    assert (first.status_code, again.status_code, moved.status_code) == (200, 304, 200)
    assert again.content == b""
    assert moved["ETag"] != first["ETag"]


def test_the_smile_comes_with_its_fit_and_its_skew(client: APIClient, computed: OptionMarket) -> None:
    document = client.get(f"{URL}/smile").json()

    assert len(document["points"]["strike"]) == 41
    assert document["rmse_points"] < 0.05
    assert document["butterfly_free"] is True
    assert document["skew"]["risk_reversal"] < 0.0


def test_a_chain_without_prices_has_no_smile(client: APIClient, market: OptionMarket, engine: Engine) -> None:
    engine.recompute(now=NOW)

    answer = client.get(f"{URL}/smile")

    assert (answer.status_code, answer.json()["code"]) == (409, "not_enough_quotes")


@pytest.mark.parametrize("path", ["chains/NIFTY/2030-01-01", "chains/NIFTY/2030-01-01/smile", "volatility/NOSUCH/term"])
def test_a_chain_that_is_not_live_is_unknown(client: APIClient, computed: OptionMarket, path: str) -> None:
    answer = client.get(f"/api/v1/{path}")

    assert (answer.status_code, answer.json()["code"]) == (404, "unknown_chain")


def test_a_live_chain_before_its_first_computation_asks_for_patience(
    client: APIClient, market: OptionMarket, bus: SyncBus
) -> None:
    assert bus.get_blob(ChainKey("NIFTY", MONTHLY).blob) is None

    answer = client.get(f"/api/v1/chains/NIFTY/{MONTHLY}")

    assert (answer.status_code, answer.json()["code"], answer.json()["retryable"]) == (503, "chain_not_ready", True)


def test_an_expiry_that_is_no_date_is_named_as_the_fault(client: APIClient) -> None:
    answer = client.get("/api/v1/chains/NIFTY/soon")

    assert (answer.status_code, answer.json()["code"], answer.json()["field"]) == (400, "invalid_chain", "chain")


@pytest.mark.parametrize("path", [f"{URL}/history", "/api/v1/volatility/NIFTY/history"])
def test_a_history_that_ends_before_it_begins_is_refused(client: APIClient, path: str) -> None:
    span = {"start": "2026-11-24T10:00:00Z", "end": "2026-11-24T09:00:00Z"}

    assert client.get(path, span).status_code == 400


@pytest.mark.parametrize("path", ["/api/v1/chains", URL, f"{URL}/smile"])
def test_reading_greeks_needs_the_scope(path: str, db: None) -> None:
    assert client_with("market:read").get(path).status_code == 403
    assert APIClient().get(path).status_code == 401


def test_a_chain_costs_no_query_beyond_authentication(
    client: APIClient, computed: OptionMarket, django_assert_max_num_queries: object
) -> None:
    client.get(URL)

    with django_assert_max_num_queries(2):  # type: ignore[operator]
        client.get(URL)
