"""The candle page."""

import re

import pytest
from django.test import Client

from accounts.models import User
from tests.factories import UserFactory

PAGE = "/admin/candles/"
pytestmark = pytest.mark.django_db


def test_the_page_allows_no_code_but_its_own_files(desk: Client) -> None:
    answer = desk.get(PAGE)

    assert "unsafe" not in answer.headers["Content-Security-Policy"]
    assert not re.search(r"<script(?![^>]*\ssrc=)|\son[a-z]+=|\sstyle=", answer.content.decode())


def test_the_page_names_who_made_the_charts(desk: Client) -> None:
    assert "https://www.tradingview.com/" in desk.get(PAGE).content.decode()


def test_the_instrument_of_the_address_is_written_safely(desk: Client) -> None:
    page = desk.get(PAGE, {"instrument": '"><b>'}).content.decode()

    assert '"><b>' not in page


def test_a_stranger_is_sent_to_the_sign_in(client: Client) -> None:
    assert client.get(PAGE).status_code == 302


def test_staff_without_the_scope_see_nothing(client: Client) -> None:
    client.force_login(UserFactory(is_staff=True, role=User.Role.NONE))

    assert client.get(PAGE).status_code == 403
