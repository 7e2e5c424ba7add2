"""People in front of a browser: one with the keyboard alone, one with the pointer."""

import base64
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest
from django_otp.oath import hotp
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from tests.journeys.platform import ROOT, Platform, own_environment

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
NEEDS_CHROMIUM = pytest.mark.skipif(
    CHROMIUM is None, reason="no Chromium here: apt-get install chromium, then people are tried too"
)
PATIENCE_MILLISECONDS = 60_000
MOST_TABS = 400
HOLD_MILLISECONDS = 1_300
STEP_SECONDS = 30
CREATE = """
import sys
from accounts.models import User
name, password = sys.argv[-2:]
person = User(username=name, role="administrator", every_account=True, is_staff=True)
person.set_password(password)
person.save()
"""
IS_FOCUSED = "selector => document.activeElement !== null && document.activeElement.matches(selector)"


@contextmanager
def chromium(executable: str) -> Iterator[Browser]:
    """Yield the system's browser without a window."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=["--no-sandbox"])
        try:
            yield browser
        finally:
            browser.close()


@dataclass
class Person:
    """Somebody in a browser of their own, with the keyboard; `faults` is what the console said: nothing, it must be."""

    name: str
    password: str
    platform: Platform
    page: Page
    secret: str = ""
    step: int = 0
    faults: list[str] = field(default_factory=list)

    def hear(self, kind: str, text: str, url: str) -> None:
        """Keep what the console calls an error on a page of ours."""
        if kind == "error" and url.startswith(self.platform.url):
            self.faults.append(text)

    def open(self, path: str) -> None:
        """Type an address."""
        self.page.goto(f"{self.platform.url}{path}")

    def to(self, selector: str) -> None:
        """Press Tab until what is looked for has the focus."""
        self.page.wait_for_selector(selector, state="attached")
        for _ in range(MOST_TABS):
            if self.page.evaluate(IS_FOCUSED, selector):
                return
            self.page.keyboard.press("Tab")
        raise AssertionError(f"{selector} cannot be reached with Tab on {self.page.url}")

    def press(self, selector: str, key: str = "Enter") -> None:
        """Go to it with Tab and press a key."""
        self.to(selector)
        self.page.keyboard.press(key)

    def type(self, selector: str, text: str) -> None:
        """Go to a field with Tab and type."""
        self.to(selector)
        self.page.keyboard.type(text)

    def send(self, selector: str = "form button[type=submit]") -> None:
        """Press the form's button and wait for the page that follows."""
        self.to(selector)
        with self.page.expect_navigation():
            self.page.keyboard.press("Enter")

    def follow(self, selector: str) -> None:
        """Follow a link."""
        self.send(selector)

    def choose(self, selector: str, value: str) -> None:
        """Choose from a list with the arrow keys."""
        self.to(selector)
        for _ in range(20):
            if self.page.locator(selector).input_value() == value:
                return
            self.page.keyboard.press("ArrowDown")
        raise AssertionError(f"{selector} has no {value}")

    def hold(self, selector: str) -> None:
        """Hold Space on a button for longer than it takes to arm."""
        self.to(selector)
        self.page.keyboard.down("Space")
        self.page.wait_for_timeout(HOLD_MILLISECONDS)
        self.page.keyboard.up("Space")

    def sees(self, selector: str, text: str) -> None:
        """Wait until a text stands there."""
        expect(self.page.locator(selector).first).to_contain_text(text, timeout=PATIENCE_MILLISECONDS)

    def sign_in(self) -> None:
        """Sign in with name, password, and the code of an app, which is set up where there is none."""
        self.open("/admin/login/?next=/admin/desk/")
        self.type("input[name=username]", self.name)
        self.type("input[name=password]", self.password)
        self.send()
        shown = re.search(r"\b([A-Z2-7]{4}( [A-Z2-7]{4}){7})\b", self.page.inner_text("body"))
        if shown is not None:
            self.secret = shown.group(1).replace(" ", "")
        self.type("input[name=code]", self.code())
        self.send()
        if shown is not None:
            self.sees("body", "Recovery codes")
            self.open("/admin/desk/")

    def sign_out(self) -> None:
        """Press the Desk's button."""
        self.open("/admin/desk/")
        self.send(".foot form button")

    def code(self) -> str:
        """Return a code that was not used: the app's next one counts a moment early."""
        now = int(time.time()) // STEP_SECONDS
        if self.step > now:
            time_left = (self.step - now) * STEP_SECONDS
            self.page.wait_for_timeout(time_left * 1000)
        self.step = max(now, self.step + 1)
        return f"{hotp(base64.b32decode(self.secret), self.step, 6):06}"

    def do_on_the_desk(self, verb: str, target: str, *, reason: str, **choices: str) -> None:
        """Press a verb of the Desk, give the reason, prove who is there where that is asked, and wait for the word."""
        self.press(f'button[data-verb="{verb}"][data-target="{target}"]')
        self.confirm(reason=reason, **choices)

    def confirm(self, *, reason: str, **choices: str) -> None:
        """Fill the dialog that is open and wait until it is done."""
        self.page.wait_for_selector("#verb[open]")
        assert self.page.locator("#verb-touch p").count() > 0, "the dialog says nothing of what is touched"
        for name, value in choices.items():
            self.choose(f"#choice-{name}", value)
        self.type("#verb-reason", reason)
        self.press("#verb-confirm")
        dialog, proof = self.page.locator("#verb[open]"), self.page.locator("#verb-proof:not([hidden])")
        self.page.wait_for_function(
            "() => !document.querySelector('#verb').open || !document.querySelector('#verb-proof').hidden"
        )
        if proof.count():
            self.type("#verb-proof-text", self.password)
            self.press("#verb-confirm")
        expect(dialog).to_have_count(0, timeout=PATIENCE_MILLISECONDS)

    def do_in_the_admin(self, selector: str, *, words: str = "", **fields: str) -> None:
        """Follow an action of an admin page, prove who is there where that is asked, fill the form and send it."""
        self.follow(selector)
        if "/confirm/" in self.page.url:
            self.type("input[name=password]", self.password)
            self.send()
        for name, value in fields.items():
            self.type(f"[name={name}]", value)
        self.send("form:has([name=reason]) button[type=submit]")
        self.sees("body", words)


