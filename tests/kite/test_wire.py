"""Frames become columns, whatever they hold."""

import json
import struct
from datetime import datetime
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from kiteconnect import KiteTicker

from kite import wire
from kite.wire import Rows, decode, divisor
from tests.kite import frames
from tests.kite.frames import frame, token
from tests.kite.published import answer, needs_published, packet, script_frame

MODES = {
    wire.KIND_LTP: "ltp",
    wire.KIND_QUOTE: "quote",
    wire.KIND_FULL: "full",
    wire.KIND_INDEX_QUOTE: "quote",
    wire.KIND_INDEX_FULL: "full",
}
INDEX_KINDS = {wire.KIND_INDEX_QUOTE, wire.KIND_INDEX_FULL}


def official(raw: bytes) -> list[dict[str, Any]]:
    return KiteTicker("key", "token")._parse_binary(raw)


def as_official(row: Any) -> dict[str, Any]:
    """A row in the words of the official parser, without `change`, which is not on the wire."""
    kind = int(row["kind"])
    tick: dict[str, Any] = {
        "tradable": bool(row["tradable"]),
        "mode": MODES[kind],
        "instrument_token": int(row["instrument_token"]),
        "last_price": float(row["last_price"]),
    }
    if kind != wire.KIND_LTP:
        tick["ohlc"] = {name: float(row[name]) for name in ("open", "high", "low", "close")}
    if kind in {wire.KIND_QUOTE, wire.KIND_FULL}:
        tick |= {
            "last_traded_quantity": int(row["last_quantity"]),
            "average_traded_price": float(row["average_price"]),
            "volume_traded": int(row["volume"]),
            "total_buy_quantity": int(row["buy_quantity"]),
            "total_sell_quantity": int(row["sell_quantity"]),
        }
    if kind == wire.KIND_FULL:
        tick |= {
            "last_trade_time": datetime.fromtimestamp(int(row["last_trade_at"])),  # noqa: DTZ006 - as the official one
            "oi": int(row["oi"]),
            "oi_day_high": int(row["oi_high"]),
            "oi_day_low": int(row["oi_low"]),
            "depth": {"buy": depth(row, "bid"), "sell": depth(row, "ask")},
        }
    if kind in {wire.KIND_FULL, wire.KIND_INDEX_FULL}:
        tick["exchange_timestamp"] = datetime.fromtimestamp(int(row["exchange_at"]))  # noqa: DTZ006
    return tick


def depth(row: Any, side: str) -> list[dict[str, Any]]:
    levels = zip(row[f"{side}_quantity"], row[f"{side}_price"], row[f"{side}_orders"], strict=True)
    return [
        {"quantity": int(quantity), "price": float(price), "orders": int(orders)} for quantity, price, orders in levels
    ]


def assert_same_as_official(rows: Rows, raw: bytes) -> None:
    expected = [{name: value for name, value in tick.items() if name != "change"} for tick in official(raw)]
    assert [as_official(row) for row in rows] == expected


words = st.integers(0, 2**32 - 1)
tokens = st.builds(lambda number, segment: number << 8 | segment, st.integers(0, 2**24 - 1), st.integers(0, 255))
known_packets = st.sampled_from([8, 28, 32, 44, 184]).flatmap(
    lambda length: st.builds(
        lambda instrument, body: struct.pack(">I", instrument) + body,
        tokens,
        st.binary(min_size=length - 4, max_size=length - 4),
    )
)
strange_packets = st.binary(max_size=300).filter(lambda body: len(body) not in {8, 28, 32, 44, 184})


@given(st.lists(known_packets, max_size=30))
def test_any_mix_of_packets_agrees_with_the_official_parser(packets: list[bytes]) -> None:
    raw = frame(*packets)

    decoded = decode([raw])

    assert (decoded.skipped, decoded.truncated) == (0, 0)
    assert_same_as_official(decoded.rows, raw)


@given(known_packets, st.integers(1, 40))
def test_a_frame_of_one_kind_agrees_with_the_official_parser(body: bytes, count: int) -> None:
    raw = frame(*[body] * count)

    assert_same_as_official(decode([raw]).rows, raw)


repeated_packets = st.builds(lambda body, count: [body] * count, known_packets, st.integers(1, 5))


@given(st.lists(st.one_of(st.lists(known_packets, max_size=8), repeated_packets), max_size=8))
def test_a_batch_of_frames_is_the_same_as_its_frames_one_by_one(batch: list[list[bytes]]) -> None:
    raw = [frame(*packets) for packets in batch]

    together = decode(raw).rows

    apart = [decode([single]).rows for single in raw]
    assert together.tobytes() == b"".join(rows.tobytes() for rows in apart)


@given(st.lists(st.one_of(known_packets, strange_packets), max_size=20))
def test_packets_of_unknown_length_are_skipped_and_counted(packets: list[bytes]) -> None:
    known = [body for body in packets if len(body) in {8, 28, 32, 44, 184}]

    decoded = decode([frame(*packets)])

    assert decoded.skipped == len(packets) - len(known)
    assert decoded.truncated == 0
    assert decoded.rows.tobytes() == decode([frame(*known)]).rows.tobytes()


@given(st.lists(known_packets, min_size=1, max_size=12), st.data())
def test_a_frame_cut_anywhere_gives_its_whole_packets_and_is_counted(packets: list[bytes], data: st.DataObject) -> None:
    raw = frame(*packets)
    cut = data.draw(st.integers(2, len(raw) - 1))
    ends = [2 + sum(len(body) + 2 for body in packets[: count + 1]) for count in range(len(packets))]
    whole = packets[: sum(end <= cut for end in ends)]

    decoded = decode([raw[:cut]])

    assert decoded.truncated == 1
    assert decoded.rows.tobytes() == decode([frame(*whole)]).rows.tobytes()


