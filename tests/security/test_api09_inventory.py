"""API9: there is one version, every route of it is described, and nothing else answers."""

import re

import pytest
from django.test import Client
from redis import Redis

from tests.architecture.sources import ROOT
from tests.conformance import schema
from tests.security.routes import deeds

OF_THE_SCHEMA = {"/api/v1/schema", "/api/v1/docs"}


def test_every_deed_is_described() -> None:
    described = {f"{method.upper()} {path}" for path, methods in schema()["paths"].items() for method in methods}

    assert {str(deed) for deed in deeds() if deed.route not in OF_THE_SCHEMA} == described


def test_every_route_belongs_to_a_version() -> None:
    assert [deed.route for deed in deeds() if not re.match(r"/api/v\d+/", deed.route)] == []


@pytest.mark.parametrize(
    "path", ["/api/", "/api/v0/orders", "/api/v2/orders", "/orders/", "/docs", "/redoc", "/openapi.json", "/graphql"]
)
def test_nothing_of_the_former_service_answers(db: None, clean_redis: Redis, path: str) -> None:
    assert Client().get(path).status_code == 404


def test_the_sockets_are_described_beside_it() -> None:
    assert (ROOT / "docs/api/asyncapi.yaml").exists()
