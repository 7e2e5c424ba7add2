"""The last price of an instrument: from the ticks, else from a quote of some process, else from the broker."""

import contextlib
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from accounts.queries import login_for
from accounts.sessions import Sessions
from kite.answers import Quote
from kite.errors import Throttled
from market_data.bus import NamedBlob, sync_bus
from market_data.errors import FeedDown
from market_data.models import Instrument
from orders.risk import MAX_PRICE_AGE_SECONDS

TOPIC = "orders.quotes"
# Circuit limits hold for a day and are widened now and then.
BAND_SECONDS = 900
QUOTE_SECONDS = 10
PAUSES = (0.02, 0.05, 0.1, 0.2, 0.4, 0.8)


Band = tuple[Decimal, Decimal]


@dataclass(frozen=True, slots=True)
class Price:
    """A last price in rupees and how old it is."""

    rupees: Decimal
    age_seconds: float
    band: Band | None = None
    band_known: bool = True


def last_price(*, instrument: Instrument, account_id: UUID, sessions: Sessions, now: datetime) -> Price:
    """Return the freshest last price; raise what kept it from being known.

    Quotes are scarce, one a second for each API key, so one that was asked for serves everybody while it is fresh.
    """
    price = known_price(instrument=instrument, now=now)
    if price is not None:
        return price
    try:
        return ask(instruments=[instrument], account_id=account_id, sessions=sessions, now=now)[str(instrument)]
    except Throttled:
        # Whoever took the second's quote may be asking for the same instrument at this moment.
        for pause in PAUSES:
            time.sleep(pause)
            price = _quoted_before(instrument, now=now)
            if price is not None:
                return price
        raise


def known_price(*, instrument: Instrument, now: datetime) -> Price | None:
    """Return the fresh price that ticks or earlier quotes told, None where neither did."""
    price = _streamed(instrument, now=now) or _quoted_before(instrument, now=now)
    if price is None:
        return None
    try:
        blob = sync_bus().get_blob(_band_key(instrument))
    except FeedDown:
        blob = None
    limits = json.loads(blob) if blob else []
    band = (Decimal(limits[0]), Decimal(limits[1])) if limits else None
    return replace(price, band=band, band_known=blob is not None)


def ask(*, instruments: Sequence[Instrument], account_id: UUID, sessions: Sessions, now: datetime) -> dict[str, Price]:
    """Return the broker's quotes of many instruments by key, for one call of the budget; others find them too."""
    client = sessions.client(login_for(account_id=account_id, now=now))
    quotes = client.quote([str(instrument) for instrument in instruments])
    found = {
        str(instrument): Price(quotes[str(instrument)].last_price, 0.0, _band_of(quotes[str(instrument)]))
        for instrument in instruments
        if str(instrument) in quotes
    }
    _share(instruments, found, now=now)
    return found


def _share(instruments: Sequence[Instrument], found: Mapping[str, Price], *, now: datetime) -> None:
    quotes, bands = [], []
    for instrument in instruments:
        price = found.get(str(instrument))
        if price is None:
            continue
        token = instrument.instrument_token
        quote = json.dumps([str(price.rupees), now.timestamp()]).encode()
        quotes.append(NamedBlob(_key(instrument), quote, TOPIC, token))
        band = json.dumps([str(limit) for limit in price.band or ()]).encode()
        bands.append(NamedBlob(_band_key(instrument), band, TOPIC, token))
    # Without the bus the next order asks again.
    with contextlib.suppress(FeedDown):
        sync_bus().put_blobs(blobs=quotes, seconds=QUOTE_SECONDS)
        sync_bus().put_blobs(blobs=bands, seconds=BAND_SECONDS)


def _band_of(quote: Quote) -> Band | None:
    """An index and an instrument without limits say 0."""
    low, high = quote.lower_circuit_limit, quote.upper_circuit_limit
    return (low, high) if high > 0 else None


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


def _fresh(price: Price) -> Price | None:
    return price if price.rupees > 0 and price.age_seconds <= MAX_PRICE_AGE_SECONDS else None


def _key(instrument: Instrument) -> str:
    return f"quote:{instrument.instrument_token}"


def _band_key(instrument: Instrument) -> str:
    return f"band:{instrument.instrument_token}"
