"""Doubts end by evidence alone: the same doubt, visible after every lag from none to ten minutes."""

import random
from datetime import timedelta
from uuid import UUID

import pytest
from django.db import IntegrityError, transaction

from accounts.models import BrokerAccount, HaltEpoch
from kite.errors import OutcomeUnknown
from orders import execution, reconciliation
from orders.models import Order, OrderEvent
from orders.states import State
from tests.factories import BrokerAccountFactory, CredentialFactory
from tests.orders.factories import OrderFactory
from tests.orders.simulation.broker import Broker, ModelSessions
from tests.orders.simulation.clock import START, VirtualClock
from tests.orders.test_simulation import NEVER
from tests.proving import Numbers

QUARANTINE = 180.0
POLL = 15.0
LAGS = (0, 1, 3, 7, 14, 30, 60, 83, 120, 170, 179, 181, 240, 400, 600)
MOVES = 200
LONG_MOVES = 10_000


class LaggingBroker(Broker):
    """Accepts, loses the answer, and shows the order after a lag."""

    lag = 0.0

    def _fate(self) -> tuple[str, bool, type[OutcomeUnknown]]:
        return "answer lost", True, OutcomeUnknown

    def _accept(self, *args: object, **words: object) -> str:
        order_id = super()._accept(*args, **words)  # type: ignore[arg-type]
        self.held[order_id].visible_at = self.clock.seconds + self.lag
        return order_id

    def _may_fail(self) -> None:
        """The book answers."""


def doubted(lag: float) -> tuple[Order, LaggingBroker, VirtualClock, ModelSessions]:
    """Return an order in doubt that the book shows after `lag` seconds."""
    HaltEpoch.objects.get_or_create(pk=1)
    account = CredentialFactory(live=True, token_expires_at=NEVER).account
    clock = VirtualClock(pause=lambda _: None)
    broker = LaggingBroker(dice=random.Random(1), clock=clock, pause=lambda _: None, sent=lambda _: None)
    broker.lag = lag
    sessions = ModelSessions(broker)
    reconciliation.note_reading(account_id=account.pk, at=START)
    order = OrderFactory(account=account, created_at=START)
    execution.submit(order_id=order.pk, sessions=sessions, clock=clock)  # type: ignore[arg-type]
    order.refresh_from_db()
    assert order.state == State.UNKNOWN
    return order, broker, clock, sessions


@pytest.mark.proof(id="R04")
@pytest.mark.django_db
@pytest.mark.parametrize("lag", LAGS)
def test_a_doubt_ends_when_the_book_shows_the_order_or_never_did(lag: float, numbers: Numbers) -> None:
    order, broker, clock, sessions = doubted(lag)

    while order.broker_order_id is None and clock.seconds < lag + 4 * POLL:
        due = order.next_look_at if order.state == State.UNKNOWN else clock.at() + timedelta(seconds=POLL)
        assert due is not None
        clock.seconds = max(clock.seconds + 0.001, (due - START).total_seconds())
        reconciliation.reconcile_account(account_id=order.account_id, sessions=sessions, clock=clock)  # type: ignore[arg-type]
        order.refresh_from_db()

    gave_up = OrderEvent.objects.filter(order=order, after=State.NOT_PLACED).first()
    early = gave_up is not None and (gave_up.at - START).total_seconds() < QUARANTINE
    found_after = clock.seconds - lag
    numbers.add("lags", 1)
    numbers.add("given up before 180 s", early)
    numbers.add("not adopted", order.broker_order_id is None)
    numbers.add("sent twice", len(broker.held) - 1)
    numbers.most("seconds from visible to known", found_after)
    assert not early
    assert order.broker_order_id == "B000001"
    assert len(broker.held) == 1
    assert found_after <= POLL
    assert (order.reason_code == "ADOPTED_LATE") == (gave_up is not None)


def move_away(order_id: UUID, accounts: list[BrokerAccount], dice: random.Random, *, times: int) -> int:
    """Try to give an order to other accounts, in any state, and return how often that worked."""
    moved = 0
    for _ in range(times):
        try:
            with transaction.atomic():
                moved += Order.objects.filter(pk=order_id).update(account=dice.choice(accounts))
        except IntegrityError:
            continue
    return moved


@pytest.mark.proof(id="R14")
@pytest.mark.django_db
@pytest.mark.parametrize("state", [State.READY, State.DENIED, State.NOT_PLACED, State.ACKED])
def test_nobody_moves_an_order_to_another_account(state: State, numbers: Numbers) -> None:
    order = OrderFactory(state=state, broker_order_id="1" if state is State.ACKED else None)
    moved = move_away(order.pk, [BrokerAccountFactory() for _ in range(3)], random.Random(7), times=MOVES // 4)

    numbers.add("attempts to move", MOVES // 4)
    numbers.add("moved orders", moved)
    assert moved == 0


@pytest.mark.long
@pytest.mark.proof(id="R14")
@pytest.mark.django_db
def test_nobody_does_in_ten_thousand_attempts(numbers: Numbers) -> None:
    order = OrderFactory()
    moved = move_away(order.pk, [BrokerAccountFactory() for _ in range(5)], random.Random(8), times=LONG_MOVES)

    numbers.add("attempts to move", LONG_MOVES)
    numbers.add("moved orders", moved)
    assert moved == 0
