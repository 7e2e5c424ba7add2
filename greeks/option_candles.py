"""An option's candles read with those of what it stands on, few queries a question, and the minutes made of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import numpy as np

from accounts.errors import PlatformError
from greeks import queries
from greeks.conventions import EXPIRY_TIMES, PriceSource, Profile, expiry_instant
from greeks.enrichment import Contract, Enriched, Rates, Series, enrich, series
from greeks.errors import InvalidChain
from greeks.layout import SIGNS
from greeks.option_rows import BACKFILL, GREEKS, MINUTE
from greeks.store import Rows
from kite.errors import KiteError
from market_data.calendar import IST
from market_data.history import Answer, Broker, Question, read
from market_data.intervals import DAY, MINUTES, Bar, Stretch
from market_data.models import Instrument
from market_data.trading_days import read_calendar

MINUTE_SECONDS: Final = 60.0
# A close was traded before its candle ended, and the last one of an option before it expired.
BEFORE_END: Final = 1.0


@dataclass(frozen=True, slots=True)
class Valued:
    """Candles of an option beside their values, and what the broker could not be asked for."""

    bars: Sequence[Bar]
    enriched: Enriched
    answer: Answer
    unread: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Base:
    """What options of one underlying are valued with over one stretch; read once for all of them."""

    spot: Series
    futures: tuple[Series, ...]
    rates: Rates
    unread: tuple[str, ...]

    def future_of(self, *, expires_at: datetime) -> Series | None:
        """Return the future of the expiry, else the soonest."""
        same = (one for one in self.futures if one.expires_at == expires_at)
        return next(same, next(iter(self.futures), None))


class CandleReader:
    """Reads candles of one width over one stretch through one broker."""

    def __init__(self, *, broker: Broker, interval: str, stretch: Stretch, now: datetime) -> None:
        self._broker = broker
        self._interval = interval
        self._stretch = stretch
        self._now = now

    def closes_after(self, *, exchange: str) -> float:
        """Return how many seconds after its start a candle's close was traded; a day's candle starts at midnight."""
        if self._interval != DAY:
            return MINUTES[self._interval] * MINUTE_SECONDS - BEFORE_END
        closes = EXPIRY_TIMES[exchange]
        return closes.hour * 3_600.0 + closes.minute * MINUTE_SECONDS - BEFORE_END

    def answer(self, instrument: Instrument) -> Answer:
        """Return the instrument's candles; raises what the broker raises where there are none at all."""
        question = Question(instrument=instrument, interval=self._interval, stretch=self._stretch)
        return read(question, broker=self._broker, now=self._now)

    def base(self, *, option: Instrument) -> Base:
        """Return what the option's underlying was; without a series the values say so, nothing is raised."""
        contract_of(option)
        index, futures = queries.standing_on(option=option)
        unread: list[str] = []
        seconds = self.closes_after(exchange=option.exchange)
        spot = self._series(index, seconds, None, unread) if index is not None else None
        soonest = [row for row in futures if row.expiry is not None and option.expiry is not None]
        chosen = [row for row in soonest if row.expiry == option.expiry] or soonest[:1]
        found = [
            self._series(row, seconds, expiry_instant(expiry=row.expiry, exchange=row.exchange), unread)
            for row in chosen
            if row.expiry is not None
        ]
        empty = Series(np.zeros(0), np.zeros(0))
        rates = Rates(*queries.dated_rates(underlying=option.name))
        return Base(spot or empty, tuple(one for one in found if one), rates, tuple(unread))

    def valued(self, *, option: Instrument, base: Base, profile: Profile) -> Valued:
        """Return the option's candles with their values."""
        contract = contract_of(option)
        answer = self.answer(option)
        calendar = read_calendar(since=self._stretch.start.astimezone(IST).date(), until=contract.expires_at.date())
        enriched = enrich(
            contract=contract,
            option=series(bars=answer.bars, seconds=self.closes_after(exchange=option.exchange)),
            spot=base.spot,
            future=base.future_of(expires_at=contract.expires_at),
            rates=base.rates,
            profile=profile,
            calendar=calendar,
        )
        return Valued(answer.bars, enriched, answer, base.unread)

    def _series(
        self, instrument: Instrument, seconds: float, expires_at: datetime | None, unread: list[str]
    ) -> Series | None:
        try:
            bars = self.answer(instrument).bars
        except (KiteError, PlatformError) as error:
            unread.append(f"{instrument}: {error}")
            return None
        return series(bars=bars, seconds=seconds, expires_at=expires_at)


def contract_of(option: Instrument) -> Contract:
    """Return the option as a contract; raises InvalidChain for anything else."""
    if option.instrument_type not in SIGNS or option.expiry is None:
        raise InvalidChain(f"{option} is not an option", field="instrument")
    return Contract(
        exchange=option.exchange,
        strike=float(option.strike),
        sign=SIGNS[option.instrument_type],
        expires_at=expiry_instant(expiry=option.expiry, exchange=option.exchange),
        tick=float(option.tick_size),
    )


def minutes_of(*, option: Instrument, valued: Valued, profile: Profile) -> Rows:
    """Return minute candles as option minutes; a close is the last trade, as old as a minute may be."""
    found, rows = valued.enriched, np.zeros(len(valued.bars), MINUTE)
    contract = contract_of(option)
    rows["minute_at"] = [bar.start_at.timestamp() for bar in valued.bars]
    rows["instrument_token"], rows["strike"], rows["sign"] = option.instrument_token, contract.strike, contract.sign
    rows["expiry"] = contract.expires_at.date().toordinal()
    rows["profile"], rows["source"], rows["price_source"] = profile.code, BACKFILL, PriceSource.LAST
    rows["price"] = [float(bar.close) for bar in valued.bars]
    rows["price_age"] = np.where(np.isfinite(rows["price"]), 0.0, np.nan)
    rows["oi"] = [bar.oi or 0 for bar in valued.bars]
    rows["volume"] = [bar.volume for bar in valued.bars]
    for name in ("flags", "spot", "forward", "forward_source"):
        rows[name] = getattr(found, name)
    for name in GREEKS:
        rows[name] = getattr(found.result, name)
    return rows


def days_of(*, stretch: Stretch) -> list[Stretch]:
    """Return the stretch cut at India's midnights."""
    cuts, start = [], stretch.start
    while start < stretch.end:
        midnight = start.astimezone(IST).replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
        cuts.append(Stretch(start, min(midnight, stretch.end)))
        start = midnight
    return cuts
