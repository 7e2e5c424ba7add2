"""Taking orders in: once per key, checked, and remembered when denied."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import pytest
from celery import Celery

from accounts.errors import AccountUnknown
from accounts.models import Credential, TradingHalt, User
from market_data.errors import InstrumentUnknown
from orders import intake, tasks
from orders.errors import IdempotencyMismatch, PriceUnavailable, ReplacementForbidden
from orders.models import Order, OrderEvent
from orders.states import State
from tests.factories import principal
from tests.orders.conftest import Desk
from tests.orders.threads import at_once
from tests.proving import Numbers

THREADS = 32


def test_an_order_taken_in_waits_to_be_sent(desk: Desk) -> None:
    order = desk.place()

    assert order.state == State.READY
    assert order.market_protection == -1
    assert order.notional > 0
    assert OrderEvent.objects.filter(order=order).count() == 1


def storm(desk: Desk, numbers: Numbers) -> set[Any]:
    """Send one request from thirty-two threads at once and return the ids they were given."""
    key, price = str(uuid4()), desk.price(-1)
    results = at_once(lambda _: desk.place(key, order_type="LIMIT", price=price).pk)
    numbers.add("keys")
    numbers.add("intents too many", Order.objects.filter(idempotency_key=key).count() - 1)
    return set(results)


@pytest.mark.long
@pytest.mark.proof(id="R05")
def test_two_hundred_storms_of_one_key_each_make_one_order_each(desk: Desk, numbers: Numbers) -> None:
    for done in range(200):
        assert len(storm(desk, numbers)) == 1
        numbers.step(done, 200)

    assert Order.objects.count() == 200


@pytest.mark.proof(id="R05")
def test_thirty_two_requests_with_one_key_make_one_order(desk: Desk, numbers: Numbers) -> None:
    results = list(storm(desk, numbers))

    assert len(results) == 1
    assert isinstance(results[0], UUID)
    assert Order.objects.count() == 1
    assert Order.objects.get().state == State.READY


@pytest.mark.proof(id="R05")
def test_the_same_key_with_another_body_is_refused(desk: Desk, numbers: Numbers) -> None:
    desk.place("key")

    with pytest.raises(IdempotencyMismatch):
        desk.place("key", quantity=2)

    numbers.add("mismatches let in", Order.objects.count() - 1)
    assert Order.objects.count() == 1


def test_the_same_key_of_another_client_is_another_order(desk: Desk) -> None:
    first = desk.place("key")

    other = intake.place(
        principal=principal(),
        wanted=desk.wanted(),
        idempotency_key="key",
        sessions=desk.sessions,
        now=datetime.now(UTC),
    )

    assert other.order.pk != first.pk
    assert not other.replayed


def test_the_same_content_under_a_new_key_is_suspected(desk: Desk) -> None:
    desk.place(allow_duplicate=False)

    second = desk.place(allow_duplicate=False)

    assert second.state == State.DENIED
    assert second.reason_code == "DUPLICATE_SUSPECT"


def test_two_of_the_same_content_at_once_are_not_both_let_in(desk: Desk) -> None:
    price = desk.price(-1)

    orders = at_once(lambda _: desk.place(order_type="LIMIT", price=price, allow_duplicate=False))
    states = [order.state for order in orders]

    assert sorted(states) == [State.DENIED] * (THREADS - 1) + [State.READY]


def test_the_same_content_at_another_price_is_another_order(desk: Desk) -> None:
    desk.place(allow_duplicate=False, order_type="LIMIT", price=desk.price(-1))

    other = desk.place(allow_duplicate=False, order_type="LIMIT", price=desk.price(-2))

    assert other.state == State.READY


def test_a_denied_order_is_remembered_under_its_key(desk: Desk) -> None:
    TradingHalt.objects.create(scope="platform", reason="drill", engaged_by="ops", engaged_at=datetime.now(UTC))

    first = desk.place("key")
    again = desk.place("key")

    assert first.state == State.DENIED
    assert again.pk == first.pk
    assert Order.objects.count() == 1


@pytest.mark.parametrize(
    ("scope", "target"),
    [("platform", ""), ("account", "sbx001"), ("strategy", "gamma"), ("symbol", "NSE:INFY")],
)
def test_a_halt_of_its_scope_denies_an_order(desk: Desk, scope: str, target: str) -> None:
    TradingHalt.objects.create(
        scope=scope, target=target, reason="drill", engaged_by="ops", engaged_at=datetime.now(UTC)
    )

    order = desk.place(strategy="gamma")

    assert order.reason_code == "TRADING_HALTED"
    assert "drill" in order.reason


@pytest.mark.parametrize(
    ("scope", "target"), [("account", "other"), ("strategy", "delta"), ("symbol", "NSE:TCS"), ("symbol", "BSE:INFY")]
)
def test_a_halt_of_another_scope_lets_an_order_in(desk: Desk, scope: str, target: str) -> None:
    TradingHalt.objects.create(
        scope=scope, target=target, reason="drill", engaged_by="ops", engaged_at=datetime.now(UTC)
    )

    assert desk.place(strategy="gamma").state == State.READY


def test_an_account_of_somebody_else_is_unknown(desk: Desk) -> None:
    stranger = principal(role=User.Role.TRADER)
    blind = type(stranger)(
        user_id=stranger.user_id, label="x", key_id=None, scopes=stranger.scopes, account_ids=frozenset()
    )

    with pytest.raises(AccountUnknown):
        intake.place(
            principal=blind,
            wanted=desk.wanted(),
            idempotency_key="key",
            sessions=desk.sessions,
            now=datetime.now(UTC),
        )

    assert Order.objects.count() == 0


def test_an_unknown_instrument_makes_no_order(desk: Desk) -> None:
    with pytest.raises(InstrumentUnknown):
        desk.place(tradingsymbol="NOSUCH")

    assert Order.objects.count() == 0


def test_a_denied_order_may_be_replaced_once(desk: Desk) -> None:
    desk.place(allow_duplicate=False)
    denied = desk.place(allow_duplicate=False)

    replacement = desk.place(replaces=denied.pk)

    assert replacement.replaces_id == denied.pk
    with pytest.raises(ReplacementForbidden):
        desk.place(replaces=denied.pk)


def test_an_order_that_may_trade_is_not_replaced(desk: Desk) -> None:
    order = desk.place()

    with pytest.raises(ReplacementForbidden):
        desk.place(replaces=order.pk)


def test_a_queue_that_cannot_be_reached_costs_nothing() -> None:
    dead = Celery(broker="redis://127.0.0.1:1/0", set_as_current=False)

    @dead.task(name="tests.unreachable")
    def task(argument: str) -> None:
        """Do nothing."""

    tasks.knock(task, uuid4())


@pytest.mark.parametrize("order_type", ["MARKET", "LIMIT"])
def test_a_price_nobody_can_tell_stops_a_market_order_alone(desk: Desk, order_type: str) -> None:
    Credential.objects.filter(account=desk.account).update(access_token=None, token_expires_at=None)

    if order_type == "MARKET":
        with pytest.raises(PriceUnavailable):
            desk.place()
        assert not Order.objects.exists()
    else:
        assert desk.place(order_type="LIMIT", price=Decimal(1500)).state == State.READY
