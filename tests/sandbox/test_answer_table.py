"""Every answer that an order can get, as the official client raises it, and what the exchange did meanwhile."""

from typing import Any

import pytest
import requests
from kiteconnect import KiteConnect
from kiteconnect import exceptions as kite_errors

from tests.sandbox.conftest import connect
from tests.sandbox.orders import below, new_tag, place, wait_status
from tests.sandbox_server import SandboxServer

TIMED_OUT = "Order request timed out. Please check the order book and confirm before placing again."
REFUSED = {"kind": "http_5xx", "body": "json"}
ACCEPTED = {"kind": "accepted_then_5xx"}
ACCOUNT_BLOCKED = {"kind": "http_403", "error_type": "UserException", "message": "Account blocked"}


def refused(status: int, error_type: str) -> dict[str, Any]:
    return {**REFUSED, "status": status, "error_type": error_type, "message": error_type}


# fault, what kiteconnect raises, the code it carries, how many orders the exchange has then
ROWS: list[tuple[dict[str, Any], type[Exception], int | None, int]] = [
    ({"kind": "truncated_json"}, kite_errors.DataException, 502, 1),
    ({"kind": "no_data"}, KeyError, None, 1),
    ({"kind": "null_data"}, TypeError, None, 1),
    ({"kind": "no_content_type"}, KeyError, None, 1),
    (refused(400, "InputException"), kite_errors.InputException, 400, 0),
    (refused(400, "MarginException"), kite_errors.GeneralException, 400, 0),
    (refused(400, "HoldingException"), kite_errors.GeneralException, 400, 0),
    ({"kind": "http_403"}, kite_errors.TokenException, 403, 0),
    (ACCOUNT_BLOCKED, kite_errors.GeneralException, 403, 0),
    ({"kind": "ip_not_registered"}, kite_errors.PermissionException, 403, 0),
    ({"kind": "http_429"}, kite_errors.NetworkException, 429, 0),
    ({"kind": "http_429", "body": "html"}, kite_errors.DataException, 502, 0),
    ({"kind": "http_429", "body": "untyped"}, TypeError, None, 0),
    (refused(410, "GeneralException"), kite_errors.GeneralException, 410, 0),
    (
        {**ACCEPTED, "status": 500, "body": "json", "error_type": "OrderException", "message": TIMED_OUT},
        kite_errors.OrderException,
        500,
        1,
    ),
    ({**ACCEPTED, "status": 502}, kite_errors.DataException, 502, 1),
    ({**ACCEPTED, "status": 502, "body": "json"}, kite_errors.NetworkException, 502, 1),
    ({**ACCEPTED, "status": 503, "body": "json"}, kite_errors.NetworkException, 503, 1),
    ({**ACCEPTED, "status": 503, "body": "untyped"}, TypeError, None, 1),
    (
        {**ACCEPTED, "status": 504, "body": "json", "error_type": "GeneralException"},
        kite_errors.GeneralException,
        504,
        1,
    ),
    ({**ACCEPTED, "status": 504, "body": "empty"}, Exception, None, 1),
    ({"kind": "http_5xx", "status": 503}, kite_errors.DataException, 502, 0),
    ({"kind": "lost_answer"}, requests.ConnectionError, None, 1),
    ({"kind": "lost_answer", "how": "hang", "seconds": 60}, requests.ReadTimeout, None, 1),
    ({"kind": "late_answer", "seconds": 60}, requests.ReadTimeout, None, 1),
    ({"kind": "hang", "seconds": 60}, requests.ReadTimeout, None, 0),
    ({"kind": "connection_refused"}, requests.ConnectionError, None, 0),
]


@pytest.mark.parametrize(("fault", "raised", "code", "orders"), ROWS, ids=lambda value: str(value)[:60])
def test_an_order_gets_every_answer_of_a_bad_day(
    exchange: SandboxServer, fault: dict[str, Any], raised: type[Exception], code: int | None, orders: int
) -> None:
    kite = connect(exchange, 1)
    kite.timeout = 2.0
    tag, price = new_tag(), below(exchange, "NSE:INFY")
    exchange.fault(**{"route": "order.place", "user": exchange.users[1].user_id, **fault})

    with pytest.raises(raised) as caught:
        place(kite, price=price, tag=tag)

    assert getattr(caught.value, "code", None) == code
    assert len(exchange.placed(tag=tag)) == orders


def test_an_order_without_a_fault_answers_its_id(exchange: SandboxServer, kite: KiteConnect) -> None:
    tag = new_tag()

    assert exchange.placed(tag=tag) == []
    assert [place(kite, price=below(exchange, "NSE:INFY"), tag=tag)] == exchange.placed(tag=tag)


def test_every_second_answer_can_be_lost(exchange: SandboxServer, kite: KiteConnect) -> None:
    """A cancel whose answer is lost has happened; the next is answered."""
    order_ids = [place(kite, price=below(exchange, "NSE:INFY")) for _ in range(4)]
    for order_id in order_ids:
        wait_status(kite, order_id, "OPEN", seconds=20)
    exchange.fault("lost_answer", route="order.cancel", every=2)
    answers = []
    for order_id in order_ids:
        try:
            answers.append(kite.cancel_order("regular", order_id) == order_id)
        except requests.ConnectionError:
            answers.append(False)

    assert answers == [True, False, True, False]
    for order_id in order_ids:
        wait_status(kite, order_id, "CANCELLED", seconds=20)


def test_every_session_dies_at_once(exchange: SandboxServer) -> None:
    """Two hundred calls with a dead token are two hundred refusals and no more."""
    kite = connect(exchange, 1)
    since = exchange.journal_end()
    exchange.fault("token_killed", user=exchange.users[1].user_id)
    session, headers = requests.Session(), exchange.headers(1, kite.access_token)

    answers = [session.get(f"{exchange.rest_root}/orders", headers=headers, timeout=10) for _ in range(200)]

    assert {(answer.status_code, answer.json()["error_type"]) for answer in answers} == {(403, "TokenException")}
    assert len(exchange.journal(since=since, route="order.book", verdict="refused")) == 200
