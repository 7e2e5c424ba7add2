"""API4: what a request may cost has a bound, tried at the bound and one beyond it."""

import json
import resource
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from django.test import Client
from rest_framework.test import APIClient

from accounts.parsers import DEEPEST
from accounts.rates import Allowance
from accounts.throttling import CallerThrottle
from tests.conformance import APART, schema
from tests.security.routes import Deed, deeds

LONGEST_PAGE = 500
# A series of minutes in columns, cut by time; it is no page of rows.
SERIES = "GET /api/v1/greeks/history"


def longest_page(deed: Deed) -> int | None:
    """Return the most rows of a page, as the schema says; nothing where the route has no pages."""
    parameters = schema()["paths"].get(deed.route, {}).get(deed.method.lower(), {}).get("parameters", [])
    return next((each["schema"]["maximum"] for each in parameters if each["name"] == "limit"), None)


LISTS = [deed for deed in deeds() if longest_page(deed) is not None and str(deed) != SERIES]
MIB = 1024 * 1024


@pytest.mark.parametrize("deed", LISTS, ids=str)
def test_a_page_has_at_most_five_hundred_rows(administrator: APIClient, deed: Deed) -> None:
    path, most = deed.path(label="x"), longest_page(deed) or 0

    beyond: Any = administrator.get(path, {"limit": most + 1})
    at_the_bound: Any = administrator.get(path, {"limit": most})

    assert most <= LONGEST_PAGE
    assert (beyond.status_code, list(beyond.json()["errors"])) == (400, ["limit"])
    assert at_the_bound.status_code == 200


def test_who_asked_too_often_is_told_so_by_every_route(administrator: APIClient, settings: Any) -> None:
    guarded = [deed for deed in deeds() if CallerThrottle in deed.view.throttle_classes and deed.route not in APART]
    settings.REQUEST_RATES = dict.fromkeys(("read", "write"), Allowance(per_second=0.001, burst=1))
    administrator.get("/api/v1/me")
    administrator.post("/api/v1/socket-tickets")

    answers: dict[str, Any] = {
        str(deed): getattr(administrator, deed.method.lower())(
            deed.path(label="x"), None if deed.method == "GET" else {}, format="json"
        )
        for deed in guarded
    }

    assert len(guarded) > 100
    assert {name: answer.status_code for name, answer in answers.items() if answer.status_code != 429} == {}
    assert {name for name, answer in answers.items() if int(answer["Retry-After"]) < 1} == set()


def nested(depth: int) -> str:
    return '{"a":' * depth + "1" + "}" * depth


def test_a_body_is_nested_twenty_levels_deep_at_most(keyed: Callable[..., Client]) -> None:
    client = keyed()

    def refused(depth: int) -> str:
        answer = client.post(
            "/api/v1/orders",
            nested(depth),
            content_type="application/json",
            headers={"Idempotency-Key": str(uuid4())},
        )
        assert answer.status_code == 400
        return str(answer.json()["detail"])

    assert "nested" not in refused(DEEPEST)
    assert "nested" in refused(DEEPEST + 1)


def test_ten_times_too_much_costs_no_memory(keyed: Callable[..., Client]) -> None:
    """A wish of 20,000 instruments is refused again and again, and the process stays as it was."""
    client, body = keyed(), json.dumps({"instruments": ["NSE:INFY"] * 20_000})

    def refuse() -> None:
        answer = client.post("/api/v1/subscriptions", body, content_type="application/json")
        assert answer.status_code == 400

    for _ in range(5):
        refuse()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _ in range(20):
        refuse()

    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024 < 50 * MIB
