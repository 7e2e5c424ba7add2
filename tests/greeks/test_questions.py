"""Questions about single options: live, as they might be, and by expiry."""

from datetime import date, timedelta
from typing import Any

import numpy as np
import pytest
from rest_framework.test import APIClient

from greeks import kernel
from greeks.chains import Engine
from greeks.conventions import Profile, calendar_years, expiry_instant
from greeks.models import RateSetting
from tests.greeks.market import MONTHLY, NOW, RATE, SPOT, WEEKLY, OptionMarket
from tests.greeks.test_api import client_with

CASE = {"side": "CE", "strike": 24_000.0, "forward": 24_050.0, "expiry": str(WEEKLY), "at": NOW.isoformat(), "iv": 0.13}
YEARS = calendar_years(now=NOW, expires_at=expiry_instant(expiry=WEEKLY, exchange="NFO"))


@pytest.fixture
def client(db: None) -> APIClient:
    return client_with("greeks:read")


@pytest.fixture
def computed(market: OptionMarket, engine: Engine) -> OptionMarket:
    market.publish(market.rows())
    engine.recompute(now=NOW)
    return market


def ask(client: APIClient, *cases: dict[str, Any]) -> list[dict[str, Any]]:
    answer = client.post("/api/v1/greeks/whatif", {"cases": list(cases)}, format="json")
    assert answer.status_code == 200, answer.json()
    results: list[dict[str, Any]] = answer.json()["results"]
    return results


def without(name: str, **extra: object) -> dict[str, Any]:
    return {**{key: value for key, value in CASE.items() if key != name}, **extra}


def test_named_options_come_with_values_and_provenance(client: APIClient, computed: OptionMarket) -> None:
    keys = ["NFO:NIFTY37112624000CE", "NFO:NIFTY37123124500PE"]

    document = client.get("/api/v1/greeks", {"i": keys}).json()

    first, second = (document["results"][key] for key in keys)
    assert document["missing"] == []
    assert (first["strike"], first["side"], first["forward"]["source"]) == (24_000.0, "CE", "parity")
    assert (second["strike"], second["side"], second["forward"]["source"]) == (24_500.0, "PE", "future")
    assert first["iv"] == pytest.approx(0.12, abs=0.001)
    assert (first["profile"], first["price_source"], first["flags"]) == ("fwd_cal", "mid", [])


def test_options_without_a_live_chain_are_named(client: APIClient, market: OptionMarket) -> None:
    document = client.get("/api/v1/greeks", {"i": ["NFO:NIFTY37112624000CE"]}).json()

    assert document == {"results": {}, "missing": ["NFO:NIFTY37112624000CE"]}


@pytest.mark.parametrize("keys", [[], ["NFO:X"] * 501])
def test_the_list_takes_up_to_five_hundred(client: APIClient, keys: list[str]) -> None:
    assert client.get("/api/v1/greeks", {"i": keys}).status_code == 400


def test_an_unknown_option_is_refused(client: APIClient) -> None:
    assert client.get("/api/v1/greeks", {"i": ["NFO:NOTHING"]}).json()["code"] == "instrument_unknown"


def test_a_volatility_asks_for_the_price(client: APIClient, market: OptionMarket) -> None:
    (found,) = ask(client, CASE)

    expected = kernel.greeks(24_050.0, 24_000.0, YEARS, RATE, 1.0, 0.13)
    assert found["price"] == pytest.approx(float(expected.intrinsic[0] + expected.time_value[0]), abs=1e-4)
    assert found["delta"] == pytest.approx(float(expected.delta[0]), abs=1e-6)
    assert (found["forward_source"], found["delta_basis"], found["flags"]) == ("given", "forward", [])


def test_a_price_asks_for_the_volatility_it_was_made_with(client: APIClient, market: OptionMarket) -> None:
    price = float(kernel.price(24_050.0, 24_000.0, YEARS, RATE, 1.0, 0.13)[0])

    (found,) = ask(client, without("iv", price=price))

    assert found["iv"] == pytest.approx(0.13, abs=1e-6)
    assert found["price"] == pytest.approx(price, abs=1e-4)


def test_each_profile_has_its_own_time_rate_and_forward(client: APIClient, market: OptionMarket) -> None:
    cases = [without("forward", spot=SPOT, dividend=0.01, profile=profile.value) for profile in Profile]

    by_profile = dict(zip(Profile, ask(client, *cases), strict=True))

    compat, bsm = by_profile[Profile.NSE_COMPAT], by_profile[Profile.SPOT_BSM]
    assert (compat["rate"], compat["years"], compat["delta_basis"]) == (0.10, 7 / 365, "spot")
    assert compat["forward"] == pytest.approx(SPOT * np.exp(0.10 * 7 / 365), abs=1e-3)
    assert bsm["forward"] == pytest.approx(SPOT * np.exp((RATE - 0.01) * YEARS), abs=1e-3)
    assert by_profile[Profile.FWD_CAL]["years"] == YEARS
    # 4.5 h of the first day, then 20, 23, 24, 25 and 26 November whole.
    assert by_profile[Profile.FWD_TRD]["years"] == pytest.approx((4.5 * 3_600 + 5 * 22_500) / (252 * 22_500))
    assert {row["forward_source"] for row in by_profile.values()} == {"spot"}


