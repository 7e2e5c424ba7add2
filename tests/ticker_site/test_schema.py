"""The schema says what the API is, and all of it."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from django.urls import URLPattern, URLResolver, get_resolver
from drf_spectacular.drainage import GENERATOR_STATS
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.renderers import OpenApiYamlRenderer
from redis import Redis
from rest_framework.test import APIClient

from accounts.models import User
from accounts.queries import Principal
from tests.architecture.sources import ROOT
from tests.factories import principal

OF_THE_SCHEMA = {"/api/v1/schema", "/api/v1/docs"}


@pytest.fixture(scope="module")
def schema() -> Any:
    GENERATOR_STATS.reset()
    return SchemaGenerator().get_schema(request=None, public=True)


def api_routes(patterns: list[Any], prefix: str = "/") -> Iterator[str]:
    for pattern in patterns:
        route = prefix + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            yield from api_routes(pattern.url_patterns, route)
        elif isinstance(pattern, URLPattern) and route.startswith("/api/"):
            yield re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", route)


def test_every_route_is_described(schema: Any) -> None:
    assert set(api_routes(get_resolver().url_patterns)) - OF_THE_SCHEMA == set(schema["paths"])


def test_nothing_about_the_schema_is_doubtful(schema: Any) -> None:
    assert list(GENERATOR_STATS._warn_cache) == []
    assert list(GENERATOR_STATS._error_cache) == []


def test_every_operation_says_what_it_does(schema: Any) -> None:
    silent = [
        f"{method} {path}"
        for path, methods in schema["paths"].items()
        for method, operation in methods.items()
        if method != "parameters" and not operation.get("description")
    ]

    assert silent == []


def client_of(caller: Principal) -> APIClient:
    client = APIClient()
    client.force_authenticate(user=User.objects.get(pk=caller.user_id), token=caller)  # type: ignore[arg-type]
    return client


@pytest.mark.parametrize("path", sorted(OF_THE_SCHEMA))
def test_it_is_not_shown_to_strangers(db: None, clean_redis: Redis, path: str) -> None:
    assert APIClient().get(path).status_code == 401


@pytest.mark.parametrize("path", sorted(OF_THE_SCHEMA))
def test_it_is_shown_to_everybody_known(db: None, clean_redis: Redis, path: str) -> None:
    answer = client_of(principal(role=User.Role.SECURITY_OFFICER)).get(path)

    assert answer.status_code == 200


def test_the_pages_load_nothing_from_elsewhere(db: None, clean_redis: Redis) -> None:
    page = client_of(principal()).get("/api/v1/docs").content.decode()

    assert re.findall(r"(?:src|href)=\"(https?:)?//", page) == []


def test_a_change_of_the_api_is_a_change_of_its_file() -> None:
    """A reviewer sees what clients will see: manage.py spectacular --file docs/api/openapi.yaml writes it anew."""
    generated = OpenApiYamlRenderer().render(
        SchemaGenerator().get_schema(request=None, public=True), renderer_context={}
    )

    assert yaml.safe_load(generated) == yaml.safe_load((ROOT / "docs/api/openapi.yaml").read_text())
