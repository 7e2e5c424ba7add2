"""A worker that takes orders in and carries them while its database dies; afterwards it says what is known.

python -m tests.orders.tireless work ACCOUNT PRICE   prints each order once its intake is committed, until SIGTERM
python -m tests.orders.tireless tell ACCOUNT         mends what was left, prints every order as JSON
"""

import json
import os
import sys
import time
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import uuid4

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "ticker_site.settings")
django.setup()

from django.db import InterfaceError, OperationalError, connection  # noqa: E402

from accounts.errors import PlatformError  # noqa: E402
from accounts.models import BrokerAccount, User  # noqa: E402
from accounts.queries import principal_of  # noqa: E402
from accounts.sessions import Sessions  # noqa: E402
from kite.errors import KiteError  # noqa: E402
from orders import execution, intake, reconciliation  # noqa: E402
from orders.drafts import Wanted  # noqa: E402
from orders.models import Order  # noqa: E402
from orders.states import State  # noqa: E402
from tests.orders.clocks import MovedClock  # noqa: E402

PATIENCE = 60


def work(label: str, price: str) -> None:
    """Take in and carry one order after another; a database that is away is asked again."""
    sessions, clock = Sessions(), MovedClock()
    while True:
        try:
            order = take_in(label, price, sessions=sessions)
            print(order.pk, flush=True)  # noqa: T201 (the test reads it)
            execution.submit(order_id=order.pk, sessions=sessions, clock=clock)
        except (OperationalError, InterfaceError):
            connection.close()
            clock = MovedClock()
        # Below the rate of the account's minute.
        time.sleep(0.1)


def take_in(label: str, price: str, *, sessions: Sessions) -> Order:
    wanted: dict[str, Any] = {
        "account": label,
        "exchange": "NSE",
        "tradingsymbol": "INFY",
        "transaction_type": "BUY",
        "order_type": "LIMIT",
        "product": "CNC",
        "quantity": 1,
        "price": Decimal(price),
        "allow_duplicate": True,
        "deadline_seconds": 3600,
    }
    placed = intake.place(
        principal=principal_of(User.objects.earliest("pk")),
        wanted=Wanted(**wanted),
        idempotency_key=str(uuid4()),
        sessions=sessions,
        now=datetime.now(UTC),
    )
    return placed.order


def tell(label: str) -> None:
    """Do what sweeper, workers and beat do, a hundred seconds at a step, until nothing is open; print every order."""
    account, clock, sessions = BrokerAccount.objects.get(label=label), MovedClock(), Sessions()
    unsettled = Order.objects.filter(state__in=[State.CLAIMED, State.SENDING, State.UNKNOWN])
    for _ in range(PATIENCE):
        reconciliation.recover(now=clock.now())
        try:
            reconciliation.reconcile_account(account_id=account.pk, sessions=sessions, clock=clock)
        except (KiteError, PlatformError):
            time.sleep(0.5)
            continue
        if not unsettled.exists():
            break
        clock.advance(100)
    rows = Order.objects.values_list("pk", "state", "origin", "broker_order_id")
    print(json.dumps([[str(value) if value else "" for value in row] for row in rows]))  # noqa: T201


if __name__ == "__main__":
    if sys.argv[1] == "work":
        work(*sys.argv[2:4])
    else:
        tell(sys.argv[2])
