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
from jsonschema import Draft202012Validator, FormatChecker
from redis import Redis
from rest_framework.permissions import AllowAny
from rest_framework.test import APIClient

from accounts.models import User
from accounts.queries import Principal
from tests.architecture.sources import ROOT
from tests.factories import principal
from tests.security.routes import Deed, deeds

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


def bodies(schema: Any) -> Iterator[tuple[str, Any]]:
    """Yield every body of the API, asked or answered."""
    for path, methods in schema["paths"].items():
        for method, operation in methods.items():
            for body in operation.get("requestBody", {}).get("content", {}).values():
                yield f"{method} {path} request", body
            for status, answer in operation["responses"].items():
                if "$ref" in answer:
                    answer = schema["components"]["responses"][answer["$ref"].rpartition("/")[2]]  # noqa: PLW2901
                for body in answer.get("content", {}).values():
                    yield f"{method} {path} {status}", body


def examples(body: Any) -> list[Any]:
    named = [example["value"] for example in body.get("examples", {}).values()]
    return [*named, body["example"]] if "example" in body else named


def test_every_body_has_an_example(schema: Any) -> None:
    assert [name for name, body in bodies(schema) if not examples(body)] == []


def test_every_example_is_what_its_schema_says(schema: Any) -> None:
    faults = [
        f"{name} {list(error.absolute_path)}: {error.message[:100]}"
        for name, body in bodies(schema)
        for example in examples(body)
        for error in Draft202012Validator(
            {**body["schema"], "components": schema["components"]}, format_checker=FormatChecker()
        ).iter_errors(example)
    ]

    assert faults == []


def test_it_is_openapi_3_1(schema: Any) -> None:
    assert schema["openapi"].startswith("3.1.")


@pytest.mark.parametrize("deed", [deed for deed in deeds() if deed.route not in OF_THE_SCHEMA], ids=str)
def test_every_operation_says_how_it_refuses(schema: Any, deed: Deed) -> None:
    said = set(schema["paths"][deed.route][deed.method.lower()]["responses"])

    assert {"503", "default"} <= said
    assert {"401", "403", "429"} <= said or AllowAny in deed.view.permission_classes


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
