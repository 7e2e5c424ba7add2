"""Every fault does at the wire what it says, and the journal keeps the truth."""

import socket
import time
from typing import Any

import pytest
import requests
from kiteconnect import KiteConnect

from tests.sandbox.orders import below, new_tag, order, place, wait_status
from tests.sandbox_server import SandboxServer, wait_for


class Caller:
    """Places orders with plain HTTP, to see what really came back."""

    def __init__(self, server: SandboxServer, kite: KiteConnect) -> None:
        self.server = server
        self.kite = kite
        self.price = below(server, "NSE:INFY")

    def place(self, tag: str, timeout: float = 5.0) -> requests.Response:
        form = {
            "exchange": "NSE", "tradingsymbol": "INFY", "transaction_type": "BUY", "order_type": "LIMIT",
            "product": "CNC", "quantity": 1, "price": self.price, "tag": tag,
        }  # fmt: skip
        headers = self.server.headers(0, self.kite.access_token)
        return requests.post(f"{self.server.rest_root}/orders/regular", headers=headers, data=form, timeout=timeout)


@pytest.fixture
def caller(exchange: SandboxServer, kite: KiteConnect) -> Caller:
    return Caller(exchange, kite)


def test_a_lost_answer_leaves_one_order(caller: Caller, exchange: SandboxServer) -> None:
    tag = new_tag()
    exchange.fault("lost_answer", route="order.place", count=1)

    with pytest.raises(requests.ConnectionError):
        caller.place(tag)

    entry = exchange.journal(tag=tag)[0]
    assert len(exchange.placed(tag=tag)) == 1
    assert (entry["verdict"], entry["answer"], entry["faults"]) == ("accepted", "lost", ["lost_answer"])


def test_a_lost_answer_may_hang_first(caller: Caller, exchange: SandboxServer) -> None:
    tag = new_tag()
    exchange.fault("lost_answer", route="order.place", count=1, how="hang", seconds=5)

    with pytest.raises(requests.ReadTimeout):
        caller.place(tag, timeout=0.3)

    assert len(exchange.placed(tag=tag)) == 1


@pytest.mark.parametrize(
    ("kind", "options", "status", "accepted"),
    [
        ("accepted_then_5xx", {"status": 503}, 503, 1),
        ("http_429", {}, 429, 0),
        ("http_429", {"body": "html"}, 429, 0),
        ("http_5xx", {"status": 500}, 500, 0),
        ("http_403", {}, 403, 0),
        ("ip_not_registered", {}, 403, 0),
        ("truncated_json", {}, 200, 1),
        ("null_data", {}, 200, 1),
        ("no_data", {}, 200, 1),
        ("no_content_type", {}, 200, 1),
    ],
    ids=str,
)
def test_an_answer_fault_keeps_its_promise(
    caller: Caller, exchange: SandboxServer, kind: str, options: dict[str, Any], status: int, accepted: int
) -> None:
    tag = new_tag()
    exchange.fault(kind, route="order.place", count=1, user=exchange.users[0].user_id, **options)

    answer = caller.place(tag)

    assert answer.status_code == status
    assert len(exchange.placed(tag=tag)) == accepted
    assert exchange.journal(tag=tag)[0]["faults"] == [kind]


@pytest.mark.parametrize(
    ("body", "content_type"), [("html", "text/html"), ("json", "application/json"), ("untyped", "application/json")]
)
def test_a_5xx_has_the_body_that_was_asked_for(
    caller: Caller, exchange: SandboxServer, body: str, content_type: str
) -> None:
    exchange.fault("http_5xx", route="order.place", count=1, body=body)

    answer = caller.place(new_tag())

    assert answer.headers["Content-Type"].startswith(content_type)
    assert ("error_type" in answer.text) is (body == "json")


def test_an_answer_can_come_without_a_content_type(caller: Caller, exchange: SandboxServer) -> None:
    exchange.fault("no_content_type", count=1, route="order.place")

    assert "Content-Type" not in caller.place(new_tag()).headers


def test_truncated_json_cannot_be_parsed(caller: Caller, exchange: SandboxServer) -> None:
    exchange.fault("truncated_json", count=1, route="order.place")

    with pytest.raises(requests.JSONDecodeError):
        caller.place(new_tag()).json()


def test_latency_delays_the_handling(caller: Caller, exchange: SandboxServer) -> None:
    exchange.fault("latency", count=1, route="order.place", seconds=0.4)
    started = time.monotonic()

    assert caller.place(new_tag()).status_code == 200
    assert time.monotonic() - started >= 0.4


