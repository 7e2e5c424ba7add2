"""The market's state as columns: spots walk, futures carry, options follow the smile."""

from __future__ import annotations

from datetime import date, datetime, time

import numpy as np
from numpy.typing import NDArray

from sandbox.black import black_price, smile_sigma
from sandbox.clock import IST
from sandbox.noise import hashed, uniform
from sandbox.universe import Universe

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

YEAR_SECONDS = 365.0 * 86_400.0
TRADING_YEAR_SECONDS = 252.0 * 22_500.0
SPOT, FUTURE, OPTION = 0, 1, 2


class Model:
    """Fair prices: the state of every spot and the rule from spots to instruments."""

    def __init__(self, *, universe: Universe, seed: int) -> None:
        self.universe = universe
        names = list(universe.spots)
        self.row_of_spot = {name: row for row, name in enumerate(names)}
        spots = [universe.spots[name] for name in names]
        self.base = np.array([spot.price for spot in spots])
        self.volatility = np.array([spot.volatility for spot in spots])
        self.beta = np.array([spot.beta for spot in spots])
        self.carry = np.array([spot.carry for spot in spots])
        self.level = self.base.copy()
        self.atm = np.maximum(self.volatility, 0.05)
        self._random = np.random.Generator(np.random.PCG64(seed))
        self._load_instruments()

    def _load_instruments(self) -> None:
        rows = self.universe.instruments
        self.kind = np.array([OPTION if row.is_option else FUTURE if row.is_future else SPOT for row in rows])
        self.spot = np.array([self.row_of_spot[row.underlying] for row in rows], dtype=np.int64)
        self.strike = np.array([row.strike or 1.0 for row in rows])
        self.is_call = np.array([row.instrument_type == "CE" for row in rows])
        self.expiry_epoch = np.array([_expiry_epoch(row.expiry) for row in rows])
        self.fixed_sigma = np.full(len(rows), np.nan)
        self.forward_shift = np.zeros(len(rows))
        self.shift = np.zeros(len(rows))

    def extend(self) -> None:
        """Make room for the instruments that the universe has gained."""
        old = {name: getattr(self, name) for name in ("fixed_sigma", "forward_shift", "shift")}
        self._load_instruments()
        for name, values in old.items():
            getattr(self, name)[: len(values)] = values

    def open_gap(self, *, seconds: float) -> None:
        """Walk once over a gap, as a market does overnight."""
        self.walk(seconds=seconds)

    def walk(self, *, seconds: float) -> None:
        """Advance every spot by one log-normal step with a common market factor."""
        scale = np.sqrt(seconds / TRADING_YEAR_SECONDS)
        market = self._random.standard_normal()
        own = self._random.standard_normal(len(self.level))
        market_sigma = 0.11 * self.beta
        own_sigma = np.sqrt(np.maximum(self.volatility**2 - market_sigma**2, (0.25 * self.volatility) ** 2))
        move = scale * (market_sigma * market + own_sigma * own)
        pull = 0.5 * np.log(self.base / self.level) * seconds / (5 * 22_500.0)
        self.level *= np.exp(move + pull)
        self.atm *= np.exp(0.6 * scale * self._random.standard_normal(len(self.atm)))
        self.atm = np.clip(self.atm, 0.5 * self.volatility, 2.0 * self.volatility)

    def fair(self, *, epoch: float, rows: Ints) -> Floats:
        """Return fair prices in rupees for the instruments `rows`."""
        spot = self.level[self.spot[rows]]
        years = np.maximum((self.expiry_epoch[rows] - epoch) / YEAR_SECONDS, 0.0)
        kind = self.kind[rows]
        carry = self.carry[self.spot[rows]]
        forward = np.where(kind == SPOT, spot, spot * np.exp(carry * years)) + self.forward_shift[rows]
        fair = forward.copy()
        options = np.flatnonzero(kind == OPTION)
        if len(options):
            fair[options] = self._options(rows[options], forward[options], years[options])
        return np.maximum(fair + self.shift[rows], 0.0)

    def sigma(self, *, rows: Ints, forward: Floats, years: Floats) -> Floats:
        curve = smile_sigma(
            log_moneyness=np.log(self.strike[rows] / forward), years=years, atm=self.atm[self.spot[rows]]
        )
        fixed = self.fixed_sigma[rows]
        return np.where(np.isnan(fixed), curve, fixed)

    def _options(self, rows: Ints, forward: Floats, years: Floats) -> Floats:
        sigma = self.sigma(rows=rows, forward=forward, years=years)
        return black_price(
            forward=forward,
            strike=self.strike[rows],
            total_sigma=sigma * np.sqrt(years),
            discount=np.exp(-self.carry[self.spot[rows]] * years),
            is_call=self.is_call[rows],
        )

    def distance(self, *, rows: Ints) -> Floats:
        """Return how far each option's strike lies from its spot, in log terms; 0 for the rest."""
        spot = self.level[self.spot[rows]]
        return np.where(self.kind[rows] == OPTION, np.abs(np.log(self.strike[rows] / spot)), 0.0)


def _expiry_epoch(expiry: date | None) -> float:
    if expiry is None:
        return 4e9
    return datetime.combine(expiry, time(15, 30), tzinfo=IST).timestamp()


def activity_of(*, model: Model, universe: Universe) -> Floats:
    """Return the share of intervals in which each instrument trades: 1 for actives, less out in the wings."""
    rows = np.arange(len(universe), dtype=np.int64)
    nearness = np.exp(-model.distance(rows=rows) * 12.0)
    years = np.clip((model.expiry_epoch - model.expiry_epoch.min()) / YEAR_SECONDS, 0.0, 1.0)
    activity = np.clip(nearness * np.exp(-3.0 * years), 0.08, 1.0)
    jitter = uniform(hashed(keys=rows.astype(np.uint64), step=0, salt=17))
    activity = np.where(model.kind == OPTION, activity, 0.55 + 0.45 * jitter)
    is_index = np.array([instrument.is_index for instrument in universe.instruments])
    return np.where(is_index, 1.0, activity)
