"""Greeks of positions: what is summed, what is not, and what moves would do."""

from datetime import date

import numpy as np
import pytest
from rest_framework.test import APIClient

from greeks import book, kernel, store
from greeks.book import Position
from greeks.chains import Engine
from greeks.store import Chain, ChainKey
from market_data.bus import SyncBus
from tests.greeks.blobs import packed
from tests.greeks.market import MONTHLY, NOW, RATE, WEEKLY, OptionMarket
from tests.greeks.test_api import client_with

KEY = ChainKey("NIFTY", WEEKLY)
LOT = 75
FORWARD = 24_000.0


def small_chain(*, expiry: date = WEEKLY, years: float = 7 / 365) -> Chain:
    """A straddle at 24,000 and a call without a volatility, tokens 1, 2 and 3."""
    rows = np.zeros(3, store.ROW)
    rows["instrument_token"] = [1, 2, 3]
    rows["strike"] = [24_000.0, 24_000.0, 25_000.0]
    rows["sign"] = [1, -1, 1]
    rows["iv"] = [0.12, 0.12, np.nan]
    rows["flags"] = [0, 0, kernel.Flag.NO_PRICE | kernel.Flag.STALE_FORWARD]
    rows["price"] = kernel.price(24_000.0, rows["strike"], years, RATE, rows["sign"], rows["iv"])
    header = {
        "underlying": b"NIFTY",
        "expiry_ordinal": expiry.toordinal(),
        "forward": 24_000.0,
        "years": years,
        "rate": RATE,
        "lot_size": LOT,
    }
    return store.unpack(packed(rows=rows, header=header))


def legs_of(*held: tuple[int, int]) -> book.Legs:
    positions = [Position(token, KEY, quantity) for token, quantity in held]
    legs, unpriced = book.collect(positions=positions, chains={KEY: small_chain()})
    assert unpriced == []
    return legs["NIFTY"]


def test_a_position_counts_in_units_and_not_in_lots() -> None:
    one = kernel.greeks(24_000.0, 24_000.0, 7 / 365, RATE, 1.0, np.float32(0.12))

    found = book.totals(legs=legs_of((1, 2 * LOT)))

    assert found.delta_units == pytest.approx(150 * one.delta[0], rel=1e-9)
    assert found.delta_rupees == pytest.approx(150 * one.delta[0] * 24_000.0, rel=1e-9)
    assert found.theta == pytest.approx(150 * one.theta[0], rel=1e-9)
    assert found.vega == pytest.approx(150 * one.vega[0], rel=1e-9)
    assert found.gamma_one_percent == pytest.approx(150 * 0.5 * one.gamma[0] * 240.0**2, rel=1e-9)


def test_a_short_position_turns_every_sign() -> None:
    long, short = (book.totals(legs=legs_of((1, quantity))) for quantity in (LOT, -LOT))

    assert (short.delta_units, short.theta, short.vega) == (-long.delta_units, -long.theta, -long.vega)


def test_vega_is_weighted_to_thirty_days_by_the_root_of_time() -> None:
    found = book.totals(legs=legs_of((1, LOT)))

    assert found.vega_weighted == pytest.approx(found.vega * (30 / 7) ** 0.5)


def test_a_leg_without_a_volatility_is_listed_with_its_reason_and_not_summed() -> None:
    positions = [Position(1, KEY, LOT), Position(3, KEY, -LOT)]

    legs, unpriced = book.collect(positions=positions, chains={KEY: small_chain()})

    assert len(legs["NIFTY"]) == 1
    assert [(item.position.instrument_token, item.reasons) for item in unpriced] == [(3, ("no_price",))]


@pytest.mark.parametrize("position", [Position(9, KEY, 1), Position(1, ChainKey("NIFTY", MONTHLY), 1)])
def test_a_leg_outside_the_live_chains_is_listed(position: Position) -> None:
    legs, unpriced = book.collect(positions=[position], chains={KEY: small_chain()})

    assert legs == {}
    assert unpriced[0].reasons == ("no_live_chain",)


def test_no_move_is_no_profit() -> None:
    profit = book.scenarios(
        legs=legs_of((1, LOT), (2, LOT)), spot_moves=np.zeros(1), vol_moves=np.zeros(1), days=np.zeros(1)
    )

    assert profit.shape == (1, 1, 1)
    assert profit[0, 0, 0] == 0.0


