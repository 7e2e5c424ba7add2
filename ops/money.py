"""Margin and day's result of each account, from what the portfolio read last: nothing is asked of a broker here."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any
from uuid import UUID

from django.db.models import Count, Max

from accounts.models import BrokerAccount
from accounts.sessions import Sessions
from ops.standing import Money
from portfolio import readings
from portfolio.errors import NotRead
from portfolio.exposure import profit
from portfolio.models import Reading

Kind = Reading.Kind
KINDS = (Kind.MARGINS, Kind.POSITIONS, Kind.HOLDINGS)
# Asked of the broker at most once a minute; the positions are read for the comparison with our trades.
ASKED = (Kind.MARGINS, Kind.HOLDINGS)
Parts = Mapping[str, tuple[Any, datetime]]


def refresh(*, sessions: Sessions, now: datetime) -> int:
    """Read margins and holdings of the accounts that trade, within the data budgets; return how many answered."""
    trading = BrokerAccount.objects.filter(places_orders=True, state=BrokerAccount.State.ACTIVE)
    accounts = list(trading.order_by("label"))
    return sum(_asked(accounts, kind, sessions=sessions, now=now) for kind in ASKED)


def _asked(accounts: Sequence[BrokerAccount], kind: Reading.Kind, *, sessions: Sessions, now: datetime) -> int:
    try:
        parts = readings.read(accounts=accounts, kind=kind, sessions=sessions, max_age=0, now=now)
    except NotRead:
        return 0
    return sum(part.read_at == now for part in parts)


def by_account() -> Mapping[UUID, Money]:
    """Return the money of every account that was read at least once."""
    seen = Reading.objects.filter(kind__in=KINDS).aggregate(at=Max("read_at"), rows=Count("pk"))
    return _read(seen["at"], seen["rows"])


@lru_cache(maxsize=1)
def _read(_latest: datetime | None, _rows: int) -> Mapping[UUID, Money]:
    """Answers are long and change once a minute; they are opened when a newer one stands there."""
    found: dict[UUID, dict[str, tuple[Any, datetime]]] = {}
    for row in Reading.objects.filter(kind__in=KINDS):
        found.setdefault(row.account_id, {})[row.kind] = (row.answer, row.read_at)
    return {account_id: money_of(parts) for account_id, parts in found.items()}


def money_of(parts: Parts) -> Money:
    """Return one account's money from its answers by kind."""
    margins, margin_at = parts.get(Kind.MARGINS, (None, None))
    positions, positions_at = parts.get(Kind.POSITIONS, (None, None))
    holdings, _ = parts.get(Kind.HOLDINGS, ([], None))
    segments = [] if margins is None else [row for row in margins.values() if row["enabled"]]
    made = None if positions is None else profit(net=positions["net"], holdings=holdings).today
    return Money(
        used=None if margins is None else round(sum(row["utilised"]["debits"] for row in segments), 2),
        free=None if margins is None else round(sum(row["net"] for row in segments), 2),
        margin_at=margin_at,
        result=None if made is None else round(made, 2),
        result_at=positions_at,
    )
