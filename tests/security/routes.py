"""Every method of every API route, found in the URL configuration, so that no new route escapes the tests."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.urls import URLPattern, URLResolver, get_resolver
from django.urls.converters import IntConverter, UUIDConverter
from rest_framework.views import APIView

SOME_ID = UUID("00000000-0000-4000-8000-000000000001")


@dataclass(frozen=True, slots=True)
class Deed:
    """One method of one route, and what its view declares about it."""

    method: str
    route: str
    view: Any
    converters: tuple[tuple[str, Any], ...]

    def __str__(self) -> str:
        return f"{self.method} {self.route}"

    @property
    def names_an_account(self) -> bool:
        """Whether the path itself says which account it is about."""
        return any(name == "label" for name, _ in self.converters)

    def path(self, *, label: str) -> str:
        """Return a path that fits the route, about the account of the label where it names one."""
        path = self.route
        for name, converter in self.converters:
            value = label if name == "label" else _value(converter)
            path = path.replace(f"{{{name}}}", value)
        return path


def deeds() -> list[Deed]:
    """Return what can be done through the API, by route and method."""
    found = [
        Deed(method, route, view, converters)
        for route, view, converters in _views(get_resolver().url_patterns, "/")
        for method in ("GET", "POST", "PUT", "PATCH", "DELETE")
        if hasattr(view, method.lower())
    ]
    return sorted(found, key=str)


def _views(patterns: list[Any], prefix: str) -> Iterator[tuple[str, Any, tuple[tuple[str, Any], ...]]]:
    for pattern in patterns:
        shape = prefix + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            yield from _views(pattern.url_patterns, shape)
        elif isinstance(pattern, URLPattern) and shape.startswith("/api/"):
            view = getattr(pattern.callback, "view_class", None)
            if view is not None and issubclass(view, APIView):
                yield plain(shape), view, tuple(pattern.pattern.converters.items())


def plain(shape: str) -> str:
    """Return a route of Django as the schema writes it."""
    parts = []
    for part in shape.split("/"):
        inner = part[1:-1].partition(":")[2] or part[1:-1]
        parts.append(f"{{{inner}}}" if part.startswith("<") else part)
    return "/".join(parts)


def _value(converter: Any) -> str:
    if isinstance(converter, UUIDConverter):
        return str(SOME_ID)
    return "1" if isinstance(converter, IntConverter) else "X"