def test_a_long_straddle_gains_from_moves_and_volatility_and_loses_from_time() -> None:
    profit = book.scenarios(
        legs=legs_of((1, LOT), (2, LOT)),
        spot_moves=np.array([-0.03, 0.0, 0.03]),
        vol_moves=np.array([0.0, 2.0]),
        days=np.array([0.0, 3.0]),
    )

    assert profit.shape == (3, 2, 2)
    assert profit[0, 0, 0] > 0.0 < profit[2, 0, 0]
    assert profit[1, 1, 0] > 0.0 > profit[1, 0, 1]


def test_small_moves_agree_with_the_sums() -> None:
    legs = legs_of((1, LOT))
    sums = book.totals(legs=legs)
    profit = book.scenarios(
        legs=legs, spot_moves=np.array([0.0, 1e-5]), vol_moves=np.array([0.0, 0.01]), days=np.array([0.0, 0.001])
    )

    assert profit[1, 0, 0] == pytest.approx(sums.delta_rupees * 1e-5, rel=2e-3)
    assert profit[0, 1, 0] == pytest.approx(sums.vega * 0.01, rel=2e-3)
    assert profit[0, 0, 1] == pytest.approx(sums.theta * 0.001, rel=2e-3)


def test_past_expiry_a_leg_is_worth_its_intrinsic_value() -> None:
    profit = book.scenarios(
        legs=legs_of((1, LOT)), spot_moves=np.array([0.01]), vol_moves=np.zeros(1), days=np.array([8.0])
    )
    cost = kernel.price(24_000.0, 24_000.0, 7 / 365, RATE, 1.0, np.float32(0.12))[0]

    assert profit[0, 0, 0] == pytest.approx(LOT * (240.0 - cost))


def test_volatility_does_not_fall_below_nothing() -> None:
    profit = book.scenarios(
        legs=legs_of((2, LOT)), spot_moves=np.zeros(1), vol_moves=np.array([-50.0]), days=np.zeros(1)
    )

    assert np.isfinite(profit).all()


@pytest.fixture
def client(db: None) -> APIClient:
    return client_with("greeks:read")


def test_a_book_is_answered_by_underlying_with_its_moves(
    client: APIClient, market: OptionMarket, engine: Engine, bus: SyncBus
) -> None:
    market.publish(market.rows())
    engine.recompute(now=NOW)
    body = {
        "positions": [
            {"instrument": "NFO:NIFTY37112624000CE", "quantity": LOT},
            {"instrument": "NFO:NIFTY37123124000PE", "quantity": -LOT},
        ],
        "spot_moves": [-0.02, 0.0, 0.02],
        "vol_moves": [0.0, 1.0],
    }

    document = client.post("/api/v1/greeks/book", body, format="json").json()

    (row,) = document["results"]
    assert (row["underlying"], row["legs"], document["unpriced"]) == ("NIFTY", 2, [])
    assert row["delta_units"] > LOT * 0.9
    assert [len(row["profit"]), len(row["profit"][0]), len(row["profit"][0][0])] == [3, 2, 1]
    assert row["profit"][0][0][0] < 0.0 < row["profit"][2][0][0]


def test_a_book_names_the_legs_it_could_not_price(client: APIClient, market: OptionMarket, engine: Engine) -> None:
    engine.recompute(now=NOW)
    body = {"positions": [{"instrument": "NFO:NIFTY37112624000CE", "quantity": LOT}]}

    document = client.post("/api/v1/greeks/book", body, format="json").json()

    assert document["results"] == []
    assert document["unpriced"] == [
        {"instrument": "NFO:NIFTY37112624000CE", "quantity": LOT, "reasons": ["no_price", "no_forward"]}
    ]


def test_an_instrument_that_is_no_option_is_refused(client: APIClient, market: OptionMarket) -> None:
    body = {"positions": [{"instrument": "NSE:NIFTY 50", "quantity": 1}]}

    answer = client.post("/api/v1/greeks/book", body, format="json")

    assert (answer.status_code, answer.json()["code"]) == (404, "instrument_unknown")


