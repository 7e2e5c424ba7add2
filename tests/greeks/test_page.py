"""The option-chain page: who sees it, and that it holds nothing its policy forbids."""

import re
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.test import Client

from accounts.models import User
from greeks.pages import SOCKET_PATH
from tests.factories import UserFactory

PAGE = "/admin/chains/"
STATIC = Path(settings.BASE_DIR) / "greeks" / "static" / "greeks"
pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clean_redis")]


def browser(client: Client, **properties: Any) -> Client:
    client.force_login(UserFactory(is_staff=True, **properties))
    return client


def test_the_page_names_its_socket_and_what_it_may_show(client: Client) -> None:
    page = browser(client, role=User.Role.ADMINISTRATOR).get(PAGE).content.decode()

    assert f'data-socket="{SOCKET_PATH}"' in page
    assert 'data-positions="true"' in page


def test_nobody_known_is_sent_to_sign_in(client: Client) -> None:
    answer = client.get(PAGE)

    assert answer.status_code == 302
    assert answer.headers["Location"].startswith("/admin/login/")


def test_staff_without_the_right_see_nothing_of_it(client: Client) -> None:
    answer = browser(client, role=User.Role.NONE).get(PAGE)

    assert (answer.status_code, answer.content) == (403, b"the scope greeks:read is missing")


def test_the_page_allows_no_code_but_its_own_files(client: Client) -> None:
    policy = browser(client, role=User.Role.ADMINISTRATOR).get(PAGE).headers["Content-Security-Policy"]

    assert "script-src 'self';" in f"{policy};"
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy


def test_the_page_holds_nothing_that_its_policy_forbids(client: Client) -> None:
    page = browser(client, role=User.Role.ADMINISTRATOR).get(PAGE).content.decode()

    assert not re.search(r"<script(?![^>]*\ssrc=)", page)
    assert not re.search(r"\son[a-z]+=|\sstyle=|<style|javascript:|https?://", page)


@pytest.mark.parametrize("path", sorted(STATIC.glob("*.js")), ids=lambda path: path.name)
def test_the_scripts_write_no_markup_and_load_nothing_from_elsewhere(path: Path) -> None:
    text = path.read_text().replace("http://www.w3.org/2000/svg", "")

    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|new Function|https?://", text)


def test_the_page_cannot_be_posted_to(client: Client) -> None:
    assert browser(client, role=User.Role.ADMINISTRATOR).post(PAGE).status_code == 405
