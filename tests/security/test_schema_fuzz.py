"""API10 and SEC-009 ff: whatever the schema allows, and what it does not, is answered without a server error."""

from typing import Any
from uuid import uuid4

import pytest
import schemathesis
from drf_spectacular.generators import SchemaGenerator
from hypothesis import HealthCheck, Phase, given
from hypothesis import settings as examined
from rest_framework.test import APIClient
from schemathesis.core import NotSet
from schemathesis.core.result import Ok

from accounts.rates import Allowance
from tests.security.test_a05_injection import UPSTREAM

EXAMPLES, CAMPAIGN = 6, 300
QUIET = examined(deadline=None, suppress_health_check=list(HealthCheck), database=None, phases=[Phase.generate])
SCHEMA = schemathesis.openapi.from_dict(SchemaGenerator().get_schema(request=None, public=True))
OPERATIONS: dict[str, Any] = {
    found.ok().label: found.ok() for found in SCHEMA.get_all_operations() if isinstance(found, Ok)
}


def ask(client: APIClient, case: Any) -> Any:
    send = getattr(client, case.method.lower())
    headers = {"Idempotency-Key": str(uuid4())}
    if case.method == "GET":
        return send(case.formatted_path, case.query, headers=headers)
    body = None if isinstance(case.body, NotSet) else case.body
    return send(case.formatted_path, body, format="json", headers=headers)


def check(client: APIClient, label: str, *, examples: int) -> None:
    @examined(QUIET, max_examples=examples)
    @given(case=OPERATIONS[label].as_strategy())
    def try_one(case: Any) -> None:
        answer = ask(client, case)
        assert answer.status_code < 500 or answer.json()["code"] in UPSTREAM, answer.content

    try_one()


@pytest.mark.parametrize("label", sorted(OPERATIONS))
def test_no_request_breaks_the_server(administrator: APIClient, label: str) -> None:
    check(administrator, label, examples=EXAMPLES)


@pytest.mark.long
def test_no_request_of_a_campaign_breaks_the_server(administrator: APIClient, settings: Any) -> None:
    settings.REQUEST_RATES = dict.fromkeys(("read", "write"), Allowance(per_second=1e6, burst=10**6))
    for label in sorted(OPERATIONS):
        check(administrator, label, examples=CAMPAIGN)
