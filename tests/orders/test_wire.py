"""The classification of answers, one fixture a row: only proof ends an attempt, everything else is doubt."""

from datetime import UTC, datetime
from typing import Any

import pytest

from accounts.sessions import Sessions
from orders import execution, reconciliation
from orders.models import OrderEvent
from orders.states import State
from tests.factories import CredentialFactory
from tests.orders.clocks import MovedClock
from tests.orders.factories import OrderFactory
from tests.orders.wire import ANSWERS, Answer, serving
from tests.proving import Numbers


def test_there_are_forty_answers_and_more() -> None:
    assert len({answer.name for answer in ANSWERS}) == len(ANSWERS) >= 40


@pytest.mark.proof(id="R09")
@pytest.mark.django_db
@pytest.mark.parametrize("answer", ANSWERS, ids=lambda answer: answer.name)
def test_an_answer_proves_what_the_table_says(answer: Answer, settings: Any, numbers: Numbers) -> None:
    with serving(answer) as root:
        settings.KITE_REST_ROOT = root
        order = OrderFactory(account=CredentialFactory(live=True).account)
        reconciliation.note_reading(account_id=order.account_id, at=datetime.now(UTC))
        again = execution.submit(order_id=order.pk, sessions=Sessions(), clock=MovedClock())

    order.refresh_from_db()
    numbers.add("answers")
    numbers.add("wrong verdicts", (State(order.state), answer.code in {"", order.reason_code}) != (answer.state, True))
    assert (State(order.state), answer.code in {"", order.reason_code}) == (answer.state, True)
    assert (again is not None) == (answer.state is State.READY)
    assert order.attempt == 1
    assert OrderEvent.objects.filter(order=order, after=State.SENDING).count() == 1