@given(st.binary(max_size=600))
def test_noise_never_raises(noise: bytes) -> None:
    decoded = decode([noise])

    assert len(decoded.rows) + decoded.skipped <= int.from_bytes(noise[:2])


@pytest.mark.parametrize("silence", [b"", b"\x00", b"\x00\x00"])
def test_a_heartbeat_holds_no_packet(silence: bytes) -> None:
    decoded = decode([silence])

    assert (len(decoded.rows), decoded.skipped, decoded.truncated) == (0, 0, 0)


def test_bytes_after_the_last_packet_are_ignored() -> None:
    raw = frame(frames.ltp(token("NSE"), 100)) + b"\x01\x02\x03"

    decoded = decode([raw])

    assert (len(decoded.rows), decoded.skipped, decoded.truncated) == (1, 0, 0)


@pytest.mark.parametrize(
    ("segment", "rupees"),
    [
        ("NSE", 123456.78),
        ("NFO", 123456.78),
        ("CDS", 1.2345678),
        ("BSE", 123456.78),
        ("BFO", 123456.78),
        ("BCD", 1234.5678),
        ("MCX", 123456.78),
        ("MCXSX", 123456.78),
        ("INDICES", 123456.78),
        ("NCO", 1234.5678),
    ],
)
def test_prices_are_divided_by_segment(segment: str, rupees: float) -> None:
    rows = decode([frame(frames.ltp(token(segment), 12_345_678))]).rows

    assert rows["last_price"].tolist() == [rupees]
    assert 12_345_678 / divisor(token(segment)) == rupees


@pytest.mark.parametrize("segment", frames.SEGMENTS)
def test_only_indices_are_not_tradable(segment: str) -> None:
    rows = decode([frame(frames.quote(token(segment)))]).rows

    assert rows["tradable"].tolist() == [segment != "INDICES"]


def test_an_index_packet_is_high_low_open_close() -> None:
    row = decode([frame(frames.index_quote(token("INDICES"), (100, 400, 200, 300, 250, 7)))]).rows[0]

    assert [row[name] for name in ("last_price", "high", "low", "open", "close")] == [1.0, 4.0, 2.0, 3.0, 2.5]
    assert row["kind"] == wire.KIND_INDEX_QUOTE


def test_absent_fields_are_zero_beside_full_packets() -> None:
    rows = decode([frame(frames.full(token("NFO")), frames.ltp(token("NSE"), 500))]).rows

    ltp_row = rows[1]
    present = {"instrument_token", "kind", "tradable", "last_price"}
    assert all(not np.any(ltp_row[name]) for name in wire.TICK.names or () if name not in present)


def test_a_repeated_token_keeps_the_order_of_arrival_across_kinds() -> None:
    instrument = token("NSE")
    raw = [
        frame(frames.ltp(instrument, 100), frames.quote(instrument)),
        frame(frames.ltp(instrument, 300)),
        frame(frames.full(instrument), b"?", frames.ltp(instrument, 500)),
    ]

    rows = decode(raw).rows

    kinds = [wire.KIND_LTP, wire.KIND_QUOTE, wire.KIND_LTP, wire.KIND_FULL, wire.KIND_LTP]
    assert rows["kind"].tolist() == kinds
    assert rows["last_price"].tolist() == [1.0, 0.01, 3.0, 0.01, 5.0]


def test_times_are_epoch_seconds_of_utc() -> None:
    row = decode([frame(frames.full(token("NFO"), tail=(1625461887, 1, 2, 3, 1625461888)))]).rows[0]

    assert (row["last_trade_at"], row["exchange_at"]) == (1625461887, 1625461888)


def test_values_above_the_signed_range_stay_positive() -> None:
    row = decode([frame(frames.quote(token("NSE"), (2**32 - 1,) * 10))]).rows[0]

    assert row["volume"] == 2**32 - 1
    assert row["last_price"] == (2**32 - 1) / 100


def test_rows_are_writable_and_own_their_memory() -> None:
    rows = decode([frame(frames.ltp(token("NSE"), 100))]).rows

    rows["received_at"] = 5.5

    assert rows["received_at"].tolist() == [5.5]


@needs_published
@pytest.mark.parametrize("name", ["ticker_quote", "ticker_full"])
def test_a_published_packet_decodes_to_its_published_values(name: str) -> None:
    expected = json.loads(answer(f"{name}.json"))

    row = as_official(decode([frame(packet(f"{name}.packet"))]).rows[0])

    assert row["instrument_token"] == expected["instrument_token"]
    assert row["last_price"] == expected["last_price"]
    assert row["ohlc"] == expected["ohlc"]
    assert row["volume_traded"] == expected["volume"]
    assert row.get("depth") == expected.get("depth")


@needs_published
@pytest.mark.parametrize("name", ["ticker_quote.packet", "ticker_full.packet"])
def test_a_published_packet_agrees_with_the_official_parser(name: str) -> None:
    raw = frame(packet(name))

    assert_same_as_official(decode([raw]).rows, raw)


@needs_published
@pytest.mark.parametrize("name", ["ltpMode_binary.packet", "quoteMode_binary.packet", "fullMode_binary.packet"])
def test_a_published_frame_agrees_with_the_official_parser(name: str) -> None:
    raw = script_frame(name)

    decoded = decode([raw])

    assert len(decoded.rows) == 1
    assert_same_as_official(decoded.rows, raw)
