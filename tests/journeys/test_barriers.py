"""What axe-core and the width of a screen say of every page, in both themes."""

from collections.abc import Iterator
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser

from tests.journeys.hands import NEEDS_CHROMIUM, Person, newcomer
from tests.journeys.platform import ROOT, Platform

pytestmark = NEEDS_CHROMIUM
# Looked at by people, and kept out of git.
PICTURES = ROOT / "pictures"
# On pages we draw ourselves every rule counts; on the admin library's pages those of WCAG 2.2 A and AA.
WCAG = {"runOnly": {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]}}
OWN = [("/admin/desk/", "#matrix .name"), ("/admin/chains/", "#chain tr"), ("/admin/candles/", "#rows tr")]
PAGES = [("/admin/", "#main"), ("/admin/orders/order/", "#main"), ("/admin/accounts/brokeraccount/", "#main")]
MORE = [
    (f"/admin/{name}/", "#main")
    for name in (
        "accounts/approval",
        "accounts/auditentry",
        "accounts/credential",
        "accounts/tradinghalt",
        "accounts/user",
        "django_celery_beat/periodictask",
        "market_data/instrument",
        "market_data/marketday/add",
        "ops/alert",
        "ops/alertchannel/add",
        "orders/risklimit/add",
        "orders/trade",
        "portfolio/reading",
        "webhooks/message",
    )
]


@pytest.fixture(scope="module")
def reader(running: Platform, browser: Browser) -> Person:
    """Return somebody who is signed in."""
    person = newcomer(running, browser, name="usha")
    person.sign_in()
    return person


@pytest.fixture
def admin(reader: Person) -> Iterator[Person]:
    """Return the same person, for one page, which says nothing wrong in the console."""
    reader.faults.clear()
    yield reader
    assert reader.faults == []


def show_in(person: Person, theme: str) -> None:
    """Let every page that follows be drawn in a theme."""
    person.page.context.add_init_script(f"localStorage.setItem('_x_adminTheme', JSON.stringify('{theme}'))")
    person.page.emulate_media(color_scheme="dark" if theme == "dark" else "light")


def judge(person: Person, path: str, landmark: str, *, theme: str, options: dict[str, Any] | None) -> list[str]:
    """Return what axe-core finds on the page in a theme."""
    show_in(person, theme)
    person.open(path)
    person.page.wait_for_selector(landmark)
    found = Axe().run(person.page, options=options).response["violations"]
    return [f"{each['id']}: {each['nodes'][0]['html'][:160]}" for each in found]


@pytest.mark.parametrize("theme", ["dark", pytest.param("light", marks=pytest.mark.long)])
@pytest.mark.parametrize(("path", "landmark"), OWN, ids=lambda value: value.strip("/"))
def test_a_machine_finds_no_barrier_on_our_own_pages(admin: Person, path: str, landmark: str, theme: str) -> None:
    assert judge(admin, path, landmark, theme=theme, options=None) == []


@pytest.mark.long
@pytest.mark.parametrize("theme", ["dark", "light"])
@pytest.mark.parametrize(("path", "landmark"), PAGES, ids=lambda value: value.strip("/"))
def test_a_machine_finds_no_barrier_in_the_admin(admin: Person, path: str, landmark: str, theme: str) -> None:
    assert judge(admin, path, landmark, theme=theme, options=WCAG) == []


@pytest.mark.long
@pytest.mark.parametrize("theme", ["dark", "light"])
@pytest.mark.parametrize(("path", "landmark"), MORE, ids=lambda value: value.strip("/"))
def test_a_machine_finds_no_barrier_on_more_pages(admin: Person, path: str, landmark: str, theme: str) -> None:
    assert judge(admin, path, landmark, theme=theme, options=WCAG) == []


@pytest.mark.long
@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize(("path", "landmark"), OWN, ids=lambda value: value.strip("/"))
def test_our_pages_never_scroll_sideways(admin: Person, path: str, landmark: str, width: int) -> None:
    admin.page.set_viewport_size({"width": width, "height": 900})
    admin.open(path)
    admin.page.wait_for_selector(landmark)

    assert admin.page.evaluate("document.documentElement.scrollWidth") <= width
    admin.page.set_viewport_size({"width": 1280, "height": 900})


@pytest.mark.long
@pytest.mark.parametrize("theme", ["dark", "light"])
def test_a_machine_finds_no_barrier_where_there_is_no_page(reader: Person, theme: str) -> None:
    assert judge(reader, "/nowhere", "h1", theme=theme, options=None) == []


@pytest.mark.long
@pytest.mark.parametrize("theme", ["dark", "light"])
@pytest.mark.parametrize("width", [1280, 390])
def test_every_page_is_kept_as_a_picture(admin: Person, theme: str, width: int) -> None:
    show_in(admin, theme)
    admin.page.set_viewport_size({"width": width, "height": 900})
    PICTURES.mkdir(exist_ok=True)

    for path, landmark in [*OWN, *PAGES, *MORE]:
        admin.open(path)
        admin.page.wait_for_selector(landmark)
        name = path.strip("/").replace("/", "-")
        admin.page.screenshot(path=PICTURES / f"{name}-{theme}-{width}.png")

    admin.page.set_viewport_size({"width": 1280, "height": 900})
    assert len(list(PICTURES.glob(f"*-{theme}-{width}.png"))) == len({path for path, _ in [*OWN, *PAGES, *MORE]})
