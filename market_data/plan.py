"""What the feed of a shard should hold: logins, and instruments per connection, read from the database."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from django.db import connection

from accounts.models import BrokerAccount
from accounts.queries import streaming_logins
from kite.types import Login
from market_data.pressure import PRESSURE, Pressure
from market_data.queries import desired_modes, strikes_of
from market_data.sharding import PER_ACCOUNT, Lines, assign, shard_of
from market_data.thresholds import pressure_limits

FINGERPRINT = """
SELECT count(*), COALESCE(sum(hashtextextended(i.instrument_token || s.mode, 0)), 0)
FROM market_data_subscription s JOIN market_data_instrument i ON i.id = s.instrument_id
WHERE i.listed AND (s.expires_at IS NULL OR s.expires_at > %s)
"""


@dataclass(frozen=True, slots=True)
class Seat:
    """One account's part: its login and the instruments of each of its connections."""

    login: Login
    label: str
    lines: Lines


@dataclass(frozen=True, slots=True)
class Plan:
    """The whole of a shard; `accounts` and `wanted` count over all shards, `unplaced` found no room anywhere.

    `options` gives each wanted option's (index token, strike); `pressure` is what the feed judges itself by.
    """

    seats: Mapping[str, Seat] = field(default_factory=dict)
    accounts: int = 0
    wanted: int = 0
    unplaced: tuple[int, ...] = ()
    options: Mapping[int, tuple[int, float]] = field(default_factory=dict)
    pressure: Pressure = PRESSURE

    def can_spare_an_account(self) -> bool:
        """Say whether the other accounts have room for everything."""
        return self.accounts > 1 and self.wanted <= (self.accounts - 1) * PER_ACCOUNT


class Planner:
    """Reads the wishes; returns the very same plan while nothing has changed."""

    def __init__(self, *, shard: int, shards: int) -> None:
        self._shard = shard
        self._shards = shards
        self._seen: object = None
        self._plan = Plan()

    def load(self, *, now: datetime) -> Plan:
        """Return the plan in force."""
        logins = streaming_logins(now=now)
        pressure = pressure_limits()
        seen = (tuple(logins), _fingerprint(now), pressure)
        if seen != self._seen:
            self._plan = self._make(logins, pressure, now)
            self._seen = seen
        return self._plan

    def _make(self, logins: Sequence[Login], pressure: Pressure, now: datetime) -> Plan:
        wanted = desired_modes(now=now)
        assignment = assign(wanted=wanted, accounts=[login.account_id for login in logins])
        mine = [login for login in logins if shard_of(account_id=login.account_id, shards=self._shards) == self._shard]
        labels = {
            str(key): label
            for key, label in BrokerAccount.objects.filter(id__in=[login.account_id for login in mine]).values_list(
                "id", "label"
            )
        }
        seats = {
            login.account_id: Seat(login, labels[login.account_id], assignment.lines[login.account_id])
            for login in mine
        }
        return Plan(
            seats=seats,
            accounts=len(logins),
            wanted=len(wanted),
            unplaced=assignment.unplaced,
            options=strikes_of(wanted),
            pressure=pressure,
        )


def _fingerprint(now: datetime) -> tuple[object, ...]:
    with connection.cursor() as cursor:
        cursor.execute(FINGERPRINT, [now])
        return tuple(cursor.fetchone())
