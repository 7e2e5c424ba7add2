"""Examines a whole installation, part by part, and says how to mend what it finds."""

import http.client
import shutil
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from urllib.parse import urlsplit

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor

from accounts.errors import PlatformError
from accounts.models import Credential
from accounts.vault import installed
from market_data.bus import sync_bus
from market_data.errors import FeedDown
from ops import status, upkeep
from ops.diagnosis import AMBER, GREEN, RED, Diagnosis
from ops.pulse import listen
from ops.state import State

OLDEST_POSTGRES = 150000
SKEW_AMBER, SKEW_RED = 2.0, 30.0
DISK_AMBER, DISK_RED = 5 * 2**30, 2**30
SHORTEST_SECRET = 40
BROKER_SECONDS = 5.0


def examine(*, now: datetime) -> tuple[Diagnosis, ...]:
    """Return what was found, in the order of what depends on what; a dead database ends the examination early."""
    basis = [*_settings(), *_data_folder(), *_database(now)]
    if any(diagnosis.name == "database" and diagnosis.colour == RED for diagnosis in basis):
        return (*basis, *_redis())
    found = [*basis, *_migrations()]
    if found[-1].colour == RED:
        return (*found, *_redis())
    return (*found, *_redis(), *_key_ring(), *_broker(now), *_upkeep(now), *_floor(status.snapshot(now=now)))


def _upkeep(now: datetime) -> Iterator[Diagnosis]:
    yield from upkeep.certificate(now=now)
    yield from upkeep.keys(now=now)
    yield from upkeep.days_ahead(now=now)
    yield from upkeep.queues(backlog=listen().backlog)
    yield from upkeep.messages(now=now)


def _settings() -> Iterator[Diagnosis]:
    if settings.DEBUG and settings.PRODUCTION:
        yield Diagnosis("settings", RED, "DEBUG is on in production", "Set DEBUG=0: error pages show settings.")
    elif len(settings.SECRET_KEY) < SHORTEST_SECRET or len(set(settings.SECRET_KEY)) < 5:  # noqa: PLR2004 (Django's own)
        yield Diagnosis("settings", RED, "SECRET_KEY is too weak", "Set SECRET_KEY to 40 random characters or more.")
    elif settings.PRODUCTION and not settings.HTTPS:
        yield Diagnosis("settings", AMBER, "PUBLIC_URL is not https", "Put TLS in front and set PUBLIC_URL=https://….")
    else:
        yield Diagnosis("settings", GREEN, f"served as {settings.PUBLIC_URL}")


def _data_folder() -> Iterator[Diagnosis]:
    folder = Path(settings.DATA_DIR)
    if not folder.is_dir():
        yield Diagnosis("data folder", RED, f"{folder} does not exist", "Create it, or set TICKER_DATA_DIR.")
        return
    free = shutil.disk_usage(folder).free
    colour = RED if free < DISK_RED else AMBER if free < DISK_AMBER else GREEN
    mend = "" if colour == GREEN else "Free space, or shorten the ticks' retention: a full disk stops the database."
    yield Diagnosis("disk", colour, f"{free / 2**30:.1f} GiB free under {folder}", mend)


def _database(now: datetime) -> Iterator[Diagnosis]:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT current_setting('server_version_num')::int, clock_timestamp()")
            version, at = cursor.fetchone()
    except (DatabaseError, ImproperlyConfigured) as error:
        reason = " ".join(str(error).split())
        yield Diagnosis("database", RED, f"does not answer: {reason}", "Start PostgreSQL, or correct DATABASE_URL.")
        return
    if version < OLDEST_POSTGRES:
        yield Diagnosis("database", RED, f"is PostgreSQL {version // 10000}", "PostgreSQL 15 or later is needed.")
        return
    yield Diagnosis("database", GREEN, f"PostgreSQL {version // 10000} answers")
    yield _skew("database clock", (at - now).total_seconds())


