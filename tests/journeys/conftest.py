"""One running platform for all journeys of a worker."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from tests.journeys.hands import CHROMIUM, chromium
from tests.journeys.platform import Platform, running_platform


@pytest.fixture(scope="package")
def running() -> Iterator[Platform]:
    """Return the platform, started once."""
    yield from running_platform()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Return the browser of a module: with one open, no test may run coroutines of its own."""
    assert CHROMIUM is not None
    with chromium(CHROMIUM) as found:
        yield found


@pytest.fixture
def platform(running: Platform) -> Iterator[Platform]:
    """Return the platform with a healthy exchange; faults and halts of a journey end with it."""
    yield running
    running.exchange("DELETE", "/faults")
    for halt in running.desk()["trading"]["halts"]:
        asked = running.post_form(
            "/admin/desk/verbs/resume", target=str(halt["id"]), reason="the journey is over", step="ask"
        )
        assert asked.status_code == 200, asked.text
        running.approve_everything()
        released = running.post_form("/admin/desk/verbs/resume", target=str(halt["id"]), reason="the journey is over")
        assert released.status_code == 200, released.text
