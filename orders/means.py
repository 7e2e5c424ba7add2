"""What an order would block at the broker and what its account has left, asked for only where a limit needs it."""

import contextlib
from datetime import datetime
from decimal import Decimal
from typing import Final

from accounts.queries import login_for
from accounts.sessions import Sessions
from kite.types import Login
from market_data.bus import NamedBlob, sync_bus
from market_data.errors import FeedDown
from orders.models import Order
from orders.objections import Margin
from orders.parameters import margin_of

TOPIC: Final = "orders.margins"
# The broker answers few questions a second; what other orders take meanwhile is the broker's to judge.
AVAILABLE_SECONDS: Final = 2
COMMODITIES: Final = frozenset({"MCX", "NCO"})


def margin_for(*, order: Order, price: Decimal, sessions: Sessions, now: datetime) -> Margin:
    """Return the order's margin at a price beside what is available; raise what kept them from being known."""
    login = login_for(account_id=order.account_id, now=now)
    (row,) = sessions.client(login).order_margins([margin_of(order, price=price)])
    segment = "commodity" if order.exchange in COMMODITIES else "equity"
    return Margin(needed=row.total, available=_available(login, segment, sessions=sessions))


def _available(login: Login, segment: str, *, sessions: Sessions) -> Decimal:
    key = f"margin:{login.account_id}:{segment}"
    with contextlib.suppress(FeedDown):
        blob = sync_bus().get_blob(key)
        if blob is not None:
            return Decimal(blob.decode())
    net = sessions.client(login).margins()[segment].net
    # Without the bus the next order asks again.
    with contextlib.suppress(FeedDown):
        sync_bus().put_blobs(blobs=[NamedBlob(key, str(net).encode(), TOPIC, 0)], seconds=AVAILABLE_SECONDS)
    return net