def test_a_grid_has_bounded_sides(client: APIClient, market: OptionMarket) -> None:
    body = {"positions": [{"instrument": "NFO:NIFTY37112624000CE", "quantity": 1}], "spot_moves": [0.0] * 42}

    assert client.post("/api/v1/greeks/book", body, format="json").status_code == 400


def future(quantity: float, *, price: float = FORWARD, **whose: str) -> Position:
    return Position(90, KEY, quantity, linear=True, price=price, lot_size=LOT, **whose)


def test_a_future_is_delta_one_and_nothing_else() -> None:
    legs, unpriced = book.collect(positions=[future(-2 * LOT)], chains={})

    sums = book.totals(legs=legs["NIFTY"])

    assert unpriced == []
    assert (sums.delta_units, sums.delta_lots, sums.delta_rupees) == (-2 * LOT, -2.0, -2 * LOT * FORWARD)
    assert (sums.gamma_one_percent, sums.theta, sums.vega, sums.rho, sums.value) == (0.0, 0.0, 0.0, 0.0, 0.0)


def test_a_future_hedges_an_option() -> None:
    delta = book.totals(legs=legs_of((1, LOT))).delta_units
    legs, _ = book.collect(positions=[Position(1, KEY, LOT), future(-delta)], chains={KEY: small_chain()})

    assert book.totals(legs=legs["NIFTY"]).delta_units == pytest.approx(0.0, abs=1e-9)


def test_a_future_moves_with_the_spot_alone() -> None:
    legs, _ = book.collect(positions=[future(LOT)], chains={})

    grid = book.scenarios(
        legs=legs["NIFTY"],
        spot_moves=np.array([-0.01, 0.0, 0.01]),
        vol_moves=np.array([0.0, 10.0]),
        days=np.array([0.0, 5.0]),
    )

    assert grid[:, 0, 0].tolist() == pytest.approx([-0.01 * LOT * FORWARD, 0.0, 0.01 * LOT * FORWARD])
    assert np.ptp(grid, axis=(1, 2)).tolist() == [0.0, 0.0, 0.0]


def test_a_future_without_a_price_is_listed() -> None:
    legs, unpriced = book.collect(positions=[future(LOT, price=0.0)], chains={})

    assert legs == {}
    assert unpriced[0].reasons == ("no_price",)


def test_a_position_counts_in_units_and_never_in_lots_times_units() -> None:
    """A net quantity of one lot of 75 has the delta of 75 units: multiplying by the lot again would make it 5,625."""
    chain = small_chain()

    sums = book.totals(legs=legs_of((1, LOT)))

    assert int(chain.header["lot_size"]) == LOT == 75
    assert 0.0 < sums.delta_units < LOT
    assert sums.delta_lots == pytest.approx(sums.delta_units / LOT)
    assert sums.delta_units == pytest.approx(LOT * 0.5, rel=0.02)


@pytest.mark.parametrize(
    ("by", "names"),
    [
        ("account", ["a", "b"]),
        ("group", ["family"]),
        ("underlying", ["NIFTY"]),
        ("expiry", [KEY.expiry.isoformat()]),
        ("strategy", ["", "s1"]),
    ],
)
def test_a_book_is_summed_by(by: str, names: list[str]) -> None:
    positions = [future(LOT, account="a", group="family", strategy="s1"), future(LOT, account="b", group="family")]

    legs, _ = book.collect(positions=positions, chains={}, by=by)

    assert list(legs) == names
    assert sum(book.totals(legs=part).delta_units for part in legs.values()) == 2 * LOT


def test_units_of_different_underlyings_are_not_added() -> None:
    other = Position(91, ChainKey("SENSEX", book.NEVER), 10.0, linear=True, price=80_000.0)

    legs, _ = book.collect(positions=[future(LOT, account="a"), other], chains={}, by="expiry")
    both, _ = book.collect(positions=[future(LOT), other], chains={}, by="group")

    assert list(legs) == ["", KEY.expiry.isoformat()]
    sums = book.totals(legs=both[""])
    assert np.isnan([sums.delta_units, sums.delta_lots]).all()
    assert sums.delta_rupees == LOT * FORWARD + 800_000.0
