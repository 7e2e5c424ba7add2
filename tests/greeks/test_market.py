"""Snapshots as columns beside a layout: who stands where, and what of two rows of one token counts."""

from datetime import UTC, datetime
from decimal import Decimal

import numpy as np
import pytest

from greeks import layout
from greeks.layout import Layout
from greeks.market import Market, Seats
from greeks.models import ChainSetting
from greeks.queries import Underlying
from kite.wire import KIND_FULL, KIND_INDEX_FULL, TICK, Rows
from market_data.batches import tops_of
from market_data.models import Instrument

NOW = datetime(2026, 11, 24, 10, 0, tzinfo=UTC)
STAMP = NOW.timestamp()


def instrument(token: int, kind: str, strike: int = 0) -> Instrument:
    return Instrument(
        pk=token,
        instrument_token=token,
        exchange="NFO",
        tradingsymbol=f"{strike}{kind}",
        instrument_type=kind,
        expiry=NOW.date() if strike else None,
        strike=Decimal(strike),
        tick_size=Decimal("0.05"),
        lot_size=75,
    )


@pytest.fixture
def plan() -> Layout:
    """A call 11 and a put 12 at 24,000, and their index 5."""
    chain = Underlying(
        setting=ChainSetting(underlying="NIFTY", strikes_each_side=0),
        index=instrument(5, "EQ"),
        futures=(),
        options=(instrument(11, "CE", 24_000), instrument(12, "PE", 24_000)),
        dividend=0.0,
    )
    return layout.build(underlyings=[chain], spots={})


def ticks(prices: dict[int, float], *, age: float = 1.0) -> Rows:
    rows = np.zeros(len(prices), TICK)
    rows["instrument_token"], rows["last_price"] = list(prices), list(prices.values())
    rows["kind"] = [KIND_INDEX_FULL if token == 5 else KIND_FULL for token in prices]
    rows["received_at"], rows["last_trade_at"] = STAMP - age, STAMP - 2 * age
    rows["bid_price"], rows["ask_price"] = rows["last_price"][:, None] - 0.05, rows["last_price"][:, None] + 0.05
    rows["bid_price"][:, 1:] = rows["ask_price"][:, 1:] = 1e6
    rows["oi"], rows["volume"], rows["close"] = 75, 150, 9.0
    return tops_of(rows)


def last(market: Market) -> list[float]:
    return np.nan_to_num(market.quotes.last, nan=-1.0).tolist()


def test_rows_stand_where_the_layout_has_them(plan: Layout) -> None:
    found = Seats(plan).gather(tops=[ticks({12: 2.0, 5: 3.0, 99: 4.0, 11: 1.0})], now=NOW)

    assert last(found) == [1.0, 2.0, 3.0, -1.0]
    assert found.quotes.quote_age[:3].tolist() == [1.0, 1.0, 1.0]
    assert found.quotes.trade_age[:3].tolist() == [2.0, 2.0, 2.0]
    assert (found.close[0], found.oi[0], found.volume[0]) == (9.0, 75.0, 150.0)


def test_only_a_full_packet_has_a_book_and_its_best_level_counts(plan: Layout) -> None:
    found = Seats(plan).gather(tops=[ticks({11: 1.0, 12: 2.0, 5: 3.0})], now=NOW)

    assert found.quotes.bid[:2] == pytest.approx([0.95, 1.95])
    assert found.quotes.ask[:2] == pytest.approx([1.05, 2.05])
    assert found.mids[:2] == pytest.approx([1.0, 2.0])
    assert np.isnan(found.quotes.bid[2:]).all()


def test_what_did_not_tick_is_unknown(plan: Layout) -> None:
    found = Seats(plan).gather(tops=[ticks({11: 1.0})], now=NOW)

    assert last(found) == [1.0, -1.0, -1.0, -1.0]
    assert np.isnan(found.received_at[1:]).all()
    assert (found.oi[1], found.volume[1]) == (0.0, 0.0)


def test_a_clock_behind_the_ticks_makes_no_negative_age(plan: Layout) -> None:
    found = Seats(plan).gather(tops=[ticks({11: 1.0}, age=-3.0)], now=NOW)

    assert (found.quotes.quote_age[0], found.quotes.trade_age[0]) == (0.0, 0.0)


def test_an_option_that_never_traded_has_no_age_of_a_trade(plan: Layout) -> None:
    rows = ticks({11: 1.0})
    rows["last_trade_at"] = 0

    assert np.isnan(Seats(plan).gather(tops=[rows], now=NOW).quotes.trade_age[0])


def test_without_a_snapshot_nothing_is_known(plan: Layout) -> None:
    assert last(Seats(plan).gather(tops=[], now=NOW)) == [-1.0] * 4


def test_shards_complete_each_other(plan: Layout) -> None:
    found = Seats(plan).gather(tops=[ticks({12: 2.0}), ticks({5: 3.0, 11: 1.0})], now=NOW)

    assert last(found) == [1.0, 2.0, 3.0, -1.0]


def test_of_a_token_that_moved_to_another_shard_the_later_row_counts(plan: Layout) -> None:
    seats = Seats(plan)
    for first, second in ((5.0, 1.0), (1.0, 5.0)):
        shards = [ticks({11: first, 5: 3.0}, age=first), ticks({11: second, 12: 2.0}, age=second)]

        assert last(seats.gather(tops=shards, now=NOW)) == [1.0, 2.0, 3.0, -1.0]


def test_tokens_that_come_and_move_are_found_again(plan: Layout) -> None:
    seats = Seats(plan)
    seats.gather(tops=[ticks({11: 1.0, 12: 2.0})], now=NOW)

    assert last(seats.gather(tops=[ticks({12: 4.0, 11: 3.0})], now=NOW)) == [3.0, 4.0, -1.0, -1.0]
    assert last(seats.gather(tops=[ticks({12: 4.0, 11: 3.0, 5: 7.0})], now=NOW)) == [3.0, 4.0, 7.0, -1.0]
    assert last(seats.gather(tops=[ticks({12: 5.0, 11: 6.0, 5: 8.0})], now=NOW)) == [6.0, 5.0, 8.0, -1.0]


def test_more_rows_than_one_block_are_all_read(plan: Layout) -> None:
    many = ticks({**{1_000 + number: 0.5 for number in range(5_000)}, 11: 1.0, 12: 2.0, 5: 3.0})

    assert last(Seats(plan).gather(tops=[many], now=NOW)) == [1.0, 2.0, 3.0, -1.0]