def _migrations() -> Iterator[Diagnosis]:
    executor = MigrationExecutor(connection)
    missing = executor.migration_plan(executor.loader.graph.leaf_nodes())
    if missing:
        yield Diagnosis("migrations", RED, f"{len(missing)} are not applied", "Run manage.py migrate.")
    else:
        yield Diagnosis("migrations", GREEN, "all applied")


def _redis() -> Iterator[Diagnosis]:
    began = time.monotonic()
    try:
        sync_bus().ping()
    except FeedDown as error:
        yield Diagnosis("redis", RED, str(error), "Start Valkey or Redis, or correct REDIS_URL.")
        return
    yield Diagnosis("redis", GREEN, f"answers in {(time.monotonic() - began) * 1000:.1f} ms")


def _key_ring() -> Iterator[Diagnosis]:
    try:
        key_id = installed.provider().writing_key_id()
    except PlatformError as error:
        yield Diagnosis("key ring", RED, str(error), "Run manage.py init_keyring, or restore the ring from its backup.")
        return
    sealed = list(Credential.objects.filter(current=True).select_related("account"))
    broken = [row.account.label for row in sealed if not _opens(row)]
    if broken:
        mend = "Restore the key ring that sealed them, or rotate these credentials."
        yield Diagnosis("key ring", RED, f"does not open the secrets of {', '.join(broken)}", mend)
    else:
        yield Diagnosis("key ring", GREEN, f"{key_id} seals; {len(sealed)} credentials open")


def _opens(row: Credential) -> bool:
    try:
        return row.api_secret is not None
    except PlatformError:
        return False


def _broker(now: datetime) -> Iterator[Diagnosis]:
    host = urlsplit(settings.KITE_REST_ROOT).hostname or ""
    began = time.monotonic()
    try:
        date = _date_of_broker()
    except (OSError, http.client.HTTPException) as error:
        mend = "Check the network, the firewall and KITE_REST_ROOT."
        yield Diagnosis("broker", RED, f"{host} cannot be reached: {error}", mend)
        return
    took = time.monotonic() - began
    yield Diagnosis("broker", GREEN, f"{host} answers in {took * 1000:.0f} ms")
    if date is not None:
        # The header has whole seconds: half a second is the best guess of the rest.
        yield _skew("broker clock", (date - now).total_seconds() + 0.5 - took / 2)


def _date_of_broker() -> datetime | None:
    parts = urlsplit(settings.KITE_REST_ROOT)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    link = kind(parts.hostname or "", parts.port, timeout=BROKER_SECONDS)
    try:
        link.request("GET", "/")
        header = link.getresponse().getheader("Date")
    finally:
        link.close()
    return parsedate_to_datetime(header).astimezone(UTC) if header else None


def _skew(name: str, seconds: float) -> Diagnosis:
    size = abs(seconds)
    colour = RED if size > SKEW_RED else AMBER if size > SKEW_AMBER else GREEN
    mend = "" if colour == GREEN else "Synchronise the clocks (chrony or timesyncd): ages and deadlines are wrong."
    return Diagnosis(name, colour, f"{'ahead' if seconds > 0 else 'behind'} by {size:.1f} s", mend)


def _floor(state: State) -> Iterator[Diagnosis]:
    for finding in state.findings:
        yield Diagnosis(finding.code.replace("_", " "), finding.severity, finding.text, finding.mend)
    live = [row.label for row in state.accounts.values() if row.token.live]
    yield Diagnosis("accounts", GREEN if live else AMBER, f"{len(live)} of {len(state.accounts)} logged in")
    alive = [process.name for process in state.processes if process.tone == "good"]
    colour = GREEN if len(alive) == len(state.processes) else AMBER
    heard = f"{len(alive)} of {len(state.processes)} heard: {', '.join(alive) or 'none'}"
    yield Diagnosis("processes", colour, heard)
    feed = state.feed
    text = f"{feed.ticks_per_second:.0f} ticks a second, {feed.live} of {feed.wanted} instruments live"
    yield Diagnosis("feed", GREEN, text)
