"""Wishes, lists and windows at the panel."""

import pytest
from django.test import Client

from accounts.models import AuditEntry, User
from market_data.models import ChainWindow, Instrument, InstrumentList, Subscription
from tests.factories import UserFactory
from tests.market_data.factories import InstrumentFactory

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clean_redis")]


@pytest.fixture
def panel(client: Client) -> Client:
    client.force_login(UserFactory(administrator=True, is_staff=True, username="ann"))
    return client


@pytest.fixture
def shares() -> list[Instrument]:
    return [InstrumentFactory(tradingsymbol=symbol) for symbol in ("INFY", "TCS", "NIFTY 50")]


def post(panel: Client, path: str, **form: object) -> object:
    return panel.post(f"/admin/market_data/{path}", form, follow=True)


def test_many_instruments_are_wanted_at_once_and_the_trail_keeps_it(panel: Client, shares: list[Instrument]) -> None:
    body = {"instruments": "NSE:INFY, TCS\nNIFTY", "mode": "full", "reason": "a look"}

    post(panel, "subscription/add/", **body)
    post(panel, "subscription/add/", **body)

    rows = Subscription.objects.values_list("instrument__tradingsymbol", "mode", "wanted_by", "reason")
    assert sorted(rows) == [(symbol, "full", "admin:ann", "a look") for symbol in ("INFY", "NIFTY 50", "TCS")]
    assert AuditEntry.objects.filter(action="market_data.subscription.wished").count() == 2


def test_an_unknown_name_wants_nothing(panel: Client, shares: list[Instrument]) -> None:
    answer = panel.post("/admin/market_data/subscription/add/", {"instruments": "INFY\nNOPE", "mode": "ltp"})

    assert "no listed instrument NOPE" in answer.content.decode()
    assert not Subscription.objects.exists()


def test_chosen_wishes_are_ended_together(panel: Client, shares: list[Instrument]) -> None:
    post(panel, "subscription/add/", instruments="INFY\nTCS", mode="ltp")
    chosen = list(Subscription.objects.values_list("pk", flat=True))

    post(panel, "subscription/", action="delete_selected", _selected_action=chosen, post="yes")

    assert not Subscription.objects.exists()
    assert AuditEntry.objects.filter(action="market_data.subscription.ended").count() == 2


def test_a_list_is_saved_changed_and_dropped(panel: Client, shares: list[Instrument]) -> None:
    post(panel, "instrumentlist/add/", name="it", instruments="INFY\nTCS", stream="ltp")
    row = InstrumentList.objects.get()
    page = panel.get(f"/admin/market_data/instrumentlist/{row.pk}/change/").content.decode()
    post(panel, f"instrumentlist/{row.pk}/change/", instruments="TCS", stream="full")

    assert "NSE:INFY\nNSE:TCS" in page
    assert Subscription.objects.values_list("wanted_by", "mode").get() == ("list:it", "full")

    post(panel, f"instrumentlist/{row.pk}/delete/", post="yes")
    assert not InstrumentList.objects.exists()
    assert not Subscription.objects.exists()


def test_a_window_is_made_and_ended(panel: Client, shares: list[Instrument]) -> None:
    terms = {"strikes": 2, "expiries": 1, "mode": "full", "hysteresis": "0.25", "reason": "gamma"}

    post(panel, "chainwindow/add/", underlying="NIFTY", **terms)
    window = ChainWindow.objects.get()
    post(panel, f"chainwindow/{window.pk}/change/", **{**terms, "strikes": 3})

    window.refresh_from_db()
    assert (window.wanted_by, window.strikes) == ("admin:ann", 3)
    assert Subscription.objects.get().instrument.tradingsymbol == "NIFTY 50"

    post(panel, f"chainwindow/{window.pk}/delete/", post="yes")
    assert not ChainWindow.objects.exists()
    assert not Subscription.objects.exists()


def test_a_viewer_may_look_and_not_wish(client: Client) -> None:
    client.force_login(UserFactory(role=User.Role.VIEWER, every_account=True, is_staff=True))

    assert client.get("/admin/market_data/subscription/").status_code == 200
    assert client.get("/admin/market_data/subscription/add/").status_code == 403
    assert client.get("/admin/market_data/chainwindow/add/").status_code == 403
