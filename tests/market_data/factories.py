"""Factories and rows of market data."""

from datetime import UTC, datetime

import factory
import numpy as np
from factory.django import DjangoModelFactory

from kite.wire import TICK, Rows
from market_data.models import Instrument

NOW = datetime(2026, 8, 18, 5, 0, tzinfo=UTC)


class InstrumentFactory(DjangoModelFactory[Instrument]):
    """A listed share of the NSE."""

    class Meta:
        model = Instrument

    exchange = "NSE"
    tradingsymbol = factory.Sequence(lambda number: f"SHARE{number}")
    instrument_token = factory.Sequence(lambda number: (number + 1) << 8 | 1)
    exchange_token = factory.LazyAttribute(lambda row: row.instrument_token >> 8)
    instrument_type = "EQ"
    segment = "NSE"
    tick_size = "0.05"
    lot_size = 1
    synced_at = NOW


def ticks(prices: dict[int, float], *, received_at: float = 0.0) -> Rows:
    """Return one quote row per token."""
    rows = np.zeros(len(prices), TICK)
    rows["instrument_token"] = list(prices)
    rows["last_price"] = list(prices.values())
    rows["kind"] = 1
    rows["tradable"] = True
    rows["received_at"] = received_at
    return rows
