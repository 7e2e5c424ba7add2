"""What the schema says beyond the serializers: the refusals of every route, and an example of every body."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from drf_spectacular.openapi import AutoSchema
from rest_framework.permissions import AllowAny

from accounts.permissions import scope_of

PROBLEM: Final = "Problem"
KEPT: Final = json.loads(Path(__file__).with_name("examples.json").read_text())
DOCUMENT: Final = {
    "type": "object",
    "description": "A refusal (RFC 9457). The code is stable; the detail is for people.",
    "properties": {
        "type": {"type": "string", "pattern": "^urn:ticker:problem:[a-z_]+$"},
        "code": {"type": "string"},
        "status": {"type": "integer", "minimum": 400, "maximum": 599},
        "detail": {"type": "string"},
        "outcome": {
            "enum": ["not_sent", "rejected", "unknown", "accepted"],
            "description": "What became of the request at the broker; `unknown`: do not send another, read the order.",
        },
        "retryable": {"type": "boolean", "description": "Whether the same request may be sent again."},
        "field": {"type": "string"},
        "errors": {"type": "object", "additionalProperties": True},
    },
    "required": ["type", "code", "status", "detail", "outcome"],
}
TEXTS: Final[Mapping[str, str]] = {
    "400": "A field is wrong; `errors` names it.",
    "401": "Nobody known is asking.",
    "403": "The caller is known and lacks the scope.",
    "404": "There is no such thing, or none that the caller may see.",
    "413": "The body is longer than 256 KiB.",
    "415": "The body is not JSON.",
    "422": "The Idempotency-Key was used for another request, or the content cannot be done.",
    "429": "Too many requests of this key; Retry-After says when to come back.",
    "503": "The database, the broker or the login is missing; `retryable` says whether to ask again.",
    "default": "Any other refusal, in the same form.",
}
# These name what is missing; the others read the same everywhere.
OWN: Final = ("403", "404")
IDEMPOTENCY: Final = {
    "in": "header",
    "name": "Idempotency-Key",
    "schema": {"type": "string", "minLength": 1, "maxLength": 128},
    "description": "Your own id of this write: sent again within a day, the first answer comes back.",
}


class Schema(AutoSchema):
    """Adds to each operation the scope it needs, its refusals and, where its answer is kept, the Idempotency-Key."""

    def get_operation(self, *arguments: Any, **named: Any) -> dict[str, Any] | None:
        """Return the operation with what every view has in common."""
        operation: dict[str, Any] | None = super().get_operation(*arguments, **named)
        if operation is None:
            return None
        scope = scope_of(self.view, self.method)
        if scope is not None:
            operation["description"] = f"{operation.get('description', '')}\n\nScope: `{scope}`.".strip()
        if getattr(getattr(self.view, self.method.lower()), "keeps_its_answer", False):
            operation.setdefault("parameters", []).append(IDEMPOTENCY)
        for status in self._refusals(operation):
            operation["responses"].setdefault(status, _refusal(status) if status in OWN else _shared(status))
        return operation

    def _refusals(self, operation: Mapping[str, Any]) -> Iterator[str]:
        named = [parameter["name"] for parameter in operation.get("parameters", [])]
        if named or "requestBody" in operation:
            yield "400"
        if AllowAny not in self.view.permission_classes:
            yield from ("401", "403")
        if "{" in self.path or "account" in named or "requestBody" in operation:
            yield "404"
        if "requestBody" in operation:
            yield from ("413", "415")
        if "Idempotency-Key" in named:
            yield "422"
        if self.view.throttle_classes:
            yield "429"
        yield from ("503", "default")


def add_examples(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """Give every body of the schema an example, for drf-spectacular's list of hooks; return the schema.

    What is answered comes from `examples.json`: as a whole where the schema leaves the content open, else put together
    from its values of fields and components.
    """
    schemas = result["components"]["schemas"]
    schemas[PROBLEM] = DOCUMENT
    result["components"]["responses"] = {
        f"{PROBLEM}{status.title()}": _refusal(status, example=KEPT["problems"][status])
        for status in TEXTS
        if status not in OWN
    }
    writer = _Writer(schemas)
    for path, methods in result["paths"].items():
        for method, operation in methods.items():
            name = f"{method.upper()} {path}"
            for body in operation.get("requestBody", {}).get("content", {}).values():
                writer.add(body, kept=KEPT["requests"].get(name), asked=True)
            for status, answer in operation["responses"].items():
                kept = KEPT["answers"].get(f"{name} {status}") or _problem_of(operation, path, status)
                for body in answer.get("content", {}).values():
                    writer.add(body, kept=kept, asked=False)
    return result


def _refusal(status: str, *, example: Mapping[str, Any] | None = None) -> dict[str, Any]:
    body: dict[str, Any] = {"schema": {"$ref": f"#/components/schemas/{PROBLEM}"}}
    if example is not None:
        body["example"] = _typed(example)
    return {"description": TEXTS[status], "content": {"application/problem+json": body}}


def _shared(status: str) -> dict[str, str]:
    return {"$ref": f"#/components/responses/{PROBLEM}{status.title()}"}


def _typed(problem: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": f"urn:ticker:problem:{problem['code']}", **problem}


def _problem_of(operation: Mapping[str, Any], path: str, status: str) -> Any:
    if "application/problem+json" not in operation["responses"][status].get("content", {}):
        return None
    found = {**KEPT["problems"][status]}
    if status == "404":
        found |= next((words for part, words in KEPT["unknown"].items() if part in path), {})
    if status == "403":
        scope = operation["description"].rpartition("Scope: `")[2].partition("`")[0]
        found["detail"] = f"the scope {scope} is missing"
    return _typed(found)


_NOTHING: Final = object()


class _Unnamed(Exception):
    """No value is known for a field."""


class _Writer:
    """Writes examples for the schemas of one document."""

    def __init__(self, schemas: Mapping[str, Any]) -> None:
        self._schemas = schemas

    def add(self, body: dict[str, Any], *, kept: Any, asked: bool) -> None:
        """Put an example beside a body's schema; where a field has no value there is none, which a test finds."""
        if "examples" in body or "example" in body:
            return
        try:
            body["example"] = self._of(body["schema"], asked=asked) if kept is None else kept
        except _Unnamed:
            return

    def _of(self, schema: Mapping[str, Any], *, asked: bool, field: str = "") -> Any:
        if "$ref" in schema:
            name = schema["$ref"].rpartition("/")[2]
            return self._whole(self._schemas[name], KEPT["components"].get(name, {}), asked=asked, field=field)
        return self._whole(schema, {}, asked=asked, field=field)

    def _whole(self, schema: Mapping[str, Any], own: Mapping[str, Any], *, asked: bool, field: str) -> Any:
        for union in ("oneOf", "allOf", "anyOf"):
            if union in schema:
                return self._of(schema[union][0], asked=asked, field=field)
        if schema.get("type") == "array":
            return [self._of(schema["items"], asked=asked, field=field)]
        if "properties" in schema:
            hidden = "readOnly" if asked else "writeOnly"
            needed = schema.get("required", []) if asked else schema["properties"]
            return {
                name: own[name] if name in own else self._of(part, asked=asked, field=name)
                for name, part in schema["properties"].items()
                if name in own or (name in needed and not part.get(hidden))
            }
        return _value(schema, field)


def _value(schema: Mapping[str, Any], field: str) -> Any:
    known = KEPT["fields"].get(field, _NOTHING)
    if "enum" in schema:
        return known if known in schema["enum"] else schema["enum"][0]
    if known is _NOTHING:
        raise _Unnamed(field)
    return known
