"""A market of many chains on a real bus, for timing the beat; none of it is in a database."""

import cProfile
import time
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import numpy as np
from redis import Redis

from greeks import kernel, layout, queries
from greeks.chains import Engine
from greeks.conventions import calendar_years
from greeks.layout import Layout
from greeks.models import ChainSetting
from kite.wire import KIND_FULL, KIND_INDEX_FULL, TICK, Rows
from market_data.batches import tops_key, tops_of
from market_data.bus import SyncBus
from market_data.models import Instrument

SPOT = 24_000.0
STEP = 50


class Market:
    """As many chains as asked for, two expiries an underlying, and the ticks of all of it."""

    def __init__(self, *, chains: int, strikes: int, rate: float) -> None:
        self.chains, self.rate = chains, rate
        self._token = 1_000
        today = datetime.now(UTC).date()
        expiries = [today + timedelta(days=7), today + timedelta(days=35)]
        self.underlyings = [self._underlying(f"N{number:03d}", expiries, strikes) for number in range(chains // 2)]
        self.plan: Layout = layout.build(underlyings=self.underlyings, spots={})

    def ticks(self, *, now: datetime) -> Rows:
        """Return a full tick of every instrument, in the order they were first heard: any."""
        rows = np.zeros(len(self.plan.instruments), TICK)
        rows["instrument_token"], rows["kind"], rows["tradable"] = self.plan.token, KIND_FULL, True
        rows["received_at"], rows["last_trade_at"] = now.timestamp(), int(now.timestamp())
        rows["last_price"] = SPOT
        for slot in self.plan.slots:
            years = calendar_years(now=now, expires_at=slot.expires_at)
            strike, sign = self.plan.strike[slot.rows], self.plan.sign[slot.rows]
            iv = 0.12 + 1.5 * np.square(np.log(strike / SPOT))
            price = kernel.price(SPOT * np.exp(self.rate * years), strike, years, self.rate, sign, iv)
            part = rows[slot.rows]
            part["last_price"], part["bid_price"][:, 0], part["ask_price"][:, 0] = price, price - 0.05, price + 0.05
            part["oi"], part["volume"] = 7_500, 1_500
        rows["kind"][rows["last_price"] == SPOT] = KIND_INDEX_FULL
        return rows[np.random.default_rng(1).permutation(len(rows))]

    def _underlying(self, name: str, expiries: list[date], strikes: int) -> queries.Underlying:
        grid = [int(SPOT) + STEP * (place - strikes // 2) for place in range(strikes)]
        options = [
            self._instrument(name, side, expiry, strike)
            for expiry in expiries
            for strike in grid
            for side in ("CE", "PE")
        ]
        return queries.Underlying(
            setting=ChainSetting(underlying=name, index_symbol=name, strikes_each_side=0, expiries=len(expiries)),
            index=self._instrument(name, "EQ", None, 0),
            futures=(self._instrument(name, "FUT", expiries[-1], 0),),
            options=tuple(options),
            dividend=0.0,
        )

    def _instrument(self, name: str, kind: str, expiry: date | None, strike: int) -> Instrument:
        self._token += 1
        return Instrument(
            pk=self._token,
            instrument_token=self._token,
            exchange="NFO" if expiry else "NSE",
            tradingsymbol=f"{name}{expiry or ''}{strike}{kind}",
            name=name,
            instrument_type=kind,
            expiry=expiry,
            strike=Decimal(strike),
            tick_size=Decimal("0.05"),
            lot_size=75,
        )


class FixedEngine(Engine):
    """The engine with a layout that needs no database; everything else is the engine's own."""

    def __init__(self, *, url: str, market: Market) -> None:
        super().__init__(bus=SyncBus(url=url, shards=1))
        self._market, self._redis = market, Redis.from_url(url)
        self._rate = market.rate
        self.solved = 0
        self.profile: cProfile.Profile | None = None

    def layout(self, *, tops: Sequence[Rows], now: datetime) -> Layout:
        """Return the market's layout."""
        return self._market.plan

    def beat(self) -> tuple[float, float]:
        """Publish fresh ticks, then return the seconds of one computation on the processor and on the wall."""
        now = datetime.now(UTC)
        self._redis.set(tops_key(0), tops_of(self._market.ticks(now=now)).tobytes())
        started, began = time.process_time(), time.perf_counter()
        report = self.profile.runcall(self.recompute, now=now) if self.profile else self.recompute(now=now)
        spent = time.process_time() - started, time.perf_counter() - began
        self.solved = report.solved
        if report.published != self._market.chains:
            raise RuntimeError(f"{report.published} of {self._market.chains} chains were published")
        return spent