def test_spot_profiles_give_the_greeks_of_the_spot(client: APIClient, market: OptionMarket) -> None:
    step = 1.0
    cases = [without("forward", spot=SPOT + move, profile="spot_bsm", dividend=0.01) for move in (0.0, step, -step)]

    here, up, down = ask(client, *cases)

    assert here["delta"] == pytest.approx((up["price"] - down["price"]) / (2 * step), abs=1e-4)


def test_annual_values_stand_beside_those_of_a_day_and_a_point(client: APIClient, market: OptionMarket) -> None:
    (found,) = ask(client, CASE)

    annual = found["annual"]
    assert annual["theta"] == pytest.approx(found["theta"] * 365, abs=0.02)
    assert annual["vega"] == pytest.approx(found["vega"] * 100, abs=0.006)
    assert annual["rho"] == pytest.approx(found["rho"] * 100, abs=0.006)


def test_years_may_be_given_and_then_no_calendar_is_asked(client: APIClient, market: OptionMarket) -> None:
    (found,) = ask(client, without("expiry", years=1.0, rate=0.05, forward=105.127109637602, strike=100.0, iv=0.2))

    assert found["price"] == pytest.approx(10.4506, abs=1e-4)


def test_a_case_without_a_value_says_why_and_disturbs_no_other(client: APIClient, market: OptionMarket) -> None:
    bad, expired, good = ask(client, without("iv", price=0.0), {**CASE, "at": "2038-01-01T00:00:00Z"}, CASE)

    assert (bad["iv"], bad["flags"]) == (None, ["below_intrinsic"])
    assert (expired["delta"], expired["flags"], expired["intrinsic"]) == (None, ["expired"], 50.0)
    assert good["flags"] == []


def test_without_a_rate_in_force_the_caller_is_told(client: APIClient, market: OptionMarket) -> None:
    RateSetting.objects.all().delete()

    answer = client.post("/api/v1/greeks/whatif", {"cases": [CASE]}, format="json")

    assert (answer.status_code, answer.json()["code"]) == (409, "no_rate")


@pytest.mark.parametrize(
    "case",
    [
        {**CASE, "price": 1.0},
        without("iv"),
        without("expiry"),
        {**CASE, "years": 1.0},
        without("forward"),
        {**CASE, "profile": "nse_compat"},
        {**CASE, "profile": "other"},
        {**CASE, "side": "XX"},
        {**CASE, "strike": -1.0},
    ],
)
def test_a_case_with_two_answers_or_none_is_refused(client: APIClient, case: dict[str, Any]) -> None:
    assert client.post("/api/v1/greeks/whatif", {"cases": [case]}, format="json").status_code == 400


def test_the_term_structure_goes_from_the_soonest_expiry_on(client: APIClient, computed: OptionMarket) -> None:
    document = client.get("/api/v1/volatility/nifty/term").json()

    near, far = document["results"]
    assert (near["expiry"], far["expiry"]) == (str(WEEKLY), str(MONTHLY))
    assert near["atm_iv"] == pytest.approx(0.12, abs=0.001)
    assert near["total_variance"] < far["total_variance"]
    assert near["butterfly_free"] is far["butterfly_free"] is True
    assert (near["calendar_gap"], far["calendar_gap"] > 0.0) == (None, True)
    assert document["put_call_ratio"] == {"open_interest": 1.0, "volume": 1.0}
    assert near["days"] == pytest.approx(7.1875)


def test_an_expiry_without_quotes_is_listed_without_a_smile(
    client: APIClient, market: OptionMarket, engine: Engine
) -> None:
    engine.recompute(now=NOW)

    document = client.get("/api/v1/volatility/NIFTY/term").json()

    assert [row["atm_iv"] for row in document["results"]] == [None, None]
    assert {row["butterfly_free"] for row in document["results"]} == {None}
    assert document["put_call_ratio"] == {"open_interest": None, "volume": None}


def test_an_underlying_without_chains_has_no_term_structure(client: APIClient, market: OptionMarket) -> None:
    answer = client.get("/api/v1/volatility/NOTHING/term")

    assert (answer.status_code, answer.json()["code"]) == (404, "unknown_chain")


def test_the_rate_of_the_day_of_the_value_is_used(client: APIClient, market: OptionMarket) -> None:
    RateSetting.objects.create(effective_date=date(2037, 11, 19), rate="0.01", source="a test")

    before, on = ask(client, {**CASE, "at": (NOW - timedelta(days=1)).isoformat()}, CASE)

    assert (before["rate"], on["rate"]) == (RATE, 0.01)
