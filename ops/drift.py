"""Whether our trades of the day add up to what the broker says was bought and sold."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db.models import Max, Sum

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
# Trade and reading may pass each other on the way: an instrument that just traded is compared at the next reading.
SETTLES = timedelta(seconds=20)
SHOWN = 3
# By (account, exchange:tradingsymbol, side).
Totals = Counter[tuple[UUID, str, str]]


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
    """Return one finding for each account whose trades do not add up to its positions."""
    looks = Reading.objects.filter(kind=Reading.Kind.POSITIONS, read_at__gt=now - LOOKED_WITHIN)
    looks = looks.select_related("account").order_by("account__label")
    ours, moving = _traded(now=now)
    return tuple(finding for look in looks for finding in _of(look, ours=ours, moving=moving))


def _traded(*, now: datetime) -> tuple[Totals, dict[tuple[UUID, str], datetime]]:
    rows = (
        Trade.objects.filter(trading_day=trading_day(now))
        .values("account_id", "exchange", "tradingsymbol", "transaction_type")
        .annotate(total=Sum("quantity"), last=Max("heard_at"))
        .order_by()
    )
    totals: Totals = Counter()
    moving: dict[tuple[UUID, str], datetime] = {}
    for row in rows:
        symbol = f"{row['exchange']}:{row['tradingsymbol']}"
        totals[row["account_id"], symbol, row["transaction_type"]] = row["total"]
        place = row["account_id"], symbol
        moving[place] = max(row["last"], moving.get(place, row["last"]))
    return totals, moving


def _of(look: Reading, *, ours: Totals, moving: Mapping[tuple[UUID, str], datetime]) -> Iterator[Finding]:
    theirs = _positions(look)
    places = {symbol for account_id, symbol, _ in (*ours, *theirs) if account_id == look.account_id}
    settled = [symbol for symbol in sorted(places) if _is_settled(moving.get((look.account_id, symbol)), look.read_at)]
    wrong = [symbol for symbol in settled if _differs(look.account_id, symbol, ours=ours, theirs=theirs)]
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
        totals[look.account_id, symbol, "BUY"] += int(row.get("day_buy_quantity") or 0)
        totals[look.account_id, symbol, "SELL"] += int(row.get("day_sell_quantity") or 0)
    return totals


def _is_settled(last: datetime | None, read_at: datetime) -> bool:
    return last is None or abs(last - read_at) > SETTLES


def _differs(account_id: UUID, symbol: str, *, ours: Totals, theirs: Totals) -> bool:
    return any(ours[account_id, symbol, side] != theirs[account_id, symbol, side] for side in ("BUY", "SELL"))
