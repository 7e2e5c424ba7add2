"""Prices are reproducible, on the tick, inside parity, and can start from real data."""

import datetime as dt
import gzip
import json
from pathlib import Path

import numpy as np
import pytest
import requests

from sandbox.black import black_price, erfc, implied_total_sigma
from sandbox.chain import calibrate, chain_universe, read_chain
from sandbox.dump import read_dump
from sandbox.instruments import dump_csv
from sandbox.market import Market
from sandbox.prices import Model
from sandbox.sessions import Sessions, monthly_expiries, weekly_expiries
from sandbox.universe import Universe, build_universe
from tests.sandbox_server import SandboxServer

SHARED = Path(__file__).resolve().parents[3] / "shared"
IST = dt.timezone(dt.timedelta(hours=5, minutes=30))
START = dt.datetime(2026, 11, 25, 9, 30, tzinfo=IST)


def build(seed: int = 7, universe: Universe | None = None) -> Market:
    universe = universe or build_universe(today=START.date(), sessions=Sessions())
    return Market(universe=universe, model=Model(universe=universe, seed=seed), seed=seed, epoch=START.timestamp())


def run(market: Market, steps: int) -> None:
    for number in range(1, steps + 1):
        market.step(epoch=START.timestamp() + number * 0.5, seconds=0.5)


def test_the_same_seed_gives_the_same_market() -> None:
    first, second, other = build(), build(), build(seed=8)
    for market in (first, second, other):
        run(market, 40)

    assert np.array_equal(first.last, second.last)
    assert np.array_equal(first.bid_quantity, second.bid_quantity)
    assert not np.array_equal(first.last, other.last)


def test_every_price_is_on_its_tick_and_no_book_is_crossed() -> None:
    market = build()
    run(market, 60)

    traded = ~market.is_index
    for prices in (market.bid_price, market.ask_price):
        assert (prices[traded] % market.tick[traded][:, None] == 0).all()
    assert (market.bid_price[traded, 0] < market.ask_price[traded, 0]).all()
    assert (np.diff(market.ask_price[traded], axis=1) > 0).all()
    assert (market.low <= market.last).all()
    assert (market.last <= market.high).all()


def test_the_market_moves() -> None:
    market = build()
    before = market.last.copy()
    run(market, 60)

    moved = (market.last != before).mean()
    assert moved > 0.5


def test_puts_and_calls_are_in_parity() -> None:
    market = build()
    run(market, 20)
    model, rows = market.model, market.universe.instruments
    calls = np.array([row for row, one in enumerate(rows) if one.instrument_type == "CE" and one.name == "NIFTY"])
    puts = np.array([market.universe.by_key[rows[row].key.removesuffix("CE") + "PE"] for row in calls])
    epoch = market.epoch

    years = (model.expiry_epoch[calls] - epoch) / (365 * 86_400)
    spot = model.level[model.spot[calls]]
    discount = np.exp(-model.carry[model.spot[calls]] * years)
    difference = model.fair(epoch=epoch, rows=calls) - model.fair(epoch=epoch, rows=puts)

    assert difference == pytest.approx(spot - discount * model.strike[calls], abs=1e-6)


def test_the_smile_has_dearer_puts_than_calls() -> None:
    model = build().model
    rows = np.array(
        [row for row, one in enumerate(model.universe.instruments) if one.name == "NIFTY" and one.is_option]
    )
    forward, years = np.full(len(rows), 25_960.0), np.full(len(rows), 0.1)

    sigma = model.sigma(rows=rows, forward=forward, years=years)

    low = sigma[model.strike[rows] < 24_500].mean()
    high = sigma[model.strike[rows] > 27_400].mean()
    assert low > high > 0.05


def test_the_error_function_is_good_to_seven_digits() -> None:
    known = {0.0: 1.0, 0.5: 0.4795001221869535, 1.0: 0.15729920705028513, 2.5: 4.069520174449589e-4, -1.0: 1.8427007929}

    for x, value in known.items():
        assert erfc(np.array([x]))[0] == pytest.approx(value, rel=2e-7)


def test_a_price_gives_its_volatility_back() -> None:
    forward, strike = np.full(3, 100.0), np.array([90.0, 100.0, 115.0])
    shared = {
        "forward": forward,
        "strike": strike,
        "discount": np.full(3, 0.99),
        "is_call": np.array([False, True, True]),
    }
    price = black_price(total_sigma=np.full(3, 0.2), **shared)

    assert implied_total_sigma(price=price, **shared) == pytest.approx(np.full(3, 0.2), abs=1e-9)


def test_weekly_expiries_move_back_over_holidays() -> None:
    found = weekly_expiries(today=dt.date(2026, 11, 20), weekday=1, count=2, sessions=Sessions())

    assert found == [dt.date(2026, 11, 23), dt.date(2026, 12, 1)]


def test_monthly_expiries_are_the_last_of_their_weekday() -> None:
    found = monthly_expiries(today=dt.date(2026, 11, 25), weekday=1, count=2, sessions=Sessions())

    assert found == [dt.date(2026, 12, 29), dt.date(2027, 1, 25)]


