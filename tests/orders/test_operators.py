"""What operators see and do: the admin's pages and the command."""

import json
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse

from accounts.models import AuditEntry, Credential, User
from orders.models import Order, OrderBudget, OrderCommand, RiskLimit
from orders.states import State
from tests.factories import UserFactory
from tests.orders.conftest import Desk
from tests.panel_client import PanelClient
from tests.sandbox_server import wait_for


@pytest.fixture
def staff(desk: Desk) -> Client:
    """Return the browser of an administrator."""
    client = PanelClient()
    client.force_login(UserFactory(administrator=True, is_staff=True))
    return client


def test_an_order_is_shown_with_its_timeline(desk: Desk, staff: Client) -> None:
    order = desk.place()
    desk.submit(order)

    listing = staff.get(reverse("admin:orders_order_changelist"))
    page = staff.get(reverse("admin:orders_order_change", args=[order.pk]))

    assert listing.status_code == 200
    assert page.status_code == 200
    assert b"orders.order.sending" in page.content
    assert b'name="_save"' not in page.content


@pytest.mark.parametrize("model", ["trade", "orderbudget", "risklimit"])
def test_the_other_pages_open(desk: Desk, staff: Client, model: str) -> None:
    desk.submit(desk.place())

    assert staff.get(reverse(f"admin:orders_{model}_changelist")).status_code == 200


def act(staff: Client, action: str, order: Any, **more: str) -> Any:
    body = {"action": action, "_selected_action": [str(order.pk)], **more}
    return staff.post(reverse("admin:orders_order_changelist"), body, follow=True)


def test_an_operator_cancels_an_order(desk: Desk, staff: Client) -> None:
    order = desk.patient()

    page = act(staff, "cancel_orders", order)
    assert "orders in 1 accounts are asked to end" in page.text
    assert not OrderCommand.objects.exists()

    answer = act(staff, "cancel_orders", order, reason="the client called")

    assert b"1 cancellations are on their way" in answer.content
    assert AuditEntry.objects.get(action="orders.order.cancel_asked").reason == "the client called"
    assert OrderCommand.objects.filter(order=order, kind="cancel").count() == 1


def test_an_order_past_cancelling_is_named(desk: Desk, staff: Client) -> None:
    order = desk.place(quantity=100_000)

    answer = act(staff, "cancel_orders", order, reason="too large")

    assert b"the order is DENIED" in answer.content


def test_a_viewer_sees_and_does_nothing(desk: Desk) -> None:
    order = desk.patient()
    client = PanelClient()
    client.force_login(UserFactory(role=User.Role.VIEWER, every_account=True, is_staff=True))

    act(client, "cancel_orders", order)

    assert client.get(reverse("admin:orders_order_changelist")).status_code == 200
    assert not OrderCommand.objects.exists()


def test_a_bound_is_set_with_an_audit_entry(desk: Desk, staff: Client) -> None:
    body = {"account": str(desk.account.pk), "max_order_notional": "100", "reason": "a new client"}

    staff.post(reverse("admin:orders_risklimit_add"), body)

    assert desk.place().reason_code == "ORDER_NOTIONAL"
    assert AuditEntry.objects.get(action="orders.risklimit.added").reason == "a new client"


def test_who_trades_does_not_set_bounds(desk: Desk) -> None:
    client = PanelClient()
    client.force_login(UserFactory(role=User.Role.TRADER, every_account=True, is_staff=True))

    answer = client.post(reverse("admin:orders_risklimit_add"), {"max_order_notional": "1"})

    assert answer.status_code == 403
    assert not RiskLimit.objects.exists()


def test_the_command_takes_the_books_in(fresh_desk: Desk) -> None:
    order = fresh_desk.place()
    fresh_desk.submit(order)

    def filled() -> bool:
        out = StringIO()
        call_command("reconcile_orders", "--account", fresh_desk.account.label, "--json", stdout=out)
        assert json.loads(out.getvalue())["failures"] == {}
        order.refresh_from_db()
        return order.state == State.COMPLETE

    wait_for(filled)


def test_books_that_are_only_tried_change_no_order(desk: Desk) -> None:
    order = desk.place()
    desk.submit(order)
    before = order.state

    def seen() -> bool:
        out = StringIO()
        call_command("reconcile_orders", "--json", "--dry-run", stdout=out)
        return bool(json.loads(out.getvalue())["reports"][0]["changed"])

    wait_for(seen)
    order.refresh_from_db()
    assert order.state == before


def test_the_command_fails_where_a_book_cannot_be_read(desk: Desk) -> None:
    Credential.objects.filter(account=desk.account).update(access_token=None, token_expires_at=None)

    with pytest.raises(CommandError, match="1 order books"):
        call_command("reconcile_orders", stdout=StringIO(), stderr=StringIO())


def test_the_command_knows_no_strangers(desk: Desk) -> None:
    with pytest.raises(CommandError, match="no trading account"):
        call_command("reconcile_orders", "--account", "nobody")


def test_what_never_left_is_sent_again_with_a_reason(desk: Desk, staff: Client) -> None:
    order = desk.place(quantity=100_000)
    page = reverse("admin:orders_order_requeue", args=[order.pk])

    for _ in range(2):
        staff.post(page, {"reason": "the limit was wrong"})

    (anew,) = Order.objects.filter(replaces=order)
    assert anew.quantity == order.quantity
    assert AuditEntry.objects.get(action="orders.order.requeued").reason == "the limit was wrong"


def test_what_may_have_left_is_not_sent_again(desk: Desk, staff: Client) -> None:
    order = desk.patient()

    answer = staff.post(reverse("admin:orders_order_requeue", args=[order.pk]), {"reason": "hurry"})

    assert "it has not ended" in answer.content.decode()
    assert not Order.objects.filter(replaces=order).exists()


def test_the_list_shows_dead_letters_alone(desk: Desk, staff: Client) -> None:
    dead, alive = desk.place(quantity=100_000), desk.patient()

    shown = staff.get(f"{reverse('admin:orders_order_changelist')}?dead=1").content.decode()

    assert str(dead.pk) in shown
    assert str(alive.pk) not in shown


@pytest.mark.parametrize(("per_second", "kept"), [("5", 5), ("11", 8)])
def test_a_budget_is_edited_below_the_brokers_bound(desk: Desk, staff: Client, per_second: str, kept: int) -> None:
    desk.submit(desk.place())
    budget = OrderBudget.objects.get(account=desk.account)
    body = {"per_second": per_second, "burst": "2", "per_minute": "300", "per_day": "4000", "reason": "a slow day"}

    answer = staff.post(reverse("admin:orders_orderbudget_change", args=[budget.pk]), body)

    budget.refresh_from_db()
    assert answer.status_code in {200, 302}
    assert budget.per_second == kept
