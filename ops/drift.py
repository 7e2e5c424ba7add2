"""Whether our trades of the day add up to what the broker says was bought and sold."""

from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Count, Q, Sum

from accounts.models import BrokerAccount
from accounts.sessions import Sessions
from ops.findings import RED
from ops.state import Finding
from orders.clock import trading_day
from orders.models import Trade
from portfolio import readings
from portfolio.errors import NotRead
from portfolio.models import Reading

CODE = "position_drift"
# An older reading says nothing about now.
LOOKED_WITHIN = timedelta(minutes=5)
# Trade and reading may pass each other on the way: what traded around a reading waits for the next.
SETTLES = timedelta(seconds=20)
SHOWN = 3
# By (exchange:tradingsymbol, side).
Totals = Counter[tuple[str, str]]


def refresh(*, sessions: Sessions, now: datetime) -> int:
    """Read the positions of the accounts that trade and return how many answered."""
    accounts = list(
        BrokerAccount.objects.filter(places_orders=True, state=BrokerAccount.State.ACTIVE).order_by("label")
    )
    try:
        parts = readings.read(accounts=accounts, kind=Reading.Kind.POSITIONS, sessions=sessions, max_age=0, now=now)
    except NotRead:
        return 0
    return sum(part.read_at == now for part in parts)


def find(*, now: datetime) -> tuple[Finding, ...]:
    """Return one finding for each account whose trades did not add up to its positions when these were read."""
    looks = Reading.objects.filter(kind=Reading.Kind.POSITIONS, read_at__gt=now - LOOKED_WITHIN)
    looks = looks.select_related("account").order_by("account__label")
    return tuple(finding for look in looks for finding in _of(look, now=now))


def _traded(look: Reading, *, now: datetime) -> tuple[Totals, set[str]]:
    """Return what was heard of by the reading, and the symbols that traded around it."""
    around = (look.read_at - SETTLES, look.read_at + SETTLES)
    rows = (
        Trade.objects.filter(account_id=look.account_id, trading_day=trading_day(now))
        .values("exchange", "tradingsymbol", "transaction_type")
        .annotate(
            total=Sum("quantity", filter=Q(heard_at__lte=look.read_at), default=0),
            around=Count("id", filter=Q(heard_at__range=around)),
        )
        .order_by()
    )
    totals: Totals = Counter()
    moving = set()
    for row in rows:
        symbol = f"{row['exchange']}:{row['tradingsymbol']}"
        totals[symbol, row["transaction_type"]] = row["total"]
        if row["around"]:
            moving.add(symbol)
    return totals, moving


def _of(look: Reading, *, now: datetime) -> Iterator[Finding]:
    ours, moving = _traded(look, now=now)
    theirs = _positions(look)
    wrong = sorted(
        {symbol for symbol, side in ours.keys() | theirs.keys() if ours[symbol, side] != theirs[symbol, side]} - moving
    )
    if wrong:
        named = ", ".join(wrong[:SHOWN]) + (f" and {len(wrong) - SHOWN} more" if len(wrong) > SHOWN else "")
        yield Finding(
            code=CODE,
            severity=RED,
            subject=look.account.label,
            text=f"Our trades of {look.account.label} do not add up to its positions: {named}.",
            mend="Read its books again (Orders → the action). If it stays, compare with the broker's trade book.",
        )


def _positions(look: Reading) -> Totals:
    totals: Totals = Counter()
    rows: Iterable[dict[str, Any]] = look.answer.get("net", ())
    for row in rows:
        symbol = f"{row['exchange']}:{row['tradingsymbol']}"
        totals[symbol, "BUY"] += int(row.get("day_buy_quantity") or 0)
        totals[symbol, "SELL"] += int(row.get("day_sell_quantity") or 0)
    return totals
