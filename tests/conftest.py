"""What every test may ask for."""

from collections.abc import Iterator

import hypothesis
import pytest

from tests.environment import follow_environment, prepare

prepare()

import django  # noqa: E402

django.setup()

from django.conf import settings as django_settings  # noqa: E402

follow_environment()

from django.db import connection  # noqa: E402
from pytest_django import DjangoDbBlocker  # noqa: E402
from redis import Redis  # noqa: E402
from redis.backoff import NoBackoff  # noqa: E402
from redis.retry import Retry  # noqa: E402

from tests import inventory  # noqa: E402
from tests.canaries import (  # noqa: E402, F401
    pytest_runtest_makereport,
    pytest_sessionfinish,
    pytest_terminal_summary,
    pytest_testnodedown,
    tap,
)
from tests.conformance import FAULTS, schema  # noqa: E402
from tests.panel_client import PanelClient  # noqa: E402
from tests.proving import numbers  # noqa: E402, F401
from tests.sandbox_server import sandbox, sandbox_server  # noqa: E402, F401
from tests.together import pytest_xdist_make_scheduler  # noqa: E402, F401

# How long an example takes says how crowded the machine is, not whether the code is right.
hypothesis.settings.register_profile("crowded", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("crowded")

tap()
inventory.tap()

FAST_HASHER = "django.contrib.auth.hashers.MD5PasswordHasher"
LET_TESTS_EMPTY_THE_AUDIT_TRAIL = """
DO $$ DECLARE guard record; BEGIN
    FOR guard IN SELECT tgrelid::regclass AS place FROM pg_trigger WHERE tgname = 'audit_refuse_truncate' LOOP
        EXECUTE format('ALTER TABLE %s DISABLE TRIGGER audit_refuse_truncate', guard.place);
    END LOOP;
END $$
"""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add --long."""
    parser.addoption("--long", action="store_true", help="run the campaigns too")


def pytest_configure(config: pytest.Config) -> None:
    """Let tests name the requirement they prove, and answers be counted."""
    config.addinivalue_line("markers", "proof(id): a part of what `manage.py prove` runs for this requirement")
    config.pluginmanager.register(inventory.Register(schema))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave campaigns out unless they are asked for."""
    if config.getoption("--long"):
        return
    for item in items:
        if "long" in item.keywords:
            item.add_marker(pytest.mark.skip(reason="a campaign: runs with --long"))


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> None:
    """Let Django empty the tables between tests, which the audit trail refuses elsewhere."""
    with django_db_blocker.unblock(), connection.cursor() as cursor:
        cursor.execute(LET_TESTS_EMPTY_THE_AUDIT_TRAIL)


@pytest.fixture(scope="session", autouse=True)
def fast_passwords() -> None:
    """Hash passwords quickly: their strength is not what a test is about."""
    django_settings.PASSWORD_HASHERS = [FAST_HASHER]


@pytest.fixture(scope="session", autouse=True)
def witness() -> None:
    """Let a witness hold every answer of the API against the schema."""
    django_settings.MIDDLEWARE = ["tests.conformance.Witness", *django_settings.MIDDLEWARE]


@pytest.fixture(autouse=True)
def answers_are_as_described() -> Iterator[None]:
    """Fail a test in which the API said what its schema does not."""
    FAULTS.clear()
    yield
    assert FAULTS == []


@pytest.fixture
def client() -> PanelClient:
    """Return a browser; who signs in with it has given a second factor."""
    return PanelClient()


@pytest.fixture
def clean_redis() -> Iterator[Redis]:
    """Return a client of an empty Valkey, emptied again afterwards."""
    client = Redis.from_url(
        django_settings.REDIS_URL, socket_timeout=5, socket_connect_timeout=5, retry=Retry(NoBackoff(), 0)
    )
    client.flushall()
    yield client
    client.flushall()
    client.close()
