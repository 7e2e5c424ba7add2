"""What wears out or piles up, and what the doctor says to it."""

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from accounts.authentication import issue_api_key
from greeks import option_store
from market_data import partitions
from ops import upkeep
from ops.checkup import examine
from ops.diagnosis import Diagnosis
from ops.models import Alert, AlertChannel, AlertDelivery
from tests.factories import UserFactory
from tests.kite.certificates import server_context, write_certificate
from tests.sandbox_server import SandboxServer
from webhooks.models import Delivery, Endpoint, Message

NOW = datetime.now(UTC)


def only(found: Iterator[Diagnosis]) -> tuple[str, str]:
    """Return the colour and the text of the one diagnosis there is; what is not green says how to mend it."""
    (diagnosis,) = found
    assert (diagnosis.colour == "green") == (diagnosis.mend == "")
    return diagnosis.colour, diagnosis.text


def serve(certificate: Path) -> tuple[socket.socket, int]:
    """Return a server that shows the certificate once, and its port."""
    listening = socket.create_server(("127.0.0.1", 0))
    context = server_context(certificate)

    def once() -> None:
        link, _ = listening.accept()
        try:
            context.wrap_socket(link, server_side=True).close()
        except (ssl.SSLError, OSError):
            link.close()

    threading.Thread(target=once, daemon=True).start()
    return listening, int(listening.getsockname()[1])


@pytest.fixture
def served(tmp_path: Path, settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """Return a way to be served with a certificate of some days."""
    opened: list[socket.socket] = []

    def begin(*, days: int, trusted: bool = True) -> None:
        certificate = write_certificate(tmp_path, days=days)
        if trusted:
            monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        listening, port = serve(certificate)
        opened.append(listening)
        settings.PUBLIC_URL = f"https://127.0.0.1:{port}"

    yield begin
    for listening in opened:
        listening.close()


@pytest.mark.parametrize(("days", "colour"), [(90, "green"), (10, "amber"), (2, "red")])
def test_a_certificate_is_known_by_its_end(served: Callable[..., None], days: int, colour: str) -> None:
    served(days=days)

    found = only(upkeep.certificate(now=NOW - timedelta(hours=1)))

    assert found == (colour, f"127.0.0.1: ends in {days} days")


def test_a_certificate_nobody_trusts_is_red(served: Callable[..., None]) -> None:
    served(days=90, trusted=False)

    assert only(upkeep.certificate(now=NOW))[0] == "red"


def test_a_certificate_that_cannot_be_seen_is_said(settings: Any) -> None:
    settings.PUBLIC_URL = "https://127.0.0.1:1"

    assert only(upkeep.certificate(now=NOW))[0] == "amber"


def test_what_is_served_without_a_certificate_has_none(settings: Any) -> None:
    settings.PUBLIC_URL = "http://127.0.0.1:8000"

    assert list(upkeep.certificate(now=NOW)) == []


@pytest.mark.django_db
def test_a_key_that_ends_within_a_week_is_named() -> None:
    asha = UserFactory(username="asha", role="administrator", every_account=True)
    for name, days in (("prometheus", 3), ("momentum", 30)):
        ends_at = NOW + timedelta(days=days)
        issue_api_key(user=asha, name=name, scopes=["ops:read"], accounts=None, expires_at=ends_at, now=NOW)

    colour, text = only(upkeep.keys(now=NOW))

    assert colour == "amber"
    assert "prometheus (asha" in text
    assert "momentum" not in text
    assert only(upkeep.keys(now=NOW - timedelta(days=10)))[0] == "green"


@pytest.mark.django_db
def test_days_ahead_without_a_partition_are_named() -> None:
    later = NOW + timedelta(days=400)

    before = only(upkeep.days_ahead(now=later))
    partitions.TICKS.ensure(days=[(later + timedelta(days=ahead)).date() for ahead in range(-1, 6)])
    option_store.MINUTES.ensure(days=[(later + timedelta(days=ahead)).date() for ahead in range(-1, 6)])

    assert before[0] == "amber"
    assert "market_data_tick_" in before[1]
    assert only(upkeep.days_ahead(now=later)) == ("green", "the days ahead are there")


def test_a_queue_that_grows_is_named() -> None:
    assert only(upkeep.queues(backlog={"orders": 51, "default": 3})) == ("amber", "tasks wait: 51 in orders")
    assert only(upkeep.queues(backlog={"orders": 50, "default": 3})) == ("green", "53 tasks wait")


@pytest.mark.django_db
def test_a_receiver_that_fails_is_named() -> None:
    endpoint = Endpoint.objects.create(
        owner=UserFactory(), url="https://desk.example/hook", kinds=["*"], secret="s", failures=4, created_at=NOW
    )
    message = Message.objects.create(kind="order.filled", body="{}", created_at=NOW)
    Delivery.objects.create(endpoint=endpoint, message=message, state="dead", created_at=NOW, finished_at=NOW)

    webhooks, channels = upkeep.messages(now=NOW)

    assert webhooks.colour == "amber"
    assert webhooks.text == "failing: desk.example (4 in a row); 1 given up since yesterday"
    assert channels.colour == "green"


@pytest.mark.django_db
def test_an_alert_that_was_not_said_is_red() -> None:
    alert = Alert.objects.create(
        key="k", code="bus_down", severity="critical", text="t", mend="m", opened_at=NOW, seen_at=NOW
    )
    channel = AlertChannel.objects.create(name="night desk", kind="email", target="desk@example.org")
    AlertDelivery.objects.create(
        alert=alert, channel=channel, occasion="opened", dropped_at=NOW, error="refused", attempts=6
    )

    webhooks, channels = upkeep.messages(now=NOW)

    assert webhooks.colour == "green"
    assert (channels.colour, channels.text) == ("red", "alerts were not said since yesterday: night desk")


@pytest.mark.django_db
def test_the_doctor_looks_at_all_of_it(broker: SandboxServer, clean_redis: Any) -> None:
    names = {diagnosis.name for diagnosis in examine(now=NOW)}

    assert {"API keys", "partitions", "queues", "webhooks", "alert channels"} <= names
