"""Takes orders back and closes positions under a halt, again and again, until the broker shows that nothing is left."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

import structlog
from django.db import transaction

from accounts import approvals
from accounts.errors import PlatformError
from accounts.guards import Approval
from accounts.models import BrokerAccount, TradingHalt
from accounts.queries import Principal, login_for
from accounts.sessions import Sessions
from kite.answers import PositionRow
from kite.errors import KiteError
from kite.types import OrderType, TransactionType
from market_data.models import Instrument
from ops import halt as halts
from ops.errors import ClearingForbidden
from ops.stops import HaltReport
from orders import intake, reconciliation
from orders.clock import Clock
from orders.drafts import Wanted
from orders.models import Order
from orders.queries import accounts_to_reconcile, open_cancel, quantity_on_the_way
from orders.states import AT_BROKER, IN_FLIGHT, WAITING

log = structlog.get_logger(__name__)

# The broker takes ten slices of one order at most; the rest follows at the next look.
MAX_SLICES = 10
GIVES_UP_AFTER = timedelta(minutes=30)
LOOK_AGAIN = timedelta(seconds=2)
PLATFORM = Principal(user_id=0, label="platform", key_id=None, scopes=frozenset(), account_ids=None)


@dataclass(slots=True)
class Look:
    """What one look at the accounts found and did."""

    cancels: int = 0
    closings: int = 0
    left: dict[str, list[str]] = field(default_factory=dict)

    def leaves(self, account: BrokerAccount, what: str) -> None:
        """Note what is still there."""
        self.left.setdefault(account.label, []).append(what)


def ask_flatten(*, halt_id: int, by: Principal, reason: str, now: datetime) -> Approval:
    """Ask another person to have the positions under a halt closed."""
    held = _flattenable(halts.standing(halt_id=halt_id))
    return approvals.request_approval(
        verb=Approval.Verb.FLATTEN,
        subject=halts.subject_of(held),
        detail={"halt": held.pk},
        by=by,
        reason=reason,
        now=now,
    )


def begin(*, halt_id: int, flatten: bool, actor: str, now: datetime) -> HaltReport:
    """Have what is open under the halt taken back, and with `flatten` its positions closed, which two people must want.

    Return the report, which `pursue` carries to its end; asking again for the same returns the same.
    """
    with transaction.atomic():
        held = TradingHalt.objects.select_for_update().get(pk=halts.standing(halt_id=halt_id).pk)
        standing = HaltReport.objects.select_for_update().filter(halt=held).first()
        if standing is not None and (standing.flatten or not flatten):
            return standing
        if flatten:
            _consume(_flattenable(held), actor=actor, now=now)
        report = standing or HaltReport(halt=held, level_after=held.level, asked_by=actor, started_at=now)
        report.flatten = flatten
        report.state, report.finished_at = HaltReport.State.RUNNING, None
        report.save()
        if flatten and held.level == TradingHalt.Level.HALTED:
            # Under HALTED nothing leaves, closing orders neither.
            halts.set_level(halt=held, level=TradingHalt.Level.REDUCING, actor=actor, now=now)
    log.warning("ops.clearing.began", halt=held.pk, flatten=flatten, actor=actor)
    return report


def due(*, now: datetime) -> list[UUID]:
    """Return the reports whose next look is due."""
    running = HaltReport.objects.filter(state=HaltReport.State.RUNNING).order_by("started_at")
    looked = running.exclude(looked_at__gt=now - LOOK_AGAIN)
    return list(looked.values_list("pk", flat=True))


def pursue(*, report_id: UUID, sessions: Sessions, clock: Clock) -> HaltReport:
    """Look at every account under the halt once, do what is to be done, and write down what is left."""
    report = _claim(report_id, now=clock.now())
    if report is None:
        return HaltReport.objects.get(pk=report_id)
    look = Look()
    for account in _accounts(report.halt):
        try:
            _look_at(account, report, look, sessions=sessions, clock=clock)
        except (KiteError, PlatformError) as error:
            look.leaves(account, f"could not be looked at: {error}")
    return _write(report, look, now=clock.now())


def survey(*, halt_id: int, flatten: bool, sessions: Sessions, clock: Clock) -> dict[str, list[str]]:
    """Return, by account, the open orders under the halt and with `flatten` the positions the broker shows."""
    held, look = halts.standing(halt_id=halt_id), Look()
    for account in _accounts(held):
        for order in _open_orders(account, held):
            look.leaves(account, f"order {order.broker_order_id or order.pk} is {order.state}")
        if flatten:
            client = sessions.client(login_for(account_id=account.pk, now=clock.now()))
            for position in client.positions().net:
                if position.quantity and _is_covered(position, held):
                    look.leaves(account, _shown(position))
    return look.left


def _look_at(account: BrokerAccount, report: HaltReport, look: Look, *, sessions: Sessions, clock: Clock) -> None:
    reconciliation.reconcile_account(account_id=account.pk, sessions=sessions, clock=clock)
    open_orders = _open_orders(account, report.halt)
    closing = [order for order in open_orders if order.strategy == _strategy(report)]
    for order in open_orders:
        if order not in closing:
            look.leaves(account, f"order {order.broker_order_id or order.pk} is {order.state}")
    _take_back([order for order in open_orders if order not in closing], look, now=clock.now())
    if not report.flatten or len(closing) < len(open_orders):
        return
    client = sessions.client(login_for(account_id=account.pk, now=clock.now()))
    for position in client.positions().net:
        if position.quantity and _is_covered(position, report.halt):
            look.leaves(account, _shown(position))
            _close(account, position, report, look, sessions=sessions, now=clock.now())


def _shown(position: PositionRow) -> str:
    return f"{position.quantity} {position.exchange}:{position.tradingsymbol}"


def _take_back(orders: Sequence[Order], look: Look, *, now: datetime) -> None:
    for order in orders:
        if order.state in WAITING | AT_BROKER and open_cancel(order=order) is None:
            intake.cancel(principal=PLATFORM, order_id=order.pk, idempotency_key=None, now=now)
            look.cancels += 1


def _close(
    account: BrokerAccount, position: PositionRow, report: HaltReport, look: Look, *, sessions: Sessions, now: datetime
) -> None:
    """Order the opposite of what is held and not being closed yet, in slices that the exchange does not freeze."""
    side = TransactionType.SELL if position.quantity > 0 else TransactionType.BUY
    instrument = Instrument.objects.filter(exchange=position.exchange, tradingsymbol=position.tradingsymbol).first()
    probe = Order(
        account=account,
        exchange=position.exchange,
        tradingsymbol=position.tradingsymbol,
        product=position.product,
        transaction_type=side,
    )
    missing = abs(position.quantity) - quantity_on_the_way(order=probe)
    waiting = Order.objects.filter(account=account, strategy=_strategy(report), state__in=WAITING).exists()
    if missing <= 0 or waiting:
        return
    for number, quantity in enumerate(_slices(missing, freeze=instrument.freeze_quantity if instrument else None)):
        wanted = Wanted(
            account=account.label,
            exchange=position.exchange,
            tradingsymbol=position.tradingsymbol,
            transaction_type=side,
            order_type=OrderType.MARKET,
            product=position.product,
            quantity=quantity,
            strategy=_strategy(report),
            allow_duplicate=True,
        )
        key = f"{report.pk}:{report.looks}:{instrument}:{position.product}:{number}"
        placed = intake.place(principal=PLATFORM, wanted=wanted, idempotency_key=key, sessions=sessions, now=now)
        look.closings += 1
        if placed.order.reason_code:
            look.leaves(account, f"closing {instrument}: {placed.order.reason_code}: {placed.order.reason}")


def _slices(quantity: int, *, freeze: int | None) -> Iterator[int]:
    most = freeze or quantity
    for _ in range(MAX_SLICES):
        if quantity <= 0:
            return
        yield min(most, quantity)
        quantity -= most


def _open_orders(account: BrokerAccount, held: TradingHalt) -> list[Order]:
    orders = Order.objects.filter(account=account, state__in=WAITING | IN_FLIGHT | AT_BROKER)
    if held.scope == TradingHalt.Scope.STRATEGY:
        orders = orders.filter(strategy=held.target)
    if held.scope == TradingHalt.Scope.SYMBOL:
        exchange, _, tradingsymbol = held.target.partition(":")
        orders = orders.filter(exchange=exchange, tradingsymbol=tradingsymbol)
    return list(orders.select_related("account").order_by("created_at"))


def _accounts(held: TradingHalt) -> list[BrokerAccount]:
    accounts = accounts_to_reconcile()
    if held.scope != TradingHalt.Scope.ACCOUNT:
        return accounts
    return [account for account in accounts if account.label == held.target]


def _is_covered(position: PositionRow, held: TradingHalt) -> bool:
    symbol = f"{position.exchange}:{position.tradingsymbol}"
    return held.scope != TradingHalt.Scope.SYMBOL or symbol == held.target


def _flattenable(held: TradingHalt) -> TradingHalt:
    if held.scope == TradingHalt.Scope.STRATEGY:
        raise ClearingForbidden("a strategy has no positions of its own: flatten its account or its symbols")
    return held


def _consume(held: TradingHalt, *, actor: str, now: datetime) -> None:
    subject = halts.subject_of(held)
    approvals.consume(verb=Approval.Verb.FLATTEN, subject=subject, detail={"halt": held.pk}, actor=actor, now=now)


def _strategy(report: HaltReport) -> str:
    """Mark closing orders, so that the next look tells them from what it must take back."""
    return f"clear-{report.pk.hex[:12]}"


def _claim(report_id: UUID, *, now: datetime) -> HaltReport | None:
    """One look at a time: who comes second within the pause finds nothing to do."""
    with transaction.atomic():
        report = HaltReport.objects.select_for_update().select_related("halt").get(pk=report_id)
        early = report.looked_at is not None and report.looked_at > now - LOOK_AGAIN
        if report.state != HaltReport.State.RUNNING or early:
            return None
        report.looked_at, report.looks = now, report.looks + 1
        report.save(update_fields=["looked_at", "looks"])
        return report


def _write(report: HaltReport, look: Look, *, now: datetime) -> HaltReport:
    with transaction.atomic():
        report = HaltReport.objects.select_for_update().select_related("halt").get(pk=report.pk)
        report.cancels += look.cancels
        report.closings += look.closings
        report.left = look.left
        released = report.halt.released_at is not None
        if not look.left:
            report.state, report.finished_at = HaltReport.State.DONE, now
        elif released or now - report.started_at > GIVES_UP_AFTER:
            report.state, report.finished_at = HaltReport.State.GIVEN_UP, now
        report.save()
        if report.state == HaltReport.State.DONE and not released:
            level = TradingHalt.Level(report.level_after)
            halts.set_level(halt=report.halt, level=level, actor=report.asked_by, now=now)
    log.info("ops.clearing.looked", report=str(report.pk), state=report.state, left=look.left)
    return report
