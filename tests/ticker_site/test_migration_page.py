"""The migration page knows each of the 69 routes of the former service, and every route it promises exists."""

import re
from typing import Any

from drf_spectacular.generators import SchemaGenerator

from tests.architecture.sources import ROOT

ROW = re.compile(r"^\|(?P<original>[^|]*)\|(?P<here>[^|]*)\|")
DEED = re.compile(r"\b((?:GET|POST|PUT|PATCH|DELETE)(?:, (?:GET|POST|PUT|PATCH|DELETE))*) (/[a-z/{}_-]+)")
OUTSIDE = {"/healthz", "/readyz", "/metrics", "/docs", "/schema"}


METHODS = {"GET", "POST", "PUT", "PATCH", "DELETE"}
WORD = re.compile(r"\b(?:GET|POST|PUT|PATCH|DELETE)\b|/[\w/{}-]*")
# As they were counted in the running service.
FORMER = """
POST /orders/place
PUT /orders/modify
DELETE /orders/cancel
POST /orders/exit
GET /orders/
GET /orders/{order_id}/history
GET /orders/{order_id}/trades
GET /orders/trades/all
POST /orders/margins
POST /orders/margins/basket
GET /orders/tasks/{task_id}
GET /orders/tasks
GET /portfolio/holdings
GET /portfolio/positions
PUT /portfolio/positions/convert
GET /account/s
GET /account/profile
GET /account/margins
POST /gtt/
GET /gtt/
GET /gtt/{id}
PUT /gtt/
DELETE /gtt/
POST /gtt/trigger-range
POST /mf/orders
DELETE /mf/orders
GET /mf/orders
POST /mf/sips
PUT /mf/sips
DELETE /mf/sips
GET /mf/sips
GET /mf/holdings
GET /mf/instruments
POST /advanced/webhooks
GET /advanced/webhooks
DELETE /advanced/webhooks/{id}
POST /advanced/batch-orders
GET /advanced/ws/stats
POST /advanced/mock-data/enable
POST /advanced/mock-data/disable
GET /advanced/mock-data/status
GET /advanced/backpressure/status
GET /advanced/backpressure/metrics
GET /advanced/backpressure/circuit-breaker
GET /advanced/backpressure/publisher-stats
POST /advanced/backpressure/reset-circuit-breaker
GET /advanced/rate-limit/stats
GET /advanced/rate-limit/config
GET /advanced/websocket-pool/stats
GET /advanced/websocket-pool/stats/{account_id}
POST /trading-accounts
GET /trading-accounts
GET /trading-accounts/{id}
PUT /trading-accounts/{id}
DELETE /trading-accounts/{id}
POST /trading-accounts/reload
GET /trading-accounts/stats/summary
POST /sync/accounts/{id}
POST /sync/all
GET /sync/status
GET /subscriptions
POST /subscriptions
DELETE /subscriptions/{token}
GET /history
GET /health
GET /metrics
GET /auth/test
POST /admin/instrument-refresh
GET /ws/stats
""".strip().splitlines()
# It had them of its framework, and no client used them.
OF_THE_FRAMEWORK = {"GET /docs", "GET /redoc", "GET /openapi.json", "GET /openapi"}


def mapped() -> set[str]:
    """Return the routes that the page's first columns name."""
    found: set[str] = set()
    for line in (ROOT / "docs/migration.md").read_text().splitlines():
        row = ROW.match(line)
        if row is None or "promised" in row["original"]:
            continue
        methods: list[str] = []
        fresh = True
        for word in WORD.findall(row["original"]):
            if word in METHODS:
                methods = [*methods, word] if fresh else [word]
                fresh = True
            else:
                found |= {f"{method} {word}" for method in methods}
                fresh = False
    return found


def test_each_of_the_former_routes_is_mapped() -> None:
    assert len(FORMER) == 69
    assert mapped() - OF_THE_FRAMEWORK == set(FORMER)


def promised() -> set[tuple[str, str]]:
    found = set()
    for line in (ROOT / "docs/migration.md").read_text().splitlines():
        row = ROW.match(line)
        for methods, path in DEED.findall(row["here"] if row else ""):
            found |= {(method, re.sub(r"{\w+}", "{}", path)) for method in methods.split(", ")}
    return found


def test_every_new_route_is_there() -> None:
    schema: Any = SchemaGenerator().get_schema(request=None, public=True)
    there = {
        (method.upper(), re.sub(r"{\w+}", "{}", path.removeprefix("/api/v1")))
        for path, methods in schema["paths"].items()
        for method in methods
    }

    assert {deed for deed in promised() if deed[1] not in OUTSIDE} - there == set()
