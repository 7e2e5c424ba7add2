"""A desk with one account at the sandbox."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache
from typing import Any
from uuid import uuid4

import pytest
from redis import Redis

from accounts import credentials
from accounts.models import BrokerAccount
from accounts.queries import Principal
from accounts.sessions import Sessions
from market_data.models import Instrument
from orders import carried, execution, intake, reconciliation
from orders.drafts import Wanted
from orders.models import Order
from orders.tags import installation_code
from tests.factories import BrokerAccountFactory, principal
from tests.market_data.factories import InstrumentFactory
from tests.orders.clocks import MovedClock
from tests.sandbox_server import SandboxServer
from ticker_site.celery import app  # noqa: F401 (tasks are enqueued into the test's own Valkey)

KEY = "NSE:INFY"


@dataclass(frozen=True, slots=True)
class Desk:
    """An account of a sandbox user, logged in, and what is needed to trade on it."""

    sandbox: SandboxServer
    account: BrokerAccount
    instrument: Instrument
    principal: Principal
    sessions: Sessions
    clock: MovedClock
    since: int

    @property
    def placed(self) -> list[str]:
        """The ids of the orders that the exchange accepted during this test."""
        return self.sandbox.placed(since=self.since)

    @property
    def last_price(self) -> float:
        """The exchange's last price of the instrument."""
        return float(self.sandbox.book(KEY)["last_price"])

    def price(self, percent: int) -> Decimal:
        """Return a price so far from the last one, on the tick."""
        return Decimal(str(round(self.last_price * (100 + percent) / 100, 1)))

    def wanted(self, **values: Any) -> Wanted:
        """Return a market order to buy one share, changed by `values`."""
        fields: dict[str, Any] = {
            "account": self.account.label,
            "exchange": "NSE",
            "tradingsymbol": "INFY",
            "transaction_type": "BUY",
            "order_type": "MARKET",
            "product": "CNC",
            "quantity": 1,
            "allow_duplicate": True,
        }
        return Wanted(**{**fields, **values})

    def place(self, key: str = "", **values: Any) -> Order:
        """Take an order in."""
        return intake.place(
            principal=self.principal,
            wanted=self.wanted(**values),
            idempotency_key=key or str(uuid4()),
            sessions=self.sessions,
            now=datetime.now(UTC),
        ).order

    def submit(self, order: Order) -> float | None:
        """Carry the order as a worker does, and look at it again."""
        again = execution.submit(order_id=order.pk, sessions=self.sessions, clock=self.clock)
        order.refresh_from_db()
        return again

    def patient(self, **values: Any) -> Order:
        """Place and submit a limit order that rests far below the market."""
        order = self.place(order_type="LIMIT", price=self.price(-5), **values)
        self.submit(order)
        return order


def log_in(account: BrokerAccount, exchange: SandboxServer, user: int) -> None:
    """Give the account a live token of a sandbox user."""
    token = exchange.login(user)
    credentials.complete_login(account_id=account.pk, request_token=token, actor="test", now=datetime.now(UTC))


@pytest.fixture
def desk(sandbox: SandboxServer, settings: Any, clean_redis: Redis, transactional_db: None) -> Desk:
    """Return a desk with one logged-in account and one share."""
    return open_desk(sandbox, settings)


@pytest.fixture
def fresh_desk(settings: Any, clean_redis: Redis, transactional_db: None) -> Iterator[Desk]:
    """Return a desk at an exchange of its own, whose books hold nothing of other tests."""
    with SandboxServer() as exchange:
        yield open_desk(exchange, settings)


@cache
def installations() -> Iterator[str]:
    """Yield names whose codes in tags differ: what earlier tests left at the shared exchange is a stranger's."""
    by_code: dict[int, str] = {}
    for number in itertools.count():
        by_code.setdefault(installation_code(f"desk-{number}"), f"desk-{number}")
        if len(by_code) == 1024:
            return itertools.cycle(by_code.values())
    raise AssertionError("unreachable")


def open_desk(exchange: SandboxServer, settings: Any) -> Desk:
    """Make the exchange the broker, and its first user an account that is logged in."""
    settings.INSTALLATION_ID = next(installations())
    settings.KITE_REST_ROOT = exchange.rest_root
    settings.KITE_WS_ROOT = exchange.ws_root
    exchange.settings(limits=False)
    user = exchange.user(0)
    account = BrokerAccountFactory(label=user.user_id.lower(), broker_user_id=user.user_id)
    now = datetime.now(UTC)
    credentials.rotate(
        account_id=account.pk, api_key=user.api_key, api_secret=user.api_secret, actor="test", reason="first", now=now
    )
    log_in(account, exchange, 0)
    reconciliation.note_reading(account_id=account.pk, at=now)
    carried.keep(account_id=account.pk, rows=(), at=now)
    book = exchange.book(KEY)
    instrument = InstrumentFactory(tradingsymbol="INFY", instrument_token=book["instrument_token"], tick_size="0.1")
    return Desk(
        sandbox=exchange,
        account=account,
        instrument=instrument,
        principal=principal(),
        sessions=Sessions(),
        clock=MovedClock(),
        since=exchange.journal_end(),
    )
