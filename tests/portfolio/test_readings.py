"""Reading accounts through their brokers, and what is shown when a broker is silent."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from rest_framework.test import APIClient

from accounts.models import User
from accounts.queries import principal_of
from portfolio.errors import NotRead
from portfolio.models import Reading
from portfolio.readings import Kind, read
from tests.factories import AccountGroupFactory, BrokerAccountFactory, UserFactory, principal
from tests.orders.conftest import Desk
from tests.portfolio.conftest import client_of

NOW = datetime.now(UTC)


def kinds_read(desk: Desk, *kinds: Kind) -> dict[Kind, Any]:
    return {
        kind: read(accounts=[desk.account], kind=kind, sessions=desk.sessions, max_age=0, now=datetime.now(UTC))[0]
        for kind in kinds
    }


def test_every_kind_is_read_and_kept(desk: Desk) -> None:
    found = kinds_read(desk, *Kind)

    assert all(part.answer is not None and part.code == "" for part in found.values())
    assert Reading.objects.count() == len(Kind)
    assert found[Kind.PROFILE].answer["user_id"] == desk.account.broker_user_id
    assert found[Kind.MARGINS].answer["equity"]["net"] > 0


def test_a_fresh_reading_is_not_asked_for_again(desk: Desk) -> None:
    kinds_read(desk, Kind.HOLDINGS)
    since = desk.sandbox.journal_end()

    part = read(
        accounts=[desk.account], kind=Kind.HOLDINGS, sessions=desk.sessions, max_age=300, now=datetime.now(UTC)
    )[0]

    assert part.answer
    assert desk.sandbox.journal(since=since, route="portfolio.holdings") == []


def test_the_last_answer_is_shown_with_its_age_when_the_broker_is_silent(desk: Desk) -> None:
    before = kinds_read(desk, Kind.HOLDINGS)[Kind.HOLDINGS]
    desk.sandbox.fault("http_5xx", route="portfolio.holdings", status=503, body="html")

    later = datetime.now(UTC) + timedelta(minutes=10)
    part = read(accounts=[desk.account], kind=Kind.HOLDINGS, sessions=desk.sessions, max_age=5, now=later)[0]

    assert part.answer == before.answer
    assert part.code == "broker_unavailable"
    assert part.age_seconds(now=later) == pytest.approx(600, abs=30)


def test_a_silence_without_an_earlier_answer_is_an_error(desk: Desk) -> None:
    desk.sandbox.fault("http_5xx", route="portfolio.holdings", status=503, body="html")

    with pytest.raises(NotRead):
        kinds_read(desk, Kind.HOLDINGS)


def test_one_account_without_a_login_does_not_hide_the_others(desk: Desk, api: APIClient) -> None:
    idle = BrokerAccountFactory()

    answer = api.get("/api/v1/margins")

    parts = {part["account"]: part for part in answer.json()["accounts"]}
    assert answer.status_code == 200
    assert parts[desk.account.label]["code"] == ""
    assert parts[idle.label]["code"] == "login_needed"
    assert parts[idle.label]["age_seconds"] is None
    assert {row["account"] for row in answer.json()["results"]} == {desk.account.label}


def test_a_group_is_read_without_the_others(desk: Desk, api: APIClient) -> None:
    group = AccountGroupFactory()
    desk.account.group = group
    desk.account.save()
    BrokerAccountFactory()

    answer = api.get("/api/v1/holdings", {"group": group.name})

    assert [part["account"] for part in answer.json()["accounts"]] == [desk.account.label]
    assert {row["account"] for row in answer.json()["results"]} == {desk.account.label}


def test_an_unknown_group_is_not_found(api: APIClient) -> None:
    answer = api.get("/api/v1/holdings", {"group": "nobody"})

    assert answer.status_code == 404
    assert answer.json()["code"] == "group_unknown"
    assert answer.json()["field"] == "group"


def test_an_account_of_somebody_else_is_not_found(desk: Desk) -> None:
    stranger = principal_of(UserFactory(role=User.Role.TRADER))

    answer = client_of(stranger).get("/api/v1/positions", {"account": desk.account.label})

    assert answer.status_code == 404
    assert answer.json()["code"] == "account_unknown"


def test_an_account_and_a_group_at_once_are_refused(api: APIClient) -> None:
    answer = api.get("/api/v1/positions", {"account": "a", "group": "b"})

    assert answer.status_code == 400
    assert "group" in answer.json()["errors"]


@pytest.mark.parametrize(
    "path",
    ["holdings", "positions", "margins", "profiles", "exposure", "profit", "funds", "funds/holdings", "funds/orders"],
)
def test_every_reading_answers_a_viewer(desk: Desk, path: str) -> None:
    answer = client_of(principal(role=User.Role.VIEWER)).get(f"/api/v1/{path}")

    assert answer.status_code == 200
    assert answer.json()["accounts"][0]["account"] == desk.account.label


@pytest.mark.parametrize("path", ["holdings", "positions", "margins", "exposure", "profit", "funds/sips"])
def test_no_reading_answers_a_stranger(db: None, path: str) -> None:
    assert APIClient().get(f"/api/v1/{path}").status_code == 401


def test_margins_of_one_segment(desk: Desk, api: APIClient) -> None:
    answer = api.get("/api/v1/margins", {"segment": "commodity"})

    assert [row["segment"] for row in answer.json()["results"]] == ["commodity"]


def test_a_position_shows_in_both_views(api: APIClient, held: dict[str, Any]) -> None:
    answer = api.get("/api/v1/positions", {"max_age": 0}).json()

    for side in ("net", "day"):
        rows = [row for row in answer[side] if (row["tradingsymbol"], row["product"]) == ("INFY", "MIS")]
        assert rows[0]["quantity"] == held["quantity"]


def test_profit_is_the_sum_of_the_accounts(api: APIClient, held: dict[str, Any]) -> None:
    answer = api.get("/api/v1/profit", {"max_age": 0}).json()

    (row,) = answer["results"]
    assert answer["total"]["today"] == pytest.approx(row["today"])
    assert row["today"] == pytest.approx(row["m2m"] + row["holdings_day_change"])


def test_exposure_counts_positions_and_holdings_of_one_underlying(api: APIClient, held: dict[str, Any]) -> None:
    answer = api.get("/api/v1/exposure", {"max_age": 0}).json()

    infosys = next(row for row in answer["results"] if row["underlying"] == "INFY")
    assert infosys["long_value"] >= held["quantity"] * held["last_price"] * 0.9
    assert infosys["delta_units"] >= held["quantity"]
    assert infosys["unpriced"] == []
