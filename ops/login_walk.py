"""Walks a login page over HTTP as an operator's browser would; only a page on this machine is ever walked."""

import http.client
from collections.abc import Mapping
from dataclasses import dataclass, field
from html.parser import HTMLParser
from http.cookies import SimpleCookie
from urllib.parse import parse_qs, urlencode, urljoin, urlsplit

from ops.errors import LoginFailed

LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
MOST_STEPS = 8
TIMEOUT_SECONDS = 10.0
REDIRECTS = frozenset({301, 302, 303, 307, 308})


@dataclass(slots=True)
class Form:
    """The first form of a page."""

    action: str = ""
    fields: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Page:
    """One answer."""

    url: str
    status: int
    location: str
    text: str


class Forms(HTMLParser):
    """Collects the forms of a page with the fields they would send."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[Form] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note a form, or a field of the form that is open."""
        values = {name: value or "" for name, value in attrs}
        if tag == "form":
            self.found.append(Form(action=values.get("action", "")))
        elif tag in {"input", "select"} and values.get("name") and self.found:
            self.found[-1].fields[values["name"]] = values.get("value", "")


class Browser:
    """Keeps cookies and follows one step at a time."""

    def __init__(self) -> None:
        self._cookies: SimpleCookie = SimpleCookie()

    def open(self, url: str, form: Mapping[str, str] | None = None) -> Page:
        """GET the page, or POST the form to it; raises LoginFailed for anything off this machine."""
        parts = urlsplit(url)
        if parts.hostname not in LOOPBACK or parts.scheme != "http":
            raise LoginFailed(f"{parts.hostname} is not on this machine: a person logs in there, never a program")
        link = http.client.HTTPConnection(parts.hostname, parts.port or 80, timeout=TIMEOUT_SECONDS)
        try:
            body = None if form is None else urlencode(form)
            target = f"{parts.path or '/'}?{parts.query}" if parts.query else parts.path or "/"
            link.request("GET" if form is None else "POST", target, body=body, headers=self._headers(form is not None))
            answer = link.getresponse()
            text = answer.read().decode("utf-8", "replace")
            for cookie in answer.msg.get_all("Set-Cookie") or ():
                self._cookies.load(cookie)
            return Page(url=url, status=answer.status, location=answer.getheader("Location", ""), text=text)
        except (OSError, http.client.HTTPException) as error:
            raise LoginFailed(f"the login page at {parts.netloc} did not answer: {error}") from error
        finally:
            link.close()

    def _headers(self, with_form: bool) -> dict[str, str]:  # noqa: FBT001 (private)
        headers = {"Accept": "text/html"}
        if with_form:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        if self._cookies:
            headers["Cookie"] = "; ".join(f"{name}={morsel.value}" for name, morsel in self._cookies.items())
        return headers


def walk(*, url: str, answers: Mapping[str, str]) -> str:
    """Return the request_token the page ends with, filling each form's fields from `answers`."""
    browser = Browser()
    page = browser.open(url)
    for _ in range(MOST_STEPS):
        if page.status in REDIRECTS:
            step = urljoin(page.url, page.location)
            token = parse_qs(urlsplit(step).query).get("request_token")
            if token:
                return token[0]
            page = browser.open(step)
            continue
        page = browser.open(*_filled(page, answers))
    raise LoginFailed(f"the login page asked for more than {MOST_STEPS} steps")


def _filled(page: Page, answers: Mapping[str, str]) -> tuple[str, dict[str, str]]:
    forms = Forms()
    forms.feed(page.text)
    if page.status != http.HTTPStatus.OK or not forms.found:
        raise LoginFailed(f"the login page answered {page.status} without a form: {' '.join(page.text.split())[:200]}")
    form = forms.found[0]
    filled = {name: answers.get(name, value) for name, value in form.fields.items()}
    return urljoin(page.url, form.action or page.url), filled
