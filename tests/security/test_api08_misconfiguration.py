"""API8: methods, content types and errors of every route, as a scanner tries them."""

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from tests.architecture.sources import ROOT
from tests.conformance import schema
from tests.security.routes import Deed, deeds

ROUTES = sorted({deed.route: deed for deed in deeds()}.values(), key=str)
TAKING = [
    deed
    for deed in deeds()
    if "requestBody" in schema()["paths"].get(deed.route, {}).get(deed.method.lower(), {})
    and "postbacks" not in deed.route
]
INSIDE = ("Traceback", str(ROOT), "psycopg", "django.", "SELECT ")


@pytest.mark.parametrize("deed", ROUTES, ids=str)
def test_a_method_nobody_wrote_is_refused(keyed: Callable[..., Client], deed: Deed) -> None:
    client, path = keyed(), deed.path(label="x")

    answers: dict[str, Any] = {method: client.generic(method, path) for method in ("TRACE", "CONNECT", "PROPFIND")}

    assert {answer.status_code for answer in answers.values()} <= {403, 405}
    assert not [word for word in INSIDE for answer in answers.values() if word in answer.content.decode()]


@pytest.mark.parametrize("deed", TAKING, ids=str)
def test_a_form_is_not_taken_for_json(keyed: Callable[..., Client], deed: Deed) -> None:
    """A page elsewhere can send a form or plain text without asking first; neither is read."""
    client, path = keyed(), deed.path(label="x")

    for kind in ("application/x-www-form-urlencoded", "text/plain"):
        answer: Any = client.generic(
            deed.method, path, "account=x&reason=y", content_type=kind, headers={"Idempotency-Key": "k"}
        )
        assert answer.status_code >= 400
        assert not [word for word in INSIDE if word in answer.content.decode()]
