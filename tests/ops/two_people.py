"""What takes two people, done by two people of a test."""

from collections.abc import Callable
from datetime import datetime

from accounts import approvals
from accounts.guards import Approval
from accounts.models import TradingHalt
from accounts.queries import Principal
from ops import clearing, halt
from tests.factories import principal


def approved(ask: Callable[[Principal], Approval], *, now: datetime) -> Approval:
    """Ask as one person and approve as another."""
    asked = ask(principal())
    return approvals.approve(approval_id=asked.pk, by=principal(), now=now)


def approve_release(held: TradingHalt, *, now: datetime) -> None:
    """Have two people want the release."""
    approved(lambda by: halt.ask_release(halt_id=held.pk, by=by, reason="over", now=now), now=now)


def approve_flatten(held: TradingHalt, *, now: datetime) -> None:
    """Have two people want the positions closed."""
    approved(lambda by: clearing.ask_flatten(halt_id=held.pk, by=by, reason="out", now=now), now=now)
