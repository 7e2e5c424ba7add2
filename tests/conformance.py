"""Every answer of the API in every test is held against the schema: a witness between the client and the site."""

import json
from collections.abc import Callable
from functools import cache
from typing import Any

from django.http import HttpRequest, HttpResponse
from drf_spectacular.generators import SchemaGenerator
from jsonschema import Draft202012Validator
from referencing import Registry
from referencing.jsonschema import DRAFT202012

from tests.inventory import INVENTORY
from tests.security.routes import plain

# They answer in their own formats.
APART = ("/api/v1/schema", "/api/v1/docs")
FAULTS: list[str] = []


class Witness:
    """Middleware that writes down what the schema does not allow."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Answer as without it."""
        with INVENTORY.watch() as watched:
            answer = self._get_response(request)
        if request.resolver_match is not None and request.method in {"GET", "POST", "PUT", "PATCH", "DELETE"}:
            path = plain(f"/{request.resolver_match.route}")
            if path.startswith("/api/") and path not in APART:
                FAULTS.extend(faults(path, request.method, answer))
                INVENTORY.note(f"{request.method} {path}", request, answer, watched)
        return answer


def faults(path: str, method: str, answer: HttpResponse) -> list[str]:
    """Return how an answer differs from what the schema says of it; nothing where it does not."""
    operation = schema()["paths"].get(path, {}).get(method.lower())
    if operation is None or answer.status_code in {304, 405}:
        return []
    name = f"{method} {path} {answer.status_code}"
    said = operation["responses"].get(str(answer.status_code)) or operation["responses"]["default"]
    said = schema()["components"]["responses"][said["$ref"].rpartition("/")[2]] if "$ref" in said else said
    content = said.get("content", {})
    if answer.status_code < 400 and str(answer.status_code) not in operation["responses"]:
        return [f"{name}: the status is not described"]
    kind = answer.headers.get("Content-Type", "").partition(";")[0]
    if not content or not answer.content:
        return [] if bool(content) == bool(answer.content) else [f"{name}: a body where the schema has none, or none"]
    if kind not in content:
        return [f"{name}: {kind} is not described"]
    errors = _validator(path, method, str(answer.status_code), kind).iter_errors(json.loads(answer.content))
    return [f"{name} {list(error.absolute_path)}: {error.message[:200]}" for error in errors]


@cache
def schema() -> Any:
    """Return the schema as clients get it."""
    return SchemaGenerator().get_schema(request=None, public=True)


@cache
def _registry() -> Registry[Any]:
    return Registry().with_resource("urn:api", DRAFT202012.create_resource(schema()))


@cache
def _validator(path: str, method: str, status: str, kind: str) -> Draft202012Validator:
    responses = schema()["paths"][path][method.lower()]["responses"]
    found = responses.get(status) or responses["default"]
    pointer = (
        found["$ref"].removeprefix("#/")
        if "$ref" in found
        else "/".join(["paths", _escaped(path), method.lower(), "responses", status])
    )
    return Draft202012Validator({"$ref": f"urn:api#/{pointer}/content/{_escaped(kind)}/schema"}, registry=_registry())


def _escaped(part: str) -> str:
    return part.replace("~", "~0").replace("/", "~1").replace("{", "%7B").replace("}", "%7D")