@dataclass
class Pointing(Person):
    """Somebody who points, and types only words."""

    def to(self, selector: str) -> None:
        """Click what is looked for, wherever it can be seen."""
        self.page.locator(selector).first.click()

    def press(self, selector: str, key: str = "Enter") -> None:
        """Click it, whatever key it answers to."""
        del key
        self.to(selector)

    def type(self, selector: str, text: str) -> None:
        """Click a field and type; a box to tick is ticked by the click."""
        self.to(selector)
        if text.strip():
            self.page.keyboard.type(text)

    def send(self, selector: str = "form button[type=submit]") -> None:
        """Click the form's button and wait for the page that follows."""
        with self.page.expect_navigation():
            self.to(selector)

    def choose(self, selector: str, value: str) -> None:
        """Choose from a list, which a browser without a window draws nowhere."""
        self.page.select_option(selector, value)

    def hold(self, selector: str) -> None:
        """Hold the button of the mouse for longer than it takes to arm."""
        self.page.hover(selector)
        self.page.mouse.down()
        self.page.wait_for_timeout(HOLD_MILLISECONDS)
        self.page.mouse.up()


def person_at(platform: Platform, browser: Browser, *, name: str, password: str, hand: type[Person] = Person) -> Person:
    """Give somebody a browser."""
    context: BrowserContext = browser.new_context(viewport={"width": 1280, "height": 900}, reduced_motion="reduce")
    context.set_default_timeout(PATIENCE_MILLISECONDS)
    person = hand(name=name, password=password, platform=platform, page=context.new_page())
    person.page.on("console", lambda said: person.hear(said.type, said.text, said.location["url"]))
    person.page.on("pageerror", lambda error: person.faults.append(str(error)))
    return person


def newcomer(platform: Platform, browser: Browser, *, name: str, hand: type[Person] = Person) -> Person:
    """Return another administrator, who has not signed in yet."""
    password = f"{name}-at-the-desk-4711"
    subprocess.run(
        [
            sys.executable,
            "manage.py",
            "shell",
            "--no-imports",
            "-c",
            CREATE.replace("sys.argv[-2:]", repr([name, password])),
        ],
        cwd=ROOT,
        env={**own_environment(), "TICKER_DATA_DIR": str(platform.folder)},
        check=True,
        timeout=60,
    )
    return person_at(platform, browser, name=name, password=password, hand=hand)
