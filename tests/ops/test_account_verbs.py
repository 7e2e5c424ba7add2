"""The Desk's verbs on one account: drain, read the books, flatten."""

from datetime import UTC, datetime, timedelta

import pytest

from accounts import approvals
from accounts.guards import Approval
from accounts.models import AuditEntry, BrokerAccount, TradingHalt
from ops.stops import HaltReport
from portfolio.models import Reading
from tests.factories import BrokerAccountFactory, CredentialFactory, principal
from tests.orders.factories import OrderFactory
from tests.panel_client import PanelClient

VERBS = "/admin/desk/verbs/"
pytestmark = pytest.mark.usefixtures("clean_redis")


def touches(desk: PanelClient, verb: str, target: str) -> dict[str, str]:
    """Return how many of what the verb would touch."""
    return {row["what"]: row["count"] for row in desk.get(f"{VERBS}{verb}", {"target": target}).json()["touches"]}


def test_draining_is_previewed_and_takes_the_account_out(desk: PanelClient) -> None:
    account = CredentialFactory(account__label="one", live=True).account
    OrderFactory(account=account, at_broker=True)

    shown = touches(desk, "drain", "one")
    answer = desk.post(f"{VERBS}drain", {"target": "one", "reason": "broker maintenance"})

    assert shown["orders rest at the exchange and stay"] == "1"
    assert answer.json() == {"done": "one is drained: nothing new goes to it."}
    assert BrokerAccount.objects.get(label="one").state == "cordoned"


def test_reading_the_books_is_previewed_and_written_down(desk: PanelClient) -> None:
    BrokerAccountFactory(label="one")

    shown = touches(desk, "reconcile", "one")
    answer = desk.post(f"{VERBS}reconcile", {"target": "one", "reason": "a fill is missing"})

    assert shown["calls of the account's data budget are spent"] == "2"
    assert answer.status_code == 200
    assert AuditEntry.objects.get(action="ops.books.asked").reason == "a fill is missing"


def test_flattening_says_which_positions_it_closes(desk: PanelClient) -> None:
    account = BrokerAccountFactory(label="one")
    net = [{"quantity": 75, "tradingsymbol": "NIFTY26NOVFUT"}, {"quantity": 0, "tradingsymbol": "INFY"}]
    read_at = datetime.now(UTC) - timedelta(seconds=30)
    Reading.objects.create(account=account, kind="positions", answer={"net": net, "day": []}, read_at=read_at)

    shown = touches(desk, "flatten", "one")

    (what,) = [text for text in shown if "positions are closed" in text]
    assert shown[what] == "1"
    assert "75 NIFTY26NOVFUT" in what
    assert TradingHalt.objects.count() == 0


def test_flattening_takes_two_people_and_reduces_at_once(desk: PanelClient) -> None:
    BrokerAccountFactory(label="one")

    alone = desk.post(f"{VERBS}flatten", {"target": "one", "reason": "out", "step": "flatten"})
    asked = desk.post(f"{VERBS}flatten", {"target": "one", "reason": "out", "step": "ask"})
    approvals.approve(approval_id=Approval.objects.get().pk, by=principal(), now=datetime.now(UTC))
    done = desk.post(f"{VERBS}flatten", {"target": "one", "reason": "out", "step": "flatten"})

    assert (alone.status_code, alone.json()["code"]) == (403, "approval_needed")
    assert asked.status_code == 200
    assert TradingHalt.objects.get().level == "reducing"
    assert done.json() == {"done": "The positions of one are being closed."}
    assert HaltReport.objects.get().flatten


def test_flattening_wants_a_fresh_proof(desk: PanelClient) -> None:
    BrokerAccountFactory(label="one")
    desk.grow_stale()

    answer = desk.post(f"{VERBS}flatten", {"target": "one", "reason": "out"})

    assert (answer.status_code, answer.json()["code"]) == (403, "step_up_needed")
    assert TradingHalt.objects.count() == 0


@pytest.mark.parametrize("verb", ["drain", "reconcile", "flatten"])
def test_a_verb_on_nobody_says_so(desk: PanelClient, verb: str) -> None:
    answer = desk.get(f"{VERBS}{verb}", {"target": "nobody"})

    assert (answer.status_code, answer.json()["code"]) == (404, "account_unknown")
