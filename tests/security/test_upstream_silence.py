"""Every route, while nobody answers at the broker: an anticipated refusal or our own rows, never a server error."""

from typing import Any
from uuid import uuid4

import pytest
from redis import Redis
from rest_framework.test import APIClient

from tests.factories import BrokerAccountFactory, CredentialFactory
from tests.security.routes import Deed, deeds
from tests.security.test_a01_access_control import BODIES

NOBODY = "http://127.0.0.1:1"
DEEDS = [deed for deed in deeds() if "postbacks" not in deed.route]


@pytest.mark.parametrize("deed", DEEDS, ids=str)
def test_a_silent_broker_is_an_anticipated_failure(
    administrator: APIClient, clean_redis: Redis, settings: Any, deed: Deed
) -> None:
    settings.KITE_REST_ROOT = NOBODY
    account = BrokerAccountFactory(label="own")
    CredentialFactory(account=account, live=True)
    administrator.raise_request_exception = False
    path, body = deed.path(label="own"), {**BODIES.get(str(deed), {}), "account": "own"}

    answer: Any = (
        administrator.get(path, {"account": "own"})
        if deed.method == "GET"
        else getattr(administrator, deed.method.lower())(
            f"{path}?account=own", body, format="json", headers={"Idempotency-Key": str(uuid4())}
        )
    )

    assert answer.status_code < 500 or answer.json()["code"] not in {"error", "database_unavailable"}
    assert answer.status_code < 400 or {"code", "outcome"} <= set(answer.json())
