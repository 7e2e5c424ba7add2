"""Migrations go forward and back, on a database of their own."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import pytest
from django.apps import apps
from django.conf import settings
from django.db import connection
from django.db.migrations.loader import MigrationLoader
from psycopg import sql

from ops.backup import Server, server_of
from tests.architecture.sources import APPS, ROOT

OWN = [config.label for config in apps.get_app_configs() if config.name in APPS and config.name != "ticker_site"]


@pytest.fixture
def empty_database() -> Iterator[str]:
    """Return the address of a new database of the test's server."""
    server: Server = server_of(settings.DATABASES["default"])
    name = f"migrations_{uuid4().hex[:8]}"
    with closing(server.link("postgres")) as link:
        link.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        yield urlunsplit(urlsplit(os.environ["DATABASE_URL"])._replace(path=f"/{name}"))
        link.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def migrate(address: str, *arguments: str) -> None:
    done = subprocess.run(
        [sys.executable, "manage.py", "migrate", "--no-input", "-v", "0", *arguments],
        cwd=ROOT,
        env={**os.environ, "DATABASE_URL": address},
        capture_output=True,
        text=True,
        check=False,
        timeout=180,
    )
    assert done.returncode == 0, done.stderr[-2000:]


@pytest.mark.django_db
def test_every_step_can_be_taken_back() -> None:
    loader = MigrationLoader(connection)
    fixed = [
        f"{label}.{name}: {operation.describe()}"
        for (label, name), migration in loader.disk_migrations.items()
        if label in OWN
        for operation in migration.operations
        if not operation.reversible
    ]

    assert fixed == []


def test_the_way_back_and_forward_again_is_open(empty_database: str) -> None:
    migrate(empty_database)

    migrate(empty_database, "accounts", "zero")
    migrate(empty_database)

    name = urlsplit(empty_database).path[1:]
    with closing(server_of(settings.DATABASES["default"]).link(name)) as link:
        tables = {row[0] for row in link.execute("SELECT tablename FROM pg_tables").fetchall()}
    assert {"orders_order", "market_data_tick", "accounts_auditentry"} <= tables
