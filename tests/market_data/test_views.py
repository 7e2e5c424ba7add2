"""The market data API."""

import time
from collections.abc import Callable
from datetime import date
from typing import Any

import pytest
from django.db import connection
from pytest_django import DjangoAssertNumQueries
from rest_framework.test import APIClient

from market_data.catalogue import sync
from market_data.models import Instrument, Subscription
from market_data.queries import search
from tests.market_data.factories import NOW, InstrumentFactory
from tests.market_data.live import api_key, store_prices

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clean_redis")]


@pytest.fixture
def api() -> APIClient:
    return program("market:read", "market:write")


CATALOGUE = b"""instrument_token,exchange_token,tradingsymbol,name,last_price,expiry,strike,tick_size,lot_size,\
instrument_type,segment,exchange
408065,1594,INFY,INFOSYS,0,,0,0.05,1,EQ,NSE,NSE
2953217,11536,TCS,TCS,0,,0,0.05,1,EQ,NSE,NSE
"""


def program(*scopes: str) -> APIClient:
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {api_key(scopes=scopes)}")
    return client


@pytest.fixture
def chain() -> list[Instrument]:
    """Two expiries of three strikes."""
    return [
        InstrumentFactory(
            exchange="NFO",
            tradingsymbol=f"NIFTY{expiry:%d%b}{strike}{kind}".upper(),
            name="NIFTY",
            instrument_type=kind,
            expiry=expiry,
            strike=strike,
        )
        for expiry in (date(2026, 8, 25), date(2026, 9, 29))
        for strike in (24900, 25000, 25100)
        for kind in ("CE", "PE")
    ]


def found(api: APIClient, **query: str | int) -> list[str]:
    answer = api.get("/api/v1/instruments", query)
    assert answer.status_code == 200
    return [row["tradingsymbol"] for row in answer.json()["results"]]


def test_a_prefix_finds_its_instruments(api: APIClient) -> None:
    for symbol in ("INFY", "INFIBEAM", "TCS"):
        InstrumentFactory(tradingsymbol=symbol)

    assert found(api, q="inf") == ["INFIBEAM", "INFY"]


@pytest.mark.usefixtures("chain")
@pytest.mark.parametrize(
    ("words", "count"),
    [
        ("nifty", 12),
        ("NIFTY 25000", 4),
        ("nifty 25000 ce", 2),
        ("25aug", 6),
        ("nifty 25aug", 6),
        ("nifty25aug 251", 2),
        ("nifty25aug25100p", 1),
        ("ce nifty", 6),
        ("nifty gold", 0),
    ],
)
def test_every_word_narrows_the_search(api: APIClient, words: str, count: int) -> None:
    assert len(found(api, q=words)) == count


def test_a_company_is_found_by_a_word_of_its_name(api: APIClient) -> None:
    InstrumentFactory(tradingsymbol="RELIANCE", name="RELIANCE INDUSTRIES")

    assert found(api, q="indus") == ["RELIANCE"]


@pytest.mark.parametrize("words", ["&", "' OR 1=1", "a:* | b", "!!", "M&M", "(((", "\\"])
def test_no_text_breaks_the_search(api: APIClient, words: str) -> None:
    assert api.get("/api/v1/instruments", {"q": words}).status_code == 200


@pytest.mark.usefixtures("chain")
def test_a_chain_is_found_by_underlying_expiry_strike_and_type(api: APIClient) -> None:
    assert found(api, name="NIFTY", expiry="2026-08-25", strike=25000, instrument_type="CE") == ["NIFTY25AUG25000CE"]


@pytest.mark.usefixtures("chain")
def test_pages_follow_each_other_without_gap_or_double(api: APIClient) -> None:
    seen: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        query: dict[str, str] = {"limit": "5", **({"cursor": cursor} if cursor else {})}
        page = api.get("/api/v1/instruments", query).json()
        seen += [row["key"] for row in page["results"]]
        cursor = page["next"]

    assert seen == sorted(str(row) for row in Instrument.objects.all())


def test_a_retired_instrument_is_not_found(api: APIClient) -> None:
    InstrumentFactory(tradingsymbol="GONE", listed=False)

    assert found(api, q="GONE") == []
    assert api.get("/api/v1/instruments/NSE:GONE").json()["code"] == "instrument_unknown"


def test_one_instrument_is_read_by_its_key(api: APIClient) -> None:
    InstrumentFactory(tradingsymbol="M&M", instrument_token=519937)

    assert api.get("/api/v1/instruments/NSE:M&M").json()["instrument_token"] == 519937


