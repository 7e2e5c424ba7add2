"""An order in doubt is resolved by hand by two people, and by nobody else."""

from datetime import UTC, datetime

import pytest
from django.urls import reverse

from accounts import approvals
from accounts.errors import ApprovalNeeded, SelfApproval
from accounts.guards import Approval
from accounts.models import AuditEntry, User
from accounts.queries import Principal
from orders import by_hand
from orders.errors import OrderEnded, OrderUnknown
from orders.models import Order
from orders.states import State
from tests.factories import UserFactory, principal
from tests.orders.factories import OrderFactory
from tests.panel_client import PanelClient

pytestmark = pytest.mark.django_db


@pytest.fixture
def now() -> datetime:
    return datetime.now(UTC)


@pytest.fixture
def asha() -> Principal:
    return principal()


@pytest.fixture
def doubtful(now: datetime) -> Order:
    return OrderFactory(state=State.UNKNOWN, unknown_since=now, next_look_at=now)


def agree(order: Order, by: Principal, now: datetime, broker_order_id: str = "") -> None:
    asked = by_hand.ask_to_resolve(
        order_id=order.pk, broker_order_id=broker_order_id, by=by, reason="the broker was called", now=now
    )
    approvals.approve(approval_id=asked.pk, by=principal(role=User.Role.SECURITY_OFFICER), now=now)


def resolve(order: Order, by: Principal, now: datetime, broker_order_id: str = "") -> Order:
    by_hand.resolve(
        order_id=order.pk, broker_order_id=broker_order_id, principal=by, reason="the broker was called", now=now
    )
    order.refresh_from_db()
    return order


def test_one_person_resolves_nothing(doubtful: Order, asha: Principal, now: datetime) -> None:
    with pytest.raises(ApprovalNeeded):
        resolve(doubtful, asha, now)

    doubtful.refresh_from_db()
    assert doubtful.state == State.UNKNOWN


def test_two_people_say_that_it_was_never_placed(doubtful: Order, asha: Principal, now: datetime) -> None:
    agree(doubtful, asha, now)

    assert resolve(doubtful, asha, now).state == State.NOT_PLACED
    assert AuditEntry.objects.get(action="orders.order.resolved_by_hand").actor == asha.label


def test_two_people_say_under_which_id_it_is_at_the_broker(doubtful: Order, asha: Principal, now: datetime) -> None:
    agree(doubtful, asha, now, "250101000000001")

    order = resolve(doubtful, asha, now, "250101000000001")

    assert (order.state, order.broker_order_id) == (State.ACKED, "250101000000001")


def test_what_was_agreed_on_is_what_is_done(doubtful: Order, asha: Principal, now: datetime) -> None:
    agree(doubtful, asha, now, "250101000000001")

    with pytest.raises(ApprovalNeeded):
        resolve(doubtful, asha, now)


def test_who_asked_cannot_agree_with_himself(doubtful: Order, asha: Principal, now: datetime) -> None:
    asked = by_hand.ask_to_resolve(order_id=doubtful.pk, broker_order_id="", by=asha, reason="called", now=now)

    with pytest.raises(SelfApproval):
        approvals.approve(approval_id=asked.pk, by=asha, now=now)


def test_an_order_that_is_not_in_doubt_is_left_alone(asha: Principal, now: datetime) -> None:
    order = OrderFactory(state=State.READY)

    with pytest.raises(OrderEnded):
        by_hand.ask_to_resolve(order_id=order.pk, broker_order_id="", by=asha, reason="called", now=now)


def test_an_order_of_somebody_elses_account_is_not_there(doubtful: Order, now: datetime) -> None:
    stranger = UserFactory(role=User.Role.OPERATOR)
    by = Principal(user_id=stranger.pk, label="x", key_id=None, scopes=frozenset(), account_ids=frozenset())

    with pytest.raises(OrderUnknown):
        by_hand.ask_to_resolve(order_id=doubtful.pk, broker_order_id="", by=by, reason="called", now=now)


def test_the_panel_asks_and_then_resolves(doubtful: Order, now: datetime) -> None:
    panel = PanelClient()
    panel.force_login(UserFactory(username="asha", administrator=True, is_staff=True))
    url = reverse("admin:orders_order_resolve_by_hand", args=[doubtful.pk])

    alone = panel.post(url, {"reason": "the broker was called"})
    assert "needs the approval of a second person" in alone.text
    panel.post(url, {"reason": "the broker was called", "ask": "on"})
    approvals.approve(approval_id=Approval.objects.get().pk, by=principal(), now=now)
    done = panel.post(url, {"reason": "the broker was called"})

    doubtful.refresh_from_db()
    assert done.status_code == 302
    assert doubtful.state == State.NOT_PLACED
