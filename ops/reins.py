"""What each account may still ask of its broker: the data calls booked ahead, and the breakers that are open."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache

from django.conf import settings

from accounts import breaker, budget
from accounts.models import Credential
from accounts.shared import Resting, SharedScripts
from kite.limits import CallClass
from ops.standing import Rest
from ops.state import BudgetPart

NO_RESTS: tuple[Rest, ...] = ()


@dataclass(frozen=True, slots=True)
class Reins:
    """Data budgets and open breakers by account id."""

    budgets: Mapping[str, tuple[BudgetPart, ...]]
    rests: Mapping[str, tuple[Rest, ...]]


def read(*, credentials: Sequence[Credential], now: datetime) -> Reins:
    """Return what Redis knows, empty where it does not answer."""
    if not credentials:
        return Reins({}, {})
    ids = [str(row.account_id) for row in credentials]
    try:
        booked = budget.booked(scripts=_scripts(), api_keys=[row.api_key for row in credentials])
        opened = breaker.opened(scripts=_scripts(), account_ids=ids)
    except Resting:
        return Reins({}, {})
    return Reins(
        budgets={
            str(row.account_id): tuple(_part(name, booked[row.api_key, name]) for name in budget.PACES)
            for row in credentials
        },
        rests={
            key: tuple(
                Rest(calls=name.value, until=now + timedelta(seconds=seconds))
                for (owner, name), seconds in opened.items()
                if owner == key
            )
            for key in ids
        },
    )


def _part(name: CallClass, used: int) -> BudgetPart:
    return BudgetPart(window=name.value, used=used, limit=budget.per_second(name))


@cache
def _scripts() -> SharedScripts:
    return SharedScripts(url=settings.REDIS_URL)
