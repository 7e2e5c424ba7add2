"""Nothing is forgotten: every route's manners, every fault in words and in a test."""

from pathlib import Path

import pytest
import requests

from sandbox.app import ROUTES
from sandbox.faults import KINDS
from tests.sandbox_server import SandboxServer

HERE = Path(__file__).parent
README = HERE.parents[1] / "sandbox" / "README.md"


def sources() -> str:
    return "".join(path.read_text() for path in HERE.glob("test_*.py") if path.name != Path(__file__).name)


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_every_fault_is_described_and_tested(kind: str) -> None:
    assert f"`{kind}`" in README.read_text()
    assert f'"{kind}"' in sources()


def test_every_route_answers_an_unknown_method_with_what_it_allows(exchange: SandboxServer) -> None:
    for path in sorted({route.path for route in ROUTES if "{" not in route.path}):
        answer = requests.options(exchange.rest_root + path, timeout=5)
        allowed = {route.method for route in ROUTES if route.path == path}

        assert (path, answer.status_code, answer.json()["status"]) == (path, 405, "error")
        assert allowed <= set(answer.headers["Allow"].split(","))


def test_every_read_without_parameters_can_be_asked_by_head(exchange: SandboxServer) -> None:
    for path in sorted({route.path for route in ROUTES if route.method == "GET" and "{" not in route.path}):
        answer = requests.head(exchange.rest_root + path, timeout=5)

        assert answer.status_code in {200, 403}, path
        assert answer.content == b""
