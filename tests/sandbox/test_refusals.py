"""Refusals carry the broker's status, error type and words, in its envelope."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import requests
from kiteconnect import KiteConnect

from tests.sandbox.orders import below
from tests.sandbox_server import SandboxServer


@dataclass(frozen=True, slots=True)
class Wire:
    """Plain HTTP with a session, to see what really comes back."""

    server: SandboxServer
    kite: KiteConnect

    def ask(self, method: str, path: str, **options: Any) -> requests.Response:
        headers = options.pop("headers", self.server.headers(0, self.kite.access_token))
        return requests.request(method, self.server.rest_root + path, headers=headers, timeout=20, **options)

    def order(self, **changes: Any) -> requests.Response:
        form = {
            "exchange": "NSE", "tradingsymbol": "INFY", "transaction_type": "BUY", "order_type": "LIMIT",
            "product": "CNC", "quantity": 1, "price": below(self.server, "NSE:INFY"), **changes,
        }  # fmt: skip
        return self.ask("POST", "/orders/regular", data=form)

    def sale_of(self, symbol: str) -> requests.Response:
        """Sell a share that nobody holds nor any other test buys."""
        return self.order(transaction_type="SELL", tradingsymbol=symbol, price=below(self.server, f"NSE:{symbol}", 1))

    def fault(self, kind: str, **options: Any) -> requests.Response:
        self.server.fault(kind, count=1, **options)
        return self.ask("GET", "/user/profile")

    def with_setting(self, method: str, path: str, **settings: Any) -> requests.Response:
        self.server.settings(**settings)
        return self.ask(method, path)


@pytest.fixture
def wire(exchange: SandboxServer, kite: KiteConnect) -> Wire:
    return Wire(exchange, kite)


@pytest.mark.parametrize(
    ("provoke", "status", "error_type", "words"),
    [
        (
            lambda wire: wire.ask("GET", "/orders", headers={"Authorization": "token a:b"}),
            403, "TokenException", "Incorrect `api_key` or `access_token`.",
        ),
        (lambda wire: wire.fault("http_429"), 429, "NetworkException", "Too many requests"),
        (lambda wire: wire.fault("ip_not_registered"), 403, "PermissionException", "No IPs configured for this app."),
        (
            lambda wire: wire.with_setting("GET", "/quote?i=NSE:INFY", market_data=False),
            403, "PermissionException", "That API call is not allowed for the authenticated user",
        ),
        (
            lambda wire: wire.fault("http_5xx", status=503, body="json", message="Busy"),
            503, "NetworkException", "Busy",
        ),
        (
            lambda wire: wire.order(order_type="MARKET"),
            400, "InputException", "Market orders without market protection are not allowed via API.",
        ),
        (
            lambda wire: wire.order(quantity=500_000),
            400, "MarginException", "Insufficient funds. Required margin is ",
        ),
        (
            lambda wire: wire.sale_of("BRITANNIA"),
            400, "HoldingException", "Insufficient holding quantity. Required quantity is 1 ",
        ),
        (lambda wire: wire.order(quantity="many"), 400, "InputException", "Invalid `quantity`."),
        (
            lambda wire: wire.ask("GET", "/quote", params=[("i", f"NSE:X{n}") for n in range(501)]),
            400, "InputException", "Too many tokens requested. Max permitted is 500.",
        ),
        (
            lambda wire: wire.ask("GET", "/quote/ltp", params=[("i", f"NSE:X{n}") for n in range(1_001)]),
            400, "InputException", "Too many tokens requested. Max permitted is 1000.",
        ),
        (
            lambda wire: wire.ask("GET", "/instruments/historical/408065/day?from=2018-01-01&to=2026-11-01"),
            400, "InputException", "interval exceeds max limit: 2000 days",
        ),
        (lambda wire: wire.ask("GET", "/nothing"), 404, "GeneralException", "Route not found"),
        (lambda wire: wire.ask("PATCH", "/orders"), 405, "GeneralException", "Method not allowed"),
    ],
)  # fmt: skip
def test_a_refusal_has_its_status_type_and_words(
    wire: Wire, provoke: Callable[[Wire], requests.Response], status: int, error_type: str, words: str
) -> None:
    answer = provoke(wire)

    body = answer.json()
    assert (answer.status_code, body["error_type"], body["status"], body["data"]) == (status, error_type, "error", None)
    assert body["message"].startswith(words)
    assert answer.headers["Content-Type"] == "application/json"


@pytest.mark.parametrize(
    ("path", "content_type"),
    [("/orders", "application/json"), ("/instruments/NSE", "text/csv"), ("/nothing", "application/json")],
)
def test_every_answer_has_exactly_its_content_type_gzipped_or_not(wire: Wire, path: str, content_type: str) -> None:
    for encoding in ("identity", "gzip"):
        headers = {**wire.server.headers(0, wire.kite.access_token), "Accept-Encoding": encoding}

        assert wire.ask("GET", path, headers=headers).headers["Content-Type"] == content_type


def test_the_most_keys_that_are_allowed_are_answered(wire: Wire) -> None:
    rows = [row for row in wire.kite.instruments("NFO") if row["instrument_type"] != "FUT"][:1_000]
    keys = [("i", f"NFO:{row['tradingsymbol']}") for row in rows]

    assert len(wire.ask("GET", "/quote/ltp", params=keys).json()["data"]) == 1_000
    assert len(wire.ask("GET", "/quote", params=keys[:500]).json()["data"]) == 500