def test_a_search_costs_one_query_beside_the_caller(
    api: APIClient, chain: list[Instrument], django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    found(api, q="NIFTY")

    with django_assert_max_num_queries(4):
        found(api, q="NIFTY")


def test_wishes_are_added_listed_and_removed(api: APIClient) -> None:
    for symbol in ("INFY", "TCS"):
        InstrumentFactory(tradingsymbol=symbol)
    body = {"instruments": ["NSE:INFY", "NSE:TCS"], "mode": "full", "reason": "hedge"}

    added = api.post("/api/v1/subscriptions", body, format="json").json()
    again = api.post("/api/v1/subscriptions", body, format="json").json()
    removed = api.delete("/api/v1/subscriptions", {"instruments": ["NSE:INFY"]}, format="json").json()
    listed = api.get("/api/v1/subscriptions").json()["results"]

    assert (added["created"], again["created"], removed["deleted"]) == (2, 0, 1)
    assert [(row["instrument"], row["mode"], row["reason"]) for row in listed] == [("NSE:TCS", "full", "hedge")]


@pytest.mark.parametrize("method", ["post", "put"])
def test_one_unknown_instrument_adds_none(api: APIClient, method: str) -> None:
    InstrumentFactory(tradingsymbol="INFY")

    answer: Any = getattr(api, method)(
        "/api/v1/subscriptions", {"instruments": ["NSE:INFY", "NSE:NOPE"]}, format="json"
    )

    assert (answer.status_code, answer.json()["code"], answer.json()["field"]) == (
        404,
        "instrument_unknown",
        "instruments",
    )
    assert not Subscription.objects.exists()


@pytest.mark.parametrize(
    ("call", "scope"),
    [
        (lambda api: api.get("/api/v1/instruments"), "orders:read"),
        (lambda api: api.get("/api/v1/quotes?i=NSE:INFY"), "orders:read"),
        (lambda api: api.post("/api/v1/subscriptions", {}, format="json"), "market:read"),
        (lambda api: api.delete("/api/v1/subscriptions", {}, format="json"), "market:read"),
    ],
)
def test_each_verb_needs_its_scope(call: Callable[[APIClient], object], scope: str) -> None:
    assert call(program(scope)).status_code == 403  # type: ignore[attr-defined]
    assert call(APIClient()).status_code == 401  # type: ignore[attr-defined]


def test_a_quote_carries_its_age_and_what_is_not_streamed_is_named(api: APIClient) -> None:
    infy = InstrumentFactory(tradingsymbol="INFY")
    InstrumentFactory(tradingsymbol="TCS")
    store_prices({infy.instrument_token: 1500.5}, received_at=time.time() - 7)

    answer = api.get("/api/v1/quotes?i=NSE:INFY&i=NSE:TCS").json()

    assert answer["missing"] == ["NSE:TCS"]
    assert answer["results"]["NSE:INFY"]["last_price"] == 1500.5
    assert 7 <= answer["results"]["NSE:INFY"]["age_seconds"] < 9


def test_changed_lots_and_loads_are_told(api: APIClient) -> None:
    sync(dump=CATALOGUE, now=NOW)
    sync(dump=CATALOGUE.replace(b"0.05,1,EQ", b"0.10,5,EQ", 1), now=NOW)

    whole = api.get("/api/v1/instruments/changes").json()
    lots = api.get("/api/v1/instruments/changes", {"field": "lot_size", "instrument": "INFY"}).json()["results"]
    others = api.get("/api/v1/instruments/changes", {"instrument": "TCS"}).json()["results"]

    assert [(row["instrument"], row["was"], row["became"]) for row in lots] == [("NSE:INFY", "1", "5")]
    assert (len(whole["results"]), others) == (2, [])
    assert [(load["new"], load["changed"], load["lots"], load["ticks"]) for load in whole["loads"]] == [
        (0, 1, 1, 1),
        (2, 0, 0, 0),
    ]


def test_an_unchanged_catalogue_is_not_sent_again(api: APIClient) -> None:
    sync(dump=CATALOGUE, now=NOW)
    first = api.get("/api/v1/instruments", {"q": "infy"})

    again = api.get("/api/v1/instruments", {"q": "infy"}, HTTP_IF_NONE_MATCH=first["ETag"])
    other = api.get("/api/v1/instruments", {"q": "tcs"}, HTTP_IF_NONE_MATCH=first["ETag"])
    sync(dump=CATALOGUE, now=NOW)
    after = api.get("/api/v1/instruments", {"q": "infy"}, HTTP_IF_NONE_MATCH=first["ETag"])

    assert (again.status_code, again.content) == (304, b"")
    assert (other.status_code, after.status_code) == (200, 200)


@pytest.mark.parametrize("words", ["u", "u ce"])
def test_common_words_walk_in_order_and_sort_nothing(words: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO market_data_instrument (exchange, tradingsymbol, instrument_token, exchange_token, name, "
            "instrument_type, segment, expiry, strike, tick_size, lot_size, listed, synced_at) "
            "SELECT 'NFO', 'U' || n %% 200 || '26AUG' || n || 'CE', n * 256 + 2, n, 'U' || n %% 200, 'CE', 'NFO-OPT', "
            "%s, n, 0.05, 1, true, %s FROM generate_series(1, 20000) n",
            [date(2026, 8, 25), NOW],
        )
        cursor.execute("ANALYZE market_data_instrument")

    plan = search(words=words).order_by("exchange", "tradingsymbol")[:101].explain()

    assert "Sort" not in plan
