"""A receiver on this machine, which the settings allow."""

import base64
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from accounts.queries import Principal
from tests.canaries import canary
from tests.factories import principal
from tests.webhooks.receiver import Receiver, receiving
from ticker_site.celery import app  # noqa: F401 (tasks are enqueued into the test's own Valkey)
from webhooks import keeping
from webhooks.announcing import announce
from webhooks.models import Delivery, Endpoint

SECRET, OTHER_SECRET = ("whsec_" + base64.b64encode(canary(number).encode()).decode() for number in (1, 2))


@pytest.fixture
def receiver(settings: Any) -> Iterator[Receiver]:
    """Return a running receiver."""
    settings.WEBHOOK_ALLOWED_NETWORKS = ["127.0.0.0/8"]
    with receiving() as running:
        yield running


@pytest.fixture
def owner(db: None) -> Principal:
    """Return somebody who sees every account."""
    return principal()


def added(owner: Principal, url: str, *kinds: str, **values: Any) -> Endpoint:
    """Return a new endpoint."""
    wanted = {"url": url, "kinds": list(kinds or ("*",)), "secret": SECRET, **values}
    return keeping.add(principal=owner, wanted=wanted, now=datetime.now(UTC))


def told(now: datetime, kind: str = "orders.order.complete", **data: Any) -> list[Delivery]:
    """Announce an event and return its deliveries."""
    announce(account_id=None, kind=kind, data=data, now=now)
    return list(Delivery.objects.filter(message__created_at=now, message__kind=kind))
