"""A small option market: instruments in the database, their ticks on the bus."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal

import numpy as np
from redis import Redis

from greeks import kernel
from greeks.conventions import IST, calendar_years, expiry_instant
from greeks.models import ChainSetting, RateSetting
from kite.wire import KIND_FULL, KIND_INDEX_FULL, TICK, Rows
from market_data.batches import Batch, BatchKind, snapshot_key, tops_key, tops_of
from market_data.models import Instrument
from tests.market_data.factories import InstrumentFactory

# Ahead of every clock these tests will run on, so that nothing expires for the views.
NOW = datetime(2037, 11, 19, 11, 0, tzinfo=IST)
WEEKLY = date(2037, 11, 26)
MONTHLY = date(2037, 12, 31)
SPOT = 24_000.0
RATE = 0.065
CARRY = 0.07
STEP = 50


def smile(strike: np.ndarray, forward: float) -> np.ndarray:
    k = np.log(strike / forward)
    return 0.12 - 0.15 * k + 1.5 * k * k


@dataclass
class OptionMarket:
    """NIFTY with its index, two expiries of options and a monthly future."""

    index: Instrument
    future: Instrument
    options: dict[date, list[Instrument]]
    redis: Redis

    def rows(self, *, now: datetime = NOW, spot: float = SPOT, future: float | None = None) -> Rows:
        """Return full ticks of every instrument, priced on one smile."""
        everything = [self.index, self.future, *(row for rows in self.options.values() for row in rows)]
        rows = np.zeros(len(everything), TICK)
        rows["instrument_token"] = [row.instrument_token for row in everything]
        rows["kind"] = KIND_FULL
        rows["kind"][0] = KIND_INDEX_FULL
        rows["tradable"] = True
        rows["received_at"] = now.timestamp()
        rows["last_trade_at"] = int(now.timestamp()) - 2
        rows["last_price"][0] = spot
        quote(rows[1:2], self.forward(MONTHLY, now=now, spot=spot) if future is None else future)
        start = 2
        for expiry, listed in self.options.items():
            part = rows[start : start + len(listed)]
            quote(part, self.prices(expiry, now=now, spot=spot))
            part["oi"], part["volume"] = 7_500, 1_500
            start += len(listed)
        return rows

    def forward(self, expiry: date, *, now: datetime = NOW, spot: float = SPOT) -> float:
        return spot * float(np.exp(CARRY * self.years(expiry, now=now)))

    def years(self, expiry: date, *, now: datetime = NOW) -> float:
        return calendar_years(now=now, expires_at=expiry_instant(expiry=expiry, exchange="NFO"))

    def prices(self, expiry: date, *, now: datetime = NOW, spot: float = SPOT) -> np.ndarray:
        listed = self.options[expiry]
        strike = np.array([float(row.strike) for row in listed])
        sign = np.array([1.0 if row.instrument_type == "CE" else -1.0 for row in listed])
        forward = self.forward(expiry, now=now, spot=spot)
        return kernel.price(forward, strike, self.years(expiry, now=now), RATE, sign, smile(strike, forward))

    def publish(self, rows: Rows) -> None:
        """Put the rows where the feed puts its last values."""
        ordered = rows[np.argsort(rows["instrument_token"])]
        batch = Batch(
            kind=BatchKind.SNAPSHOT, shard=0, epoch=1, from_sequence=0, to_sequence=1, published_us=0, rows=ordered
        )
        self.redis.mset({snapshot_key(0): batch.pack(), tops_key(0): tops_of(ordered).tobytes()})

    def token(self, strike: int, side: str, expiry: date = WEEKLY) -> int:
        return next(
            row.instrument_token for row in self.options[expiry] if row.strike == strike and row.instrument_type == side
        )


def quote(rows: Rows, price: np.ndarray | float) -> None:
    """Put a market of one tick each side around the price, which stays the exact mid."""
    rows["last_price"] = price
    rows["close"] = np.asarray(price) + 1.0
    rows["bid_price"][:, 0] = np.asarray(price) - 0.05
    rows["ask_price"][:, 0] = np.asarray(price) + 0.05


def build_market(*, redis: Redis, strikes_each_side: int = 20, expiries: int = 2) -> OptionMarket:
    """Return the market, alone enabled."""
    ChainSetting.objects.all().delete()
    ChainSetting.objects.create(
        underlying="NIFTY", index_symbol="NIFTY 50", strikes_each_side=strikes_each_side, expiries=expiries
    )
    RateSetting.objects.all().delete()
    RateSetting.objects.create(effective_date=date(2000, 1, 1), rate=Decimal(str(RATE)), source="a test")
    index = InstrumentFactory(tradingsymbol="NIFTY 50", segment="INDICES", instrument_token=256_265)
    make = option_maker()
    future = make("FUT", MONTHLY, 0)
    options = {
        expiry: [make(side, expiry, strike) for strike in range(23_000, 25_001, STEP) for side in ("CE", "PE")]
        for expiry in (WEEKLY, MONTHLY)
    }
    Instrument.objects.bulk_create([future, *(row for rows in options.values() for row in rows)])
    return OptionMarket(index=index, future=future, options=options, redis=redis)


def option_maker() -> Callable[[str, date, int], Instrument]:
    """Return a maker of NIFTY derivatives with tokens of their own."""
    tokens = iter(range(12_000_002, 12_900_000, 256))

    def make(side: str, expiry: date, strike: int) -> Instrument:
        found: Instrument = InstrumentFactory.build(
            exchange="NFO",
            segment="NFO-FUT" if side == "FUT" else "NFO-OPT",
            tradingsymbol=f"NIFTY{expiry:%y%m%d}{strike or ''}{side}",
            name="NIFTY",
            instrument_token=next(tokens),
            instrument_type=side,
            expiry=expiry,
            strike=Decimal(strike),
            lot_size=75,
        )
        return found

    return make


def later(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)
