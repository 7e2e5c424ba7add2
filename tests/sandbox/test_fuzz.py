"""Mutated requests and socket messages: no crash, no success that should be a refusal."""

import contextlib
import json
import random
from collections.abc import Iterator
from typing import Any

import pytest
import requests
from websockets.sync.client import ClientConnection
from websockets.sync.client import connect as open_socket

from tests.sandbox.conftest import connect
from tests.sandbox_server import SandboxServer

GOOD_ORDER = {
    "exchange": "NSE", "tradingsymbol": "INFY", "transaction_type": "BUY", "order_type": "LIMIT", "product": "CNC",
    "quantity": "1", "price": "1400", "validity": "DAY",
}  # fmt: skip
ODD = (
    "", "0", "-1", "1e309", "nan", "inf", "-0.0", "1_000", "١٢", "null", "[]", "{}", "🙂", "A" * 5_000, "' OR 1=1",
    "\x00", "999999999999999999999", "0x10", "1.5", " 1", "true", "%00", "../..",
)  # fmt: skip
PATHS = (
    "/orders/regular", "/orders/amo", "/orders/iceberg", "/orders/co", "/orders/auction", "/orders/nothing",
    "/orders/regular/1", "/gtt/triggers", "/gtt/triggers/1", "/alerts", "/alerts/x", "/portfolio/positions",
    "/portfolio/holdings/authorise", "/session/token", "/mf/orders", "/mf/sips", "/margins/orders",
    "/margins/basket", "/charges/orders", "/session/refresh_token", "/connect/login",
)  # fmt: skip
READS = (
    "/quote", "/quote/ltp", "/quote/ohlc", "/orders/x", "/orders/x/trades", "/instruments/x",
    "/instruments/historical/408065/minute", "/instruments/historical/x/y", "/instruments/trigger_range/buy",
    "/user/margins/x", "/gtt/triggers/x", "/mf/sips/x", "/alerts/x/history",
)  # fmt: skip
FIELDS = (
    *GOOD_ORDER, "trigger_price", "market_protection", "iceberg_legs", "iceberg_quantity", "validity_ttl", "tag",
    "disclosed_quantity", "type", "condition", "orders", "name", "operator", "isin", "amount", "instalments",
    "frequency", "checksum", "request_token", "api_key", "lhs_exchange", "basket", "position_type", "old_product",
    "autoslice", "auction_number", "variety", "user_id", "password",
)  # fmt: skip
SMALL, LARGE = 800, 100_000


@pytest.fixture(scope="module")
def target() -> Iterator[SandboxServer]:
    with SandboxServer("--no-limits") as server:
        yield server
        assert "Traceback" not in server.errors()


def mutate(dice: random.Random) -> dict[str, str]:
    """Spoil a good order: drop, swap and add fields."""
    form = dict(GOOD_ORDER)
    for _ in range(dice.randint(1, 4)):
        if dice.random() < 0.3 and form:
            form.pop(dice.choice(sorted(form)))
        else:
            form[dice.choice(FIELDS)] = dice.choice(ODD)
    return form


def one_request(dice: random.Random, session: requests.Session, root: str) -> requests.Response:
    if dice.random() < 0.3:
        query = {dice.choice(("i", "from", "to", "oi", "uuid", "mode")): dice.choice(ODD) for _ in range(3)}
        return session.get(root + dice.choice(READS), params=query, timeout=10)
    method, path = dice.choice(("POST", "PUT", "DELETE")), dice.choice(PATHS)
    if dice.random() < 0.2:
        return session.request(method, root + path, data=junk(dice), headers={"Content-Type": "application/json"})
    return session.request(method, root + path, data=mutate(dice), timeout=10)


def junk(dice: random.Random) -> bytes:
    item: dict[str, object] = {
        name: dice.choice((dice.choice(ODD), 1, None, [], {})) for name in dice.sample(FIELDS, 5)
    }
    good = json.dumps(dice.choice(([item], item, [1], "x", None))).encode()
    return good if dice.random() < 0.7 else good[: len(good) // 2] + bytes([dice.randrange(256)])


def campaign(server: SandboxServer, count: int, seed: int) -> None:
    dice = random.Random(seed)
    kite = connect(server)
    begun = server.journal_end()
    with requests.Session() as session:
        session.headers.update(server.headers(0, kite.access_token))
        for _ in range(count):
            answer = one_request(dice, session, server.rest_root)
            assert answer.status_code < 500, (answer.request.method, answer.request.url, answer.request.body)
            if "json" in answer.headers["Content-Type"] and answer.status_code >= 400:
                assert {"status", "message", "error_type", "data"} == set(answer.json())
    for row in server.journal(since=begun, verdict="accepted"):
        assert is_right(row), row


def is_right(row: dict[str, Any]) -> bool:
    """Say whether something that was accepted could be: its numbers are numbers, its words are Kite's."""
    params, route = row["params"], row["route"]
    if route == "order.place":
        numbers = 1 <= float(params["quantity"]) < 10**6 and 1 <= float(params.get("price", 1)) < 10**6
        words = params["transaction_type"] in {"BUY", "SELL"} and params["exchange"] in {"NSE", "BSE"}
        return numbers and words and params.get("validity", "DAY") in {"DAY", "IOC", "TTL", ""}
    return route not in {"order.modify", "order.cancel", "gtt.place", "alert.create", "session.create", "mf.sip.place"}


def test_mutated_requests_never_crash_the_exchange(target: SandboxServer) -> None:
    campaign(target, SMALL, seed=1)


@pytest.mark.long
def test_a_hundred_thousand_mutated_requests_never_crash_the_exchange(target: SandboxServer) -> None:
    campaign(target, LARGE, seed=2)


def test_mutated_socket_messages_never_crash_the_exchange(target: SandboxServer) -> None:
    socket_campaign(target, 2_000, seed=3)


@pytest.mark.long
def test_a_hundred_thousand_mutated_socket_messages_never_crash_the_exchange(target: SandboxServer) -> None:
    socket_campaign(target, LARGE, seed=4)


def socket_campaign(server: SandboxServer, count: int, seed: int) -> None:
    """Send nonsense in batches, reading between them as a client does; ticks must still come at the end."""
    dice = random.Random(seed)
    kite = connect(server)
    with open_socket(server.ws_url(0, kite.access_token)) as link:
        for number in range(count):
            link.send(socket_message(dice))
            if number % 200 == 199:
                drain(link)
        link.send(json.dumps({"a": "subscribe", "v": [408065]}))

        frame = next(message for message in iter(link.recv, None) if len(message) > 20 and isinstance(message, bytes))
    assert int.from_bytes(frame[:2], "big") >= 1


def drain(link: ClientConnection) -> None:
    """Read what has been answered so far."""
    with contextlib.suppress(TimeoutError):
        while True:
            link.recv(timeout=0.01)


def socket_message(dice: random.Random) -> str | bytes:
    tokens: object = dice.choice(([408065], [-1], [2**70], ["x"], None, {}, [[1]], [True], 7, [1.5]))
    action = dice.choice(("subscribe", "unsubscribe", "mode", "order", None, 1, "ping"))
    value = dice.choice((tokens, ["full", tokens], ["nothing", tokens], ["full"], []))
    text = json.dumps(dice.choice(({"a": action, "v": value}, {"a": action}, [action], action)))
    if dice.random() < 0.2:
        return text.encode()
    return text if dice.random() < 0.8 else text[: len(text) // 2]
