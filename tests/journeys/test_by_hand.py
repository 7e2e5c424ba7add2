"""What people do at the panel, in a browser: with the keyboard alone, and with the pointer."""

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
from playwright.sync_api import Browser

from tests.journeys.hands import NEEDS_CHROMIUM, Person, Pointing, newcomer
from tests.journeys.platform import Platform, eventually

pytestmark = NEEDS_CHROMIUM
# An account whose socket failed rests for a minute.
SECONDS = 120.0
ACCOUNT = "/admin/accounts/brokeraccount/"
ORDER = {
    "account": "sbx001",
    "exchange": "NSE",
    "transaction_type": "BUY",
    "quantity": 1,
    "product": "CNC",
    "order_type": "LIMIT",
    "tradingsymbol": "ITC",
}


@pytest.fixture(scope="module", params=[Person, pytest.param(Pointing, marks=pytest.mark.long)])
def hand(request: pytest.FixtureRequest) -> type[Person]:
    """Return what people use: the keyboard, or the pointer."""
    found: type[Person] = request.param
    return found


@pytest.fixture(scope="module")
def colleague(running: Platform, browser: Browser, hand: type[Person]) -> Person:
    """Return a second person, signed in."""
    person = newcomer(running, browser, name=f"meera-{hand.__name__.lower()}", hand=hand)
    person.sign_in()
    return person


@pytest.fixture(scope="module")
def operator(running: Platform, browser: Browser, hand: type[Person]) -> Person:
    """Return the person who runs the floor, signed in in a browser of their own."""
    person = newcomer(running, browser, name=f"asha-{hand.__name__.lower()}", hand=hand)
    person.sign_in()
    return person


@pytest.fixture
def admin(platform: Platform, operator: Person) -> Iterator[Person]:
    """Return the same person, for one journey; nothing on the way may have broken a page."""
    operator.faults.clear()
    yield operator
    assert operator.faults == []


def place(platform: Platform) -> str:
    """Place an order that rests, and return its id."""
    quote = platform.api("GET", "/quotes?i=NSE:ITC").json()
    last = quote["results"]["NSE:ITC"]["last_price"]
    price = round(round(last * 0.97 / 0.05) * 0.05, 2)
    placed = platform.api("POST", "/orders", {**ORDER, "price": price}, **{"Idempotency-Key": str(uuid4())})
    assert placed.status_code == 202, placed.text
    return str(placed.json()["id"])


def state_of(platform: Platform, order_id: str) -> str:
    return str(platform.api("GET", f"/orders/{order_id}").json()["state"])


def row(platform: Platform, label: str) -> dict[str, Any]:
    found: dict[str, Any] = platform.desk()["accounts"][label]
    return found


def approve(colleague: Person) -> None:
    """Approve the latest request."""
    colleague.open("/admin/accounts/approval/?o=-1")
    colleague.follow("#result_list tbody tr:first-of-type a")
    colleague.do_in_the_admin('a[href$="/approve/"]', words="is approved", reason="seen")


def test_somebody_signs_in_with_an_app_and_again_with_its_next_code(
    platform: Platform, browser: Browser, hand: type[Person]
) -> None:
    person = newcomer(platform, browser, name=f"ravi-{hand.__name__.lower()}", hand=hand)

    person.sign_in()
    person.sees("#trading", "ACTIVE")
    person.sign_out()
    person.sign_in()

    person.sees("#trading", "ACTIVE")
    assert person.faults == []


def test_three_accounts_are_logged_in_before_the_open(admin: Person, platform: Platform) -> None:
    labels = sorted(platform.desk()["accounts"])
    for label in labels:
        answer = platform.post_form(f"{ACCOUNT}{row(platform, label)['id']}/log-out/", reason="the day is over")
        assert answer.status_code == 200
    admin.open("/admin/desk/")
    admin.sees("#tiles", "log in sbx001")

    for known in platform.sandbox_users():
        label = known["user_id"].lower()
        admin.follow(f'a[data-focus="{label} login"]')
        admin.type("input[name=password]", known["password"])
        admin.send("form button")
        admin.sees(".message", label)

    eventually(
        lambda: all(row(platform, label)["token"]["live"] for label in labels), within=SECONDS, what="three logins"
    )
    assert labels == ["sbx001", "sbx002", "sbx003"]


