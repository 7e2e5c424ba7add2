"""Verbs on one account: take it out, compare it with the broker, close what it holds."""

from datetime import datetime

from django.db import transaction

from accounts import health
from accounts.audit import record, required
from accounts.models import BrokerAccount, TradingHalt
from accounts.queries import Principal
from ops import clearing, failover, halt
from ops.previews import Form, Preview, Touch, choice_of
from orders.models import Order
from orders.readings import BookReading
from orders.states import AT_BROKER, WAITING
from orders.tasks import knock, reconcile_account
from portfolio.models import Reading

STEPS = {
    "ask": "Stop new positions and ask a second person",
    "flatten": "Close every position: a second person has approved",
}


def show_drain(target: str, now: datetime) -> Preview:
    """Say what leaves the account when it is taken out."""
    account = failover.account_of(target)
    move = failover.plan(label=target, now=now)
    takers = ", ".join(f"{label} takes {count:,}" for label, count in sorted(move.takers.items()))
    return Preview(
        title=f"Drain {target}",
        text="It streams nothing and takes no new orders until it is restored. Cancels still leave.",
        touches=(
            Touch(f"{move.instruments:,}", f"instruments move: {takers or 'nobody else could take them'}"),
            Touch(f"{_count(account, WAITING)}", "orders that wait here are denied when their turn comes"),
            Touch(f"{_count(account, AT_BROKER)}", "orders rest at the exchange and stay"),
        ),
        confirm=f"Drain {target}",
    )


def do_drain(target: str, form: Form, by: Principal, now: datetime) -> str:
    """Cordon the account."""
    account = failover.account_of(target)
    health.cordon(account_id=account.pk, reason=required(form.get("reason", "")), actor=by.label, now=now)
    return f"{target} is drained: nothing new goes to it."


def show_reconcile(target: str, _now: datetime) -> Preview:
    """Say what is read."""
    account = failover.account_of(target)
    held = BookReading.objects.filter(account=account).first()
    failed = f" Reading failed {held.failures} times since: {held.error}" if held is not None and held.failures else ""
    return Preview(
        title=f"Read the books of {target}",
        text=f"Its orders and trades are compared with the broker's now.{failed}",
        touches=(
            Touch("2", "calls of the account's data budget are spent"),
            Touch("0", "orders are sent; states that the broker tells otherwise are corrected"),
        ),
        confirm="Read the books",
        mild=True,
    )


def do_reconcile(target: str, form: Form, by: Principal, now: datetime) -> str:
    """Have a worker read the books."""
    account = failover.account_of(target)
    with transaction.atomic():
        record(
            actor=by.label,
            action="ops.books.asked",
            subject=health.subject_of(account),
            reason=required(form.get("reason", "")),
            now=now,
        )
        transaction.on_commit(lambda: knock(reconcile_account, account.pk))
    return f"The books of {target} are being read."


def show_flatten(target: str, now: datetime) -> Preview:
    """Say what would be closed, as the broker last showed it."""
    account = failover.account_of(target)
    seen = Reading.objects.filter(account=account, kind=Reading.Kind.POSITIONS).first()
    held = [] if seen is None else [row for row in seen.answer["net"] if row.get("quantity")]
    names = ", ".join(f"{row['quantity']} {row['tradingsymbol']}" for row in held[:5])
    age = "never read" if seen is None else f"read {int((now - seen.read_at).total_seconds())} s ago"
    return Preview(
        title=f"Flatten {target}",
        text="Open orders are taken back, then every position is closed at market until the broker shows none. "
        "The account may only reduce from the first step on; it takes two people.",
        touches=(
            Touch(f"{len(held)}", f"positions are closed ({age}){f': {names}' if names else ''}"),
            Touch(f"{_count(account, AT_BROKER | WAITING)}", "open orders are taken back"),
        ),
        choices=(choice_of("step", "Two people do this", STEPS),),
        confirm=f"Flatten {target}",
    )


def do_flatten(target: str, form: Form, by: Principal, now: datetime) -> str:
    """Let the account only reduce, then ask for the second person or close."""
    failover.account_of(target)
    reason = required(form.get("reason", ""))
    held = TradingHalt.objects.filter(scope=TradingHalt.Scope.ACCOUNT, target=target, released_at=None).first()
    if held is None:
        held = halt.engage(
            scope=TradingHalt.Scope.ACCOUNT,
            target=target,
            level=TradingHalt.Level.REDUCING,
            reason=reason,
            actor=by.label,
            now=now,
        )
    if form.get("step") != "flatten" or form.get("ask") == "1":
        clearing.ask_flatten(halt_id=held.pk, by=by, reason=reason, now=now)
        return f"{target} may only reduce. Another person has to approve the closing; then flatten it here."
    clearing.begin(halt_id=held.pk, flatten=True, actor=by.label, now=now)
    return f"The positions of {target} are being closed."


def _count(account: BrokerAccount, states: frozenset[str]) -> int:
    return Order.objects.filter(account=account, state__in=sorted(states)).count()
