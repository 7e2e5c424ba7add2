"""Minute candles from ticks."""

from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from kite.wire import TICK, Rows
from market_data.candlesticks import Candlesticks

Packet = tuple[int, float, float, int]  # token, received_at, price, volume of the day


def rows(*packets: Packet) -> Rows:
    built = np.zeros(len(packets), TICK)
    names = ("instrument_token", "received_at", "last_price", "volume")
    for name, column in zip(names, zip(*packets, strict=True), strict=True):
        built[name] = column
    return built


def candles(sticks: Candlesticks) -> dict[tuple[int, int], tuple[float, ...]]:
    return {
        (int(row["instrument_token"]), int(row["minute"])): (
            *(float(row[name]) for name in ("open", "high", "low", "close")),
            int(row["day_volume"] - row["day_volume_before"]),
        )
        for row in sticks.take_changed()
    }


def test_a_minute_is_its_first_highest_lowest_and_last_price() -> None:
    sticks = Candlesticks()

    sticks.add(rows((7, 60.0, 10.0, 0), (7, 70.0, 14.0, 5), (7, 80.0, 8.0, 9), (7, 119.9, 11.0, 12)))

    assert candles(sticks) == {(7, 1): (10.0, 14.0, 8.0, 11.0, 7)}


def test_volume_is_what_the_days_total_grew_by() -> None:
    sticks = Candlesticks()

    sticks.add(rows((7, 60.0, 10.0, 100), (7, 125.0, 10.0, 130), (7, 130.0, 10.0, 150)))

    assert candles(sticks)[7, 2][-1] == 50


def test_a_new_day_begins_its_total_anew() -> None:
    sticks = Candlesticks()

    sticks.add(rows((7, 60.0, 10.0, 5000), (7, 86_460.0, 10.0, 40)))

    assert candles(sticks)[7, 1441][-1] == 40


def test_packets_without_a_total_do_not_disturb_the_volume() -> None:
    sticks = Candlesticks()

    sticks.add(rows((7, 60.0, 10.0, 100), (7, 121.0, 11.0, 0), (7, 122.0, 11.0, 130), (7, 123.0, 11.0, 0)))

    assert candles(sticks)[7, 2][-1] == 30


def test_the_exchanges_own_time_decides_the_minute() -> None:
    sticks = Candlesticks()
    late = rows((7, 120.4, 10.0, 0))
    late["exchange_at"] = 119

    sticks.add(late)

    assert list(candles(sticks)) == [(7, 1)]


def test_a_packet_of_a_minute_gone_by_is_counted_as_late() -> None:
    sticks = Candlesticks()
    sticks.add(rows((7, 125.0, 10.0, 0)))

    sticks.add(rows((7, 60.0, 99.0, 0)))

    assert sticks.late == 1
    assert candles(sticks) == {(7, 2): (10.0, 10.0, 10.0, 10.0, 0)}


def test_an_instrument_that_never_traded_makes_no_candle() -> None:
    sticks = Candlesticks()

    sticks.add(rows((7, 60.0, 0.0, 0)))

    assert candles(sticks) == {}


def test_only_what_changed_is_handed_out() -> None:
    sticks = Candlesticks()
    sticks.add(rows((7, 60.0, 10.0, 0), (8, 60.0, 10.0, 0)))
    sticks.take_changed()

    sticks.add(rows((8, 61.0, 11.0, 0)))

    assert list(candles(sticks)) == [(8, 1)]


def test_a_minute_goes_on_after_a_restart() -> None:
    before = Candlesticks()
    before.add(rows((7, 60.0, 10.0, 100), (7, 121.0, 12.0, 130)))
    after = Candlesticks()

    after.restore(before.take_changed()[-1:])
    after.add(rows((7, 150.0, 9.0, 160)))

    assert candles(after) == {(7, 2): (12.0, 12.0, 9.0, 9.0, 60)}


packets = st.lists(
    st.tuples(st.integers(1, 5), st.floats(60, 660), st.floats(1, 100), st.integers(0, 1000)), min_size=1, max_size=60
)


@given(packets, st.lists(st.integers(1, 59), max_size=5))
def test_batches_may_be_cut_anywhere(found: list[Packet], cuts: list[int]) -> None:
    found = sorted(found, key=lambda packet: packet[1])
    whole, parts = Candlesticks(), Candlesticks()

    whole.add(rows(*found))
    for start, end in pairwise([0, *sorted(cut for cut in set(cuts) if cut < len(found)), len(found)]):
        parts.add(rows(*found[start:end]))

    assert candles(parts) == candles(whole)


@given(packets)
def test_the_columns_agree_with_a_plain_loop(found: list[Packet]) -> None:
    found = sorted(found, key=lambda packet: packet[1])
    expected: dict[tuple[int, int], list[float]] = {}
    for token, at, price, _ in found:
        candle = expected.setdefault((token, int(at // 60)), [price, price, price, price])
        candle[1:] = [max(candle[1], price), min(candle[2], price), price]
    sticks = Candlesticks()

    sticks.add(rows(*found))

    assert {key: list(candle[:4]) for key, candle in candles(sticks).items()} == expected
