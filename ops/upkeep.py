"""What wears out or piles up while everything seems well: keys, certificates, partitions, queues, messages."""

import socket
import ssl
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings

from accounts.models import ApiKey
from greeks import option_store
from market_data import partitions
from ops.diagnosis import AMBER, GREEN, RED, Diagnosis
from ops.models import AlertDelivery
from ops.pulse import BACKLOG
from webhooks.models import Delivery, Endpoint

KEY_SHORT = timedelta(days=7)
CERTIFICATE_AMBER, CERTIFICATE_RED = timedelta(days=21), timedelta(days=3)
CERTIFICATE_SECONDS = 5.0
LATELY = timedelta(days=1)
NAMED = 5


def keys(*, now: datetime) -> Iterator[Diagnosis]:
    """Look at the API keys that programs hold."""
    held = ApiKey.objects.filter(revoked_at=None, expires_at__gt=now)
    ending = held.filter(expires_at__lt=now + KEY_SHORT).order_by("expires_at")
    names = [f"{key.name} ({key.user}, {key.expires_at:%d %b})" for key in ending.select_related("user")]
    if names:
        mend = "Issue a successor with manage.py create_api_key and give it to the program before the old one ends."
        yield Diagnosis("API keys", AMBER, f"end within a week: {_some(names)}", mend)
    else:
        yield Diagnosis("API keys", GREEN, f"{held.count()} in force, none ends within a week")


def certificate(*, now: datetime) -> Iterator[Diagnosis]:
    """Look at the certificate the platform is served with; nothing where it is served without."""
    parts = urlsplit(settings.PUBLIC_URL)
    if parts.scheme != "https":
        return
    host = parts.hostname or ""
    try:
        ends_at = _ends_at(host, parts.port or 443)
    except ssl.SSLCertVerificationError as error:
        mend = "Renew the certificate of the proxy, with its whole chain."
        yield Diagnosis("certificate", RED, f"{host}: {error.verify_message}", mend)
        return
    except OSError as error:
        mend = "Start the proxy, or correct PUBLIC_URL; from inside a cluster the name may not resolve."
        yield Diagnosis("certificate", AMBER, f"{host} cannot be looked at: {error}", mend)
        return
    left = ends_at - now
    colour = RED if left < CERTIFICATE_RED else AMBER if left < CERTIFICATE_AMBER else GREEN
    mend = "" if colour == GREEN else "Renew it, and look why that did not happen by itself."
    yield Diagnosis("certificate", colour, f"{host}: ends in {left.days} days", mend)


def days_ahead(*, now: datetime) -> Iterator[Diagnosis]:
    """Look for the partitions of the days to come."""
    missing = [*partitions.TICKS.plan(now=now)[0], *option_store.MINUTES.plan(now=now)[0]]
    if missing:
        mend = "Run manage.py maintain_partitions and maintain_greeks_history; beat does it every night."
        yield Diagnosis("partitions", AMBER, f"{len(missing)} of the days ahead are missing: {_some(missing)}", mend)
    else:
        yield Diagnosis("partitions", GREEN, "the days ahead are there")


def queues(*, backlog: Mapping[str, int]) -> Iterator[Diagnosis]:
    """Look at how many tasks wait in each queue."""
    long = [f"{count} in {name}" for name, count in sorted(backlog.items()) if count > BACKLOG[name]]
    if long:
        mend = "Start another worker of the queue, or look in its log for the task that holds it up."
        yield Diagnosis("queues", AMBER, f"tasks wait: {', '.join(long)}", mend)
    else:
        yield Diagnosis("queues", GREEN, f"{sum(backlog.values())} tasks wait")


def messages(*, now: datetime) -> Iterator[Diagnosis]:
    """Look for webhooks and alerts that do not arrive."""
    failing = Endpoint.objects.filter(state=Endpoint.State.ENABLED, failures__gt=0).order_by("-failures")
    dead = Delivery.objects.filter(state=Delivery.State.DEAD, finished_at__gt=now - LATELY).count()
    if failing or dead:
        hosts = _some([f"{urlsplit(row.url).hostname} ({row.failures} in a row)" for row in failing]) or "none now"
        mend = "Ask who runs the receiver, then replay what was given up: Webhooks, Deliveries in the panel."
        yield Diagnosis("webhooks", AMBER, f"failing: {hosts}; {dead} given up since yesterday", mend)
    else:
        yield Diagnosis("webhooks", GREEN, "every receiver answers")
    unsaid = AlertDelivery.objects.filter(dropped_at__gt=now - LATELY).exclude(error="").select_related("channel")
    names = sorted({delivery.channel.name for delivery in unsaid})
    if names:
        mend = "Alert deliveries in the panel have what came back; say something there to try the channel."
        yield Diagnosis("alert channels", RED, f"alerts were not said since yesterday: {_some(names)}", mend)
    else:
        yield Diagnosis("alert channels", GREEN, "every alert was said")


def _ends_at(host: str, port: int) -> datetime:
    context = ssl.create_default_context()
    with (
        socket.create_connection((host, port), timeout=CERTIFICATE_SECONDS) as link,
        context.wrap_socket(link, server_hostname=host) as secured,
    ):
        seen: Any = secured.getpeercert()
    return datetime.fromtimestamp(ssl.cert_time_to_seconds(seen["notAfter"]), UTC)


def _some(names: list[str]) -> str:
    more = len(names) - NAMED
    return ", ".join(names[:NAMED]) + (f" and {more} more" if more > 0 else "")
