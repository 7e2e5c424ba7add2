"""Every recorded answer has one verdict for an order and one for a read."""

import time

import pytest

from kite.errors import KiteError, OutcomeUnknown, Unavailable
from kite.rest import Rest
from kite.types import Exchange, Login, OrderRequest, OrderType, Product, TransactionType, Variety
from tests.kite.recorded import ACKNOWLEDGED, ALL, BROKEN, ORDER, Recorded
from tests.kite.wire_server import Act, Trickle, WireServer, http

PATIENCE = 0.4
FORBIDDEN = [each for each in ALL if each.order is not None]


def login(root: str, *, source_address: str = "") -> Login:
    return Login("account", "key", "secret-access", 1, root, "ws://unused", source_address)


def order() -> OrderRequest:
    return OrderRequest(
        variety=Variety.REGULAR,
        exchange=Exchange.NSE,
        tradingsymbol="INFY",
        transaction_type=TransactionType.BUY,
        quantity=1,
        product=Product.CNC,
        order_type=OrderType.MARKET,
        tag="tag1",
    )


def client(server: WireServer, *, total_timeout: float = PATIENCE) -> Rest:
    return Rest(login(server.root), total_timeout=total_timeout)


def failure_of_order(server: WireServer) -> KiteError:
    with pytest.raises(KiteError) as caught:
        client(server).place_order(order())
    return caught.value


def failure_of_read(server: WireServer) -> KiteError:
    with pytest.raises(KiteError) as caught:
        client(server).orders()
    return caught.value


def test_at_least_forty_answers_are_recorded() -> None:
    assert len({each.name for each in ALL}) == len(ALL) >= 40


@pytest.mark.parametrize("said", ACKNOWLEDGED, ids=lambda each: each.name)
def test_an_answer_with_an_order_id_acknowledges_the_order(said: Recorded) -> None:
    with WireServer(said.steps) as server:
        order_id = client(server, total_timeout=3).place_order(order())

    assert order_id.startswith("15122")


@pytest.mark.parametrize("said", FORBIDDEN, ids=lambda each: each.name)
def test_an_order_gets_the_verdict_of_the_answer(said: Recorded) -> None:
    with WireServer(said.steps) as server:
        failure = failure_of_order(server)

    assert type(failure) is said.order
    assert failure.evidence.error_type == said.error_type
    assert len(server.heard) == 1


@pytest.mark.parametrize("said", ALL, ids=lambda each: each.name)
def test_a_read_gets_the_verdict_of_the_answer(said: Recorded) -> None:
    with WireServer(said.steps) as server:
        failure = failure_of_read(server)

    assert type(failure) is said.read
    assert failure.evidence.error_type == said.error_type
    assert len(server.heard) == 1


@pytest.mark.parametrize("said", [each for each in ALL if each.status], ids=lambda each: each.name)
def test_the_raw_status_is_kept_as_evidence(said: Recorded) -> None:
    with WireServer(said.steps) as server:
        failure = failure_of_order(server)

    assert failure.evidence.status == said.status
    assert (failure.evidence.method, failure.evidence.path) == ("POST", "/orders/regular")


@pytest.mark.parametrize("said", BROKEN, ids=lambda each: each.name)
def test_without_an_answer_no_status_is_claimed(said: Recorded) -> None:
    with WireServer(said.steps) as server:
        failure = failure_of_order(server)

    assert failure.evidence.status is None


def test_the_raw_body_is_kept_as_evidence_and_cut() -> None:
    body = b"x" * 10_000

    with WireServer([http(502, body, content_type="text/html")]) as server:
        failure = failure_of_order(server)

    assert failure.evidence.body == "x" * 4096


@pytest.mark.parametrize(
    "steps",
    [[Act.HANG], [Trickle(http(200, ORDER))], [http(200, ORDER)[: -len(ORDER)], Trickle(ORDER)]],
    ids=["silence", "trickled head", "trickled body"],
)
def test_the_whole_answer_has_one_deadline(steps: list[bytes | Act | Trickle]) -> None:
    with WireServer(steps) as server:
        start = time.monotonic()
        failure = failure_of_order(server)
        took = time.monotonic() - start

    assert type(failure) is OutcomeUnknown
    assert took < PATIENCE + 0.3


def test_a_deadline_over_before_the_first_byte_sends_nothing() -> None:
    with WireServer([http(200, ORDER)]) as server, pytest.raises(Unavailable):
        Rest(login(server.root), total_timeout=1e-9).place_order(order())

    assert server.heard == []