def test_a_credential_is_rotated(admin: Person, platform: Platform) -> None:
    before = row(platform, "sbx003")["token"]["version"]
    known = next(user for user in platform.sandbox_users() if user["user_id"] == "SBX003")
    admin.open("/admin/desk/")

    admin.do_in_the_admin(
        'a[data-focus="sbx003 rotate"]',
        words="has a new credential",
        api_key=known["api_key"],
        api_secret=known["api_secret"],
        reason="the quarter is over",
    )

    assert row(platform, "sbx003")["token"]["version"] > before


def test_an_account_is_failed_over_while_ticks_flow(admin: Person, platform: Platform) -> None:
    wanted = eventually(platform.settled, within=SECONDS, what="a full stream")["feed"]["wanted"]
    admin.open("/admin/desk/")

    admin.do_on_the_desk("fail_over", "sbx002", reason="a drill", lasts="5")

    def moved() -> bool:
        desk = platform.desk()
        tokens = {label: each.get("feed", {}).get("tokens", 0) for label, each in desk["accounts"].items()}
        return tokens["sbx002"] == 0 and sum(tokens.values()) >= wanted and desk["feed"]["ticks_per_second"] > 0

    eventually(moved, within=SECONDS, what="the fail-over")
    admin.do_on_the_desk("restore", "sbx002", reason="the drill is over")
    eventually(lambda: row(platform, "sbx002")["state"] == "active", within=SECONDS, what="the way back")


def test_an_order_is_found_and_cancelled(admin: Person, platform: Platform) -> None:
    order_id = place(platform)
    eventually(lambda: state_of(platform, order_id) == "OPEN", within=SECONDS, what="an open order")
    admin.open("/admin/orders/order/")

    admin.press(f'input.action-select[value="{order_id}"]', "Space")
    admin.choose("select[name=action]", "cancel_orders")
    admin.send("button[name=index]")
    admin.type("[name=reason]", "changed my mind")
    admin.send("form:has([name=reason]) button[type=submit]")

    eventually(lambda: state_of(platform, order_id) == "CANCELLED", within=SECONDS, what="the cancellation")


def test_trading_is_killed_by_one_and_released_by_two(admin: Person, platform: Platform, colleague: Person) -> None:
    admin.open("/admin/desk/")
    admin.sees("#trading", "ACTIVE")

    admin.hold("#kill")
    admin.confirm(reason="runaway strategy")
    admin.sees("#trading", "HALTED")
    admin.sees("#alarm", "Trading is HALTED")
    refused = platform.api("POST", "/orders", {**ORDER, "price": 100.0}, **{"Idempotency-Key": str(uuid4())}).json()
    admin.hold("#kill")
    admin.confirm(reason="mended", step="ask")
    approve(colleague)
    admin.hold("#kill")
    admin.confirm(reason="mended", step="release")

    admin.sees("#trading", "ACTIVE")
    assert refused["code"] == "trading_halted"


def test_an_order_in_doubt_is_resolved_by_two(admin: Person, platform: Platform, colleague: Person) -> None:
    platform.exchange("POST", "/faults", {"kind": "http_5xx", "route": "order.place", "count": 1, "user": "SBX001"})
    order_id = place(platform)
    eventually(lambda: state_of(platform, order_id) == "UNKNOWN", within=SECONDS, what="an order in doubt")
    admin.open("/admin/desk/")
    admin.sees("#attention", "in doubt")
    page = f"/admin/orders/order/{order_id}/change/"

    admin.open(page)
    admin.do_in_the_admin('a[href$="/resolve/"]', ask=" ", reason="the broker never had it", words="was asked")
    approve(colleague)
    admin.open(page)
    admin.do_in_the_admin('a[href$="/resolve/"]', reason="the broker never had it", words="is resolved")

    assert state_of(platform, order_id) == "NOT_PLACED"
