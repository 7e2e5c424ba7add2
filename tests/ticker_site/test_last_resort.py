"""Answers where no view could give one."""

from collections.abc import Callable

import pytest
from django.http import HttpResponse
from django.test import Client, RequestFactory

from ticker_site import last_resort


def test_a_program_at_no_route_gets_a_problem_document(client: Client) -> None:
    answer = client.get("/api/v1/nowhere")

    assert answer.status_code == 404
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert (answer.json()["code"], answer.json()["outcome"]) == ("not_found", "not_sent")


def test_a_person_at_no_route_gets_a_page_with_a_way_out(client: Client) -> None:
    answer = client.get("/nowhere")

    assert answer.status_code == 404
    assert 'href="/admin/desk/"' in answer.content.decode()


@pytest.mark.parametrize(("path", "told"), [("/api/v1/orders", '"outcome": "unknown"'), ("/admin/desk/", "<h1>")])
def test_a_broken_request_says_that_nothing_is_proven(path: str, told: str) -> None:
    answer = last_resort.server_error(RequestFactory().post(path))

    assert answer.status_code == 500
    assert told in answer.content.decode()


@pytest.mark.parametrize(("handler", "status"), [(last_resort.bad_request, 400), (last_resort.permission_denied, 403)])
def test_a_refusal_says_what_comes_next(handler: Callable[..., HttpResponse], status: int) -> None:
    answer = handler(RequestFactory().get("/admin/"), exception=ValueError())

    assert answer.status_code == status
    assert last_resort.FAULTS[status].next_step in answer.content.decode()
