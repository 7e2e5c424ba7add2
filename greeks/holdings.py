"""Instruments that are held, as positions of a book, and the chains those positions need."""

from collections.abc import Iterable
from typing import Final

from greeks import store
from greeks.book import NEVER, Position
from greeks.layout import SIGNS
from greeks.store import Chain, ChainKey
from market_data.bus import sync_bus
from market_data.models import Instrument

FUTURE: Final = "FUT"


def position_of(
    *,
    instrument: Instrument,
    quantity: float,
    price: float,
    account: str = "",
    group: str = "",
    strategy: str = "",
) -> Position:
    """Return the position of so many units; the price counts for futures and shares alone."""
    derivative = instrument.expiry is not None and (
        instrument.instrument_type == FUTURE or instrument.instrument_type in SIGNS
    )
    return Position(
        instrument_token=instrument.instrument_token,
        key=ChainKey(
            instrument.name if derivative else instrument.tradingsymbol, (derivative and instrument.expiry) or NEVER
        ),
        quantity=quantity,
        linear=instrument.instrument_type not in SIGNS,
        price=price,
        lot_size=max(instrument.lot_size, 1),
        account=account,
        group=group,
        strategy=strategy,
    )


def chains_of(*, positions: Iterable[Position]) -> dict[ChainKey, Chain]:
    """Return the live chains of the options among the positions; raises FeedDown."""
    keys = {position.key for position in positions if not position.linear}
    blobs = {key: sync_bus().get_blob(key.blob) for key in sorted(keys)}
    return {key: store.unpack(blob) for key, blob in blobs.items() if blob is not None}
