"""API7: no address that a caller gives makes us ask inside."""

import pytest
from rest_framework.test import APIClient

from tests.webhooks.conftest import SECRET
from tests.webhooks.test_addresses import INSIDE, MISSHAPEN
from webhooks.models import Endpoint

SCHEMES = ("gopher://127.0.0.1:6379/_FLUSHALL", "dict://127.0.0.1:6379/info", "jar:https://127.0.0.1!/", "data:,x")


@pytest.mark.parametrize("url", [*INSIDE, *MISSHAPEN, *SCHEMES])
def test_a_webhook_cannot_point_inside(administrator: APIClient, url: str) -> None:
    answer = administrator.post("/api/v1/webhooks", {"url": url, "kinds": ["*"], "secret": SECRET}, format="json")

    said = answer.json()
    assert answer.status_code in {400, 422}
    assert said.get("field") == "url" or "url" in said["errors"]
    assert not Endpoint.objects.exists()


@pytest.mark.parametrize("proxy", ["http://user:pw@10.0.0.1:3128", "file:///etc/passwd", "http://a b", "x" * 300])
def test_the_proxy_of_an_account_is_a_plain_address(administrator: APIClient, proxy: str) -> None:
    body = {"label": "new", "broker_user_id": "AB1234", "order_proxy": proxy}

    answer = administrator.post("/api/v1/accounts", body, format="json")

    assert answer.status_code == 400
    assert "order_proxy" in answer.json()["errors"]
