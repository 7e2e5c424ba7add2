"""The last price of an instrument: from the ticks, else from a quote of some process, else from the broker."""

import contextlib
import json
import time
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from accounts.queries import login_for
from accounts.sessions import Sessions
from kite.errors import Throttled
from market_data.bus import sync_bus
from market_data.errors import FeedDown
from market_data.models import Instrument
from orders.risk import MAX_PRICE_AGE_SECONDS

TOPIC = "orders.quotes"
PAUSES = (0.02, 0.05, 0.1, 0.2, 0.4, 0.8)


@dataclass(frozen=True, slots=True)
class Price:
    """A last price in rupees and how old it is."""

    rupees: Decimal
    age_seconds: float


def last_price(*, instrument: Instrument, account_id: UUID, sessions: Sessions, now: datetime) -> Price:
    """Return the freshest last price; raise what kept it from being known.

    Quotes are scarce, one a second for each API key, so one that was asked for serves everybody while it is fresh.
    """
    price = _streamed(instrument, now=now) or _quoted_before(instrument, now=now)
    if price is not None:
        return price
    try:
        return _ask(instrument, account_id=account_id, sessions=sessions, now=now)
    except Throttled:
        # Whoever took the second's quote may be asking for the same instrument at this moment.
        for pause in PAUSES:
            time.sleep(pause)
            price = _quoted_before(instrument, now=now)
            if price is not None:
                return price
        raise


def _streamed(instrument: Instrument, *, now: datetime) -> Price | None:
    at = now.timestamp()
    try:
        row = sync_bus().row_of(instrument.instrument_token, newer_than=at - MAX_PRICE_AGE_SECONDS)
    except FeedDown:
        return None
    if row is None:
        return None
    age = max(0.0, at - float(row["received_at"]))
    return _fresh(Price(Decimal(str(round(float(row["last_price"]), 4))), age))


def _quoted_before(instrument: Instrument, *, now: datetime) -> Price | None:
    try:
        blob = sync_bus().get_blob(_key(instrument))
    except FeedDown:
        return None
    if blob is None:
        return None
    rupees, at = json.loads(blob)
    return _fresh(Price(Decimal(rupees), max(0.0, now.timestamp() - at)))


def _ask(instrument: Instrument, *, account_id: UUID, sessions: Sessions, now: datetime) -> Price:
    client = sessions.client(login_for(account_id=account_id, now=now))
    quote = client.ltp([str(instrument)])[str(instrument)]
    blob = json.dumps([str(quote.last_price), now.timestamp()]).encode()
    # Without the bus the next order asks again.
    with contextlib.suppress(FeedDown):
        sync_bus().put_blob(key=_key(instrument), blob=blob, topic=TOPIC, sequence=instrument.instrument_token)
    return Price(quote.last_price, 0.0)


def _fresh(price: Price) -> Price | None:
    return price if price.rupees > 0 and price.age_seconds <= MAX_PRICE_AGE_SECONDS else None


def _key(instrument: Instrument) -> str:
    return f"quote:{instrument.instrument_token}"