def test_tokens_carry_exchange_token_and_segment() -> None:
    universe = build_universe(today=START.date(), sessions=Sessions())

    assert len(universe.by_token) == len(universe)
    assert {one.token & 0xFF for one in universe.instruments if one.exchange == "BFO"} == {5}
    assert universe.instruments[universe.by_key["NSE:INFY"]].token == 1594 << 8 | 1


def write_chain(path: Path) -> Path:
    """Write a small chain in NSE's form, priced at 20 % volatility."""
    rows = [
        _strike_row(strike, expiry) for expiry in ("29-Aug-2019", "26-Sep-2019") for strike in (9_900, 10_000, 10_100)
    ]
    document = {"timestamp": "23-Aug-2019 15:30:00", "underlyingValue": 10_000.0, "data": rows}
    with gzip.open(path, "wt") as handle:
        json.dump({"records": document}, handle)
    return path


def _strike_row(strike: int, expiry: str) -> dict[str, object]:
    quotes = {}
    for kind in ("CE", "PE"):
        price = black_price(
            forward=np.array([10_010.0]), strike=np.array([float(strike)]), total_sigma=np.array([0.03]),
            discount=np.array([0.999]), is_call=np.array([kind == "CE"]),
        )[0]  # fmt: skip
        quotes[kind] = {"expiryDate": expiry, "strikePrice": strike, "bidprice": price - 0.1, "askPrice": price + 0.1}
    return {"strikePrice": strike, "expiryDate": expiry, **quotes}


def test_a_real_chain_starts_at_its_prices(tmp_path: Path) -> None:
    chain = read_chain(write_chain(tmp_path / "chain.json.gz"), today=START.date())
    universe = chain_universe(build_universe(today=START.date(), sessions=Sessions()), chain)
    model = Model(universe=universe, seed=7)

    fitted = calibrate(model, epoch=START.timestamp())

    rows = np.array([row for row, one in enumerate(universe.instruments) if one.name == "NIFTY" and one.is_option])
    wanted = np.array([universe.instruments[row].price for row in rows])
    assert fitted == len(rows) == 12
    assert model.fair(epoch=START.timestamp(), rows=rows) == pytest.approx(wanted, abs=0.02)
    assert min(one.expiry for one in universe.instruments if one.name == "NIFTY" and one.expiry) == dt.date(2026, 12, 1)


@pytest.mark.skipif(not (SHARED / "nse-chain").exists(), reason="the real option chain is not here")
def test_the_real_nse_chain_opens_near_its_quotes() -> None:
    path = next((SHARED / "nse-chain").glob("*.json.gz"))
    chain = read_chain(path, today=START.date())
    market_universe = chain_universe(build_universe(today=START.date(), sessions=Sessions()), chain)
    model = Model(universe=market_universe, seed=7)
    calibrate(model, epoch=START.timestamp())

    near = [
        row
        for row, one in enumerate(market_universe.instruments)
        if one.name == "NIFTY" and one.is_option and one.price > 5 and abs(one.strike - chain.spot) < 400
    ]
    rows = np.array(near, dtype=np.int64)
    wanted = np.array([market_universe.instruments[row].price for row in near])
    error = np.abs(model.fair(epoch=START.timestamp(), rows=rows) - wanted) / wanted
    assert np.median(error) < 0.01


def test_the_exchange_starts_from_its_own_dump(tmp_path: Path) -> None:
    with SandboxServer() as server:
        text = requests.get(f"{server.rest_root}/instruments", timeout=5).text
    path = tmp_path / "dump.csv"
    path.write_text(text)

    universe = read_dump(path)

    market = build(universe=universe)
    assert len(universe) == len(text.splitlines()) - 1
    nifty = market.last_price(universe.by_key["NSE:NIFTY 50"])
    assert 24_000 < nifty < 28_000
    future = next(one for one in universe.instruments if one.is_future and one.name == "NIFTY")
    assert market.last_price(universe.by_key[future.key]) == pytest.approx(nifty, rel=0.05)
    with SandboxServer("--instruments", str(path)) as server:
        assert server.state()["instruments"] == len(universe)


@pytest.mark.parametrize(("days", "weeks"), [(-5, 0), (0, 0), (1, 1), (7, 1), (40, 6)])
def test_an_old_dump_can_be_rolled_by_whole_weeks(tmp_path: Path, days: int, weeks: int) -> None:
    path = tmp_path / "dump.csv"
    universe = build_universe(today=dt.date(2026, 11, 24), sessions=Sessions())
    path.write_bytes(dump_csv(universe.instruments))
    before = [one.expiry for one in universe.instruments if one.expiry is not None]

    rolled = read_dump(path, first_expiry=min(before) + dt.timedelta(days=days)).instruments

    assert [one.expiry for one in rolled if one.expiry] == [day + dt.timedelta(weeks=weeks) for day in before]
