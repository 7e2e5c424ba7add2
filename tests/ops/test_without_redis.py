"""The Desk and the kill switch while Redis does not answer."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from accounts.queries import open_halts
from market_data.bus import sync_bus
from tests.factories import CredentialFactory

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def dead_redis(settings: Any, tmp_path: Path) -> Iterator[None]:
    """Name a Redis that is not there."""
    settings.REDIS_URL = f"unix://{tmp_path}/nobody.sock"
    sync_bus.cache_clear()
    yield
    sync_bus.cache_clear()


def test_the_desk_says_so_and_shows_what_the_database_knows(desk: Client) -> None:
    CredentialFactory(account__label="one", live=True)

    state = desk.get("/admin/desk/state").json()

    assert "bus_down" in {finding["code"] for finding in state["findings"]}
    assert state["accounts"]["one"]["token"]["live"]
    assert {process["word"] for process in state["processes"]} == {"unknown"}


def test_trading_is_halted_all_the_same(desk: Client) -> None:
    answer = desk.post("/admin/desk/verbs/halt", {"reason": "everything is on fire"})

    assert answer.status_code == 200
    assert [halt.level for halt in open_halts()] == ["halted"]


def test_the_web_process_is_alive_but_not_ready(client: Client) -> None:
    answer = client.get("/readyz")

    assert client.get("/healthz").status_code == 200
    assert (answer.status_code, answer.json()) == (503, {"status": "not ready", "database": True, "redis": False})
