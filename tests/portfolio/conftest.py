"""A desk whose account holds something, and clients of the API."""

from datetime import UTC, datetime
from typing import Any

import pytest
from rest_framework.test import APIClient

from accounts.models import User
from accounts.queries import Principal, login_for
from kite.answers import PositionRow
from kite.types import Login
from tests.orders.conftest import Desk, desk  # noqa: F401
from tests.sandbox_server import wait_for


def client_of(principal: Principal) -> APIClient:
    """Return a client that is authenticated as the principal."""
    client = APIClient()
    client.force_authenticate(user=User.objects.get(pk=principal.user_id), token=principal)  # type: ignore[arg-type]
    return client


def login_of(desk: Desk) -> Login:  # noqa: F811
    """Return the live login of the desk's account."""
    return login_for(account_id=desk.account.pk, now=datetime.now(UTC))


@pytest.fixture
def api(desk: Desk) -> APIClient:  # noqa: F811
    """Return a client of the desk's principal."""
    return client_of(desk.principal)


@pytest.fixture
def held(desk: Desk) -> dict[str, Any]:  # noqa: F811
    """Buy five shares for the day and return the position."""
    before = quantity_of(desk)
    desk.submit(desk.place(product="MIS", quantity=5))
    wait_for(lambda: quantity_of(desk) == before + 5)
    return dict(day_position(desk)[0].raw)


def quantity_of(desk: Desk) -> int:  # noqa: F811
    """Return how many shares are held for the day."""
    return sum(row.quantity for row in day_position(desk))


def day_position(desk: Desk) -> list[PositionRow]:  # noqa: F811
    """Return the row of the share's intraday position, where there is one."""
    rows = desk.sessions.client(login_of(desk)).positions().net
    return [row for row in rows if (row.tradingsymbol, row.product) == ("INFY", "MIS")]
