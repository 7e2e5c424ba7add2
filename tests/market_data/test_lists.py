"""Saved lists, and wishes named by list and by chain."""

from datetime import date

import pytest
from rest_framework.test import APIClient

from kite.types import Mode
from market_data import lists
from market_data.asking import Asked, resolve, resolve_all
from market_data.errors import CapacityExceeded, ChainUnknown, ListUnknown
from market_data.models import Instrument, InstrumentList, Subscription
from market_data.queries import desired_modes
from market_data.sharding import PER_ACCOUNT
from tests.factories import CredentialFactory
from tests.market_data.factories import NOW, InstrumentFactory, ticks
from tests.market_data.live import Publisher, TickClient, api_key

pytestmark = pytest.mark.django_db


@pytest.fixture
def api() -> APIClient:
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {api_key(scopes=('market:read', 'market:write'))}")
    return client


@pytest.fixture
def shares() -> list[Instrument]:
    return [InstrumentFactory(tradingsymbol=symbol) for symbol in ("INFY", "TCS", "WIPRO")]


def save(*instruments: Instrument, stream: Mode | None = None, name: str = "it") -> InstrumentList:
    return lists.save(name=name, instruments=instruments, stream=stream, saved_by="desk", now=NOW)


def named(*names: str) -> list[str]:
    return sorted(row.tradingsymbol for row in resolve_all(Asked(lists=names)))


def test_a_list_holds_what_was_saved_last(shares: list[Instrument]) -> None:
    save(*shares)
    save(*shares[:2])

    assert named("it") == ["INFY", "TCS"]
    assert InstrumentList.objects.count() == 1


def test_lists_overlap_without_doubling(shares: list[Instrument]) -> None:
    save(*shares[:2])
    save(*shares[1:], name="more")

    assert named("it", "more") == ["INFY", "TCS", "WIPRO"]


def test_a_list_with_a_mode_is_streamed_and_follows_its_changes(shares: list[Instrument]) -> None:
    save(*shares, stream=Mode.LTP)
    assert set(desired_modes(now=NOW).values()) == {Mode.LTP}

    save(shares[0], stream=Mode.FULL)

    assert desired_modes(now=NOW) == {shares[0].instrument_token: Mode.FULL}
    wish = Subscription.objects.get()
    assert (wish.wanted_by, wish.reason) == ("list:it", "list it by desk")


def test_a_list_without_a_mode_streams_nothing(shares: list[Instrument]) -> None:
    save(*shares, stream=Mode.LTP)

    save(*shares)

    assert desired_modes(now=NOW) == {}


def test_a_dropped_list_takes_its_wishes_with_it(shares: list[Instrument]) -> None:
    save(*shares, stream=Mode.LTP)

    lists.drop(name="it")

    assert desired_modes(now=NOW) == {}
    with pytest.raises(ListUnknown):
        lists.drop(name="it")


def test_a_list_the_accounts_cannot_stream_is_not_saved() -> None:
    CredentialFactory(live=True, token_expires_at=NOW.replace(hour=23))
    many = Instrument.objects.bulk_create(InstrumentFactory.build_batch(PER_ACCOUNT + 1))

    with pytest.raises(CapacityExceeded):
        save(*many, stream=Mode.LTP)

    assert not InstrumentList.objects.exists()


def test_a_retired_instrument_stays_saved_and_is_not_named(shares: list[Instrument]) -> None:
    save(*shares)
    Instrument.objects.filter(tradingsymbol="TCS").update(listed=False)

    assert named("it") == ["INFY", "WIPRO"]


def test_a_chain_is_named_by_underlying_and_expiry() -> None:
    for kind in ("CE", "PE"):
        InstrumentFactory(exchange="NFO", name="NIFTY", instrument_type=kind, strike=25_000, expiry=date(2026, 8, 25))

    assert len(resolve_all(Asked(chains=["NIFTY:2026-08-25"]))) == 2


@pytest.mark.parametrize("chain", ["NIFTY", "NIFTY:", "NIFTY:2026-13-01", "NIFTY:2026-08-26", ":2026-08-25"])
def test_an_unknown_chain_is_named(chain: str) -> None:
    answer = resolve(Asked(chains=[chain]))

    assert [one.name for one in answer.unknown] == [chain]
    assert isinstance(answer.unknown[0].error, ChainUnknown)


def test_the_api_saves_shows_and_forgets_a_list(api: APIClient, shares: list[Instrument]) -> None:
    body = {"instruments": ["NSE:INFY", "TCS"], "stream": "quote", "description": "software"}

    saved = api.put("/api/v1/lists/it", body, format="json").json()
    shown = api.get("/api/v1/lists/it").json()
    every = api.get("/api/v1/lists").json()["results"]
    dropped = api.delete("/api/v1/lists/it")

    assert saved == shown
    assert (saved["instruments"], saved["size"], saved["stream"]) == (["NSE:INFY", "NSE:TCS"], 2, "quote")
    assert [row["name"] for row in every] == ["it"]
    assert dropped.status_code == 204
    assert api.get("/api/v1/lists/it").json()["code"] == "list_unknown"