def test_a_late_answer_is_handled_at_once(caller: Caller, exchange: SandboxServer) -> None:
    tag = new_tag()
    exchange.fault("late_answer", count=1, route="order.place", seconds=3)

    with pytest.raises(requests.ReadTimeout):
        caller.place(tag, timeout=0.3)

    assert len(exchange.placed(tag=tag)) == 1


def test_a_refused_connection_never_reaches_the_exchange(caller: Caller, exchange: SandboxServer) -> None:
    host, port = exchange.rest_root.removeprefix("http://").split(":")
    exchange.fault("connection_refused", duration=0.5)

    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((host, int(port)), timeout=1)
    wait_for(lambda: _connects(host, int(port)))
    assert caller.place(new_tag()).status_code == 200


def _connects(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), timeout=1).close()
    except ConnectionRefusedError:
        return False
    return True


def test_one_account_can_be_cut_alone(caller: Caller, exchange: SandboxServer) -> None:
    tag = new_tag()
    exchange.fault("connection_refused", user=exchange.users[0].user_id)

    with pytest.raises(requests.ConnectionError):
        caller.place(tag)

    assert exchange.placed(tag=tag) == []
    assert exchange.session(1)


def test_a_killed_token_answers_403(exchange: SandboxServer, kite: KiteConnect) -> None:
    exchange.fault("token_killed", user=exchange.users[0].user_id)

    answer = requests.get(f"{exchange.rest_root}/orders", headers=exchange.headers(0, kite.access_token), timeout=5)

    assert answer.status_code == 403
    assert answer.json()["error_type"] == "TokenException"


def test_a_lagging_book_hides_new_orders(caller: Caller, exchange: SandboxServer, kite: KiteConnect) -> None:
    tag = new_tag()
    exchange.fault("visibility_lag", seconds=600, user=exchange.users[0].user_id)
    order_id = caller.place(tag).json()["data"]["order_id"]

    hidden = [row["order_id"] for row in kite.orders()]
    history = requests.get(
        f"{exchange.rest_root}/orders/{order_id}", headers=exchange.headers(0, kite.access_token), timeout=5
    )
    exchange.clear_faults()

    assert order_id not in hidden
    assert history.status_code == 404
    assert order(kite, order_id)["tag"] == tag


def test_orders_can_be_stuck_in_validation(exchange: SandboxServer, kite: KiteConnect) -> None:
    exchange.fault("stuck_validation", user=exchange.users[0].user_id)
    order_id = place(kite, price=below(exchange, "NSE:INFY"))
    wait_status(kite, order_id, "VALIDATION PENDING")

    exchange.clear_faults()

    wait_status(kite, order_id, "OPEN")


def test_a_cancel_can_be_refused(exchange: SandboxServer, kite: KiteConnect) -> None:
    order_id = place(kite, price=below(exchange, "NSE:INFY"))
    wait_status(kite, order_id, "OPEN")
    exchange.fault("cancel_refused", count=1)

    with pytest.raises(Exception, match=r"being processed\. Try later"):
        kite.cancel_order("regular", order_id)

    assert kite.cancel_order("regular", order_id) == order_id


def test_a_fault_strikes_only_its_user_and_route(exchange: SandboxServer, kite: KiteConnect) -> None:
    exchange.fault("http_5xx", user=exchange.users[1].user_id)
    exchange.fault("http_5xx", user=exchange.users[0].user_id, route="trade.*")

    assert kite.profile()["user_id"] == exchange.users[0].user_id
    with pytest.raises(Exception, match="502"):
        kite.trades()


def test_a_fault_ends_with_its_window(exchange: SandboxServer, kite: KiteConnect) -> None:
    exchange.fault("http_403", duration=0.2, error_type="UserException", message="blocked")

    with pytest.raises(Exception, match="blocked"):
        kite.profile()
    wait_for(lambda: not exchange.faults())
    assert kite.profile()


def test_probability_is_drawn_from_the_seed(exchange: SandboxServer, kite: KiteConnect) -> None:
    exchange.fault("http_5xx", probability=0.5, body="json", status=500)
    outcomes = []
    for _ in range(40):
        try:
            kite.profile()
            outcomes.append(True)
        except Exception:  # noqa: BLE001
            outcomes.append(False)

    assert 5 < sum(outcomes) < 35


def test_an_unknown_fault_names_the_known_ones(exchange: SandboxServer) -> None:
    with pytest.raises(RuntimeError, match=r"unknown fault kind 'gremlins'; known: .*lost_answer"):
        exchange.fault("gremlins")


def test_the_journal_keeps_no_secret(exchange: SandboxServer, kite: KiteConnect) -> None:
    kite.profile()
    text = str(exchange.journal())

    assert kite.access_token not in text
    assert exchange.users[0].password not in text
    assert exchange.users[0].api_secret not in text