def test_wishes_may_name_lists(api: APIClient, shares: list[Instrument]) -> None:
    save(*shares)

    added = api.post("/api/v1/subscriptions", {"lists": ["it"], "mode": "ltp"}, format="json").json()
    refused = api.post("/api/v1/subscriptions", {"lists": ["nope"]}, format="json")

    assert added["created"] == 3
    assert (refused.status_code, refused.json()["code"]) == (404, "list_unknown")


def test_a_replacement_wants_exactly_what_it_names(api: APIClient, shares: list[Instrument]) -> None:
    api.post("/api/v1/subscriptions", {"instruments": ["INFY", "TCS"]}, format="json")

    first = api.put("/api/v1/subscriptions", {"instruments": ["TCS", "WIPRO"]}, format="json").json()
    again = api.put("/api/v1/subscriptions", {"instruments": ["TCS", "WIPRO"]}, format="json").json()

    assert (first["created"], first["deleted"]) == (1, 1)
    assert (again["created"], again["deleted"]) == (0, 0)
    assert [row["instrument"] for row in again["results"]] == ["NSE:TCS", "NSE:WIPRO"]


def test_everything_can_be_given_up_at_once(api: APIClient, shares: list[Instrument]) -> None:
    api.post("/api/v1/subscriptions", {"instruments": ["INFY", "TCS"]}, format="json")

    assert api.delete("/api/v1/subscriptions", {"everything": True}, format="json").json()["deleted"] == 2


@pytest.mark.parametrize("verb", ["post", "put", "delete"])
def test_a_wish_for_nothing_is_refused(api: APIClient, verb: str) -> None:
    assert getattr(api, verb)("/api/v1/subscriptions", {}, format="json").status_code == 400


def test_who_wants_an_instrument_and_why_is_told(api: APIClient, shares: list[Instrument]) -> None:
    save(*shares, stream=Mode.FULL)
    api.post("/api/v1/subscriptions", {"instruments": ["INFY"], "reason": "hedge"}, format="json")

    rows = api.get("/api/v1/subscriptions", {"instrument": "NSE:INFY"}).json()["results"]

    assert sorted((row["wanted_by"].partition(":")[0], row["mode"], row["reason"]) for row in rows) == [
        ("client", "quote", "hedge"),
        ("list", "full", "list it by desk"),
    ]


def test_everybodys_wishes_come_in_pages(api: APIClient, shares: list[Instrument]) -> None:
    save(*shares, stream=Mode.FULL)

    first = api.get("/api/v1/subscriptions", {"everyone": "true", "limit": "2"}).json()
    second = api.get("/api/v1/subscriptions", {"everyone": "true", "limit": "2", "cursor": str(first["next"])}).json()

    assert (len(first["results"]), len(second["results"]), second["next"]) == (2, 1, None)


@pytest.mark.django_db(transaction=True)
def test_a_socket_subscribes_lists_and_chains(tick_client: TickClient, publisher: Publisher) -> None:
    share = InstrumentFactory(tradingsymbol="INFY", instrument_token=408065)
    option = InstrumentFactory(exchange="NFO", name="NIFTY", instrument_type="CE", expiry=date(2026, 8, 25))
    save(share)

    answer = tick_client.subscribe(lists=["it", "nope"], chains=["NIFTY:2026-08-25"], mode="ltp")
    publisher.publish(ticks({408065: 1500.5, option.instrument_token: 7.0}))
    tick_client.expect("d")

    assert sorted(answer["accepted"]) == sorted([[408065, "NSE:INFY"], [option.instrument_token, str(option)]])
    assert answer["rejected"] == [{"instrument": "nope", "code": "list_unknown"}]
    assert tick_client.prices == {408065: 1500.5, option.instrument_token: 7.0}


@pytest.mark.django_db(transaction=True)
def test_a_socket_gives_a_whole_list_up(tick_client: TickClient) -> None:
    save(InstrumentFactory(tradingsymbol="INFY", instrument_token=408065))
    tick_client.subscribe(lists=["it"])

    tick_client.send(op="unsub", id="u", lists=["it"])

    assert tick_client.until(lambda message: message.get("id") == "u")["removed"] == [408065]


@pytest.mark.django_db(transaction=True)
def test_a_list_nobody_saved_is_a_fault_of_its_own(tick_client: TickClient) -> None:
    answer = tick_client.subscribe(lists=["nope"])

    assert (answer["t"], answer["code"], answer["field"]) == ("err", "list_unknown", "lists")
