"""The encoder writes the broker's published packets byte for byte."""

import base64
import datetime as dt
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from kiteconnect import KiteTicker

from sandbox.encoder import MODES, encode_frame
from sandbox.market import Market
from sandbox.prices import Model
from sandbox.sessions import Sessions
from sandbox.universe import Universe, build_universe

MOCKS = Path(__file__).resolve().parents[3] / "shared" / "kite-mocks"
IST = dt.timezone(dt.timedelta(hours=5, minutes=30))
START = dt.datetime(2026, 11, 24, 9, 30, tzinfo=IST)

needs_mocks = pytest.mark.skipif(not MOCKS.exists(), reason="the broker's published mocks are not here")


@pytest.fixture(scope="module")
def universe() -> Universe:
    return build_universe(today=START.date(), sessions=Sessions())


@pytest.fixture
def market(universe: Universe) -> Market:
    return Market(universe=universe, model=Model(universe=universe, seed=7), seed=7, epoch=START.timestamp())


def set_row(market: Market, row: int, tick: dict[str, Any]) -> None:
    """Put a published tick into the market's columns."""

    def units(price: float) -> int:
        return round(price * int(market.divisor[row]))

    market.last[row] = units(tick["last_price"])
    if "volume" not in tick:
        return
    market.last_quantity[row] = tick["last_quantity"]
    market.volume[row] = tick["volume"]
    market.turnover[row] = tick["volume"] * units(tick["average_price"])
    market.buy_total[row], market.sell_total[row] = tick["buy_quantity"], tick["sell_quantity"]
    for name in ("open", "high", "low", "close"):
        getattr(market, name)[row] = units(tick["ohlc"][name])
    if "depth" in tick:
        _set_depth(market, row, tick)


def _set_depth(market: Market, row: int, tick: dict[str, Any]) -> None:
    market.last_trade[row] = int(dt.datetime.fromisoformat(tick["last_trade_time"]).timestamp())
    market.stamp[row] = int(dt.datetime.fromisoformat(tick["timestamp"]).timestamp())
    market.oi[row], market.oi_high[row], market.oi_low[row] = tick["oi"], tick["oi_day_high"], tick["oi_day_low"]
    for side, prices, quantities, orders in (
        ("buy", market.bid_price, market.bid_quantity, market.bid_orders),
        ("sell", market.ask_price, market.ask_quantity, market.ask_orders),
    ):
        for level, entry in enumerate(tick["depth"][side]):
            prices[row, level] = round(entry["price"] * 100)
            quantities[row, level], orders[row, level] = entry["quantity"], entry["orders"]


def frame(market: Market, tokens: list[int], mode: str) -> bytes:
    rows = np.array([market.universe.by_token[token] for token in tokens], dtype=np.int64)
    return encode_frame(market, rows=rows, modes=np.full(len(rows), MODES.index(mode), dtype=np.int8))


@needs_mocks
@pytest.mark.parametrize("mode", ["quote", "full"])
def test_a_published_packet_is_written_byte_for_byte(market: Market, mode: str) -> None:
    packet = base64.b64decode((MOCKS / f"ticker_{mode}.packet").read_text())
    set_row(market, market.universe.by_token[408065], json.loads((MOCKS / f"ticker_{mode}.json").read_text()))

    written = frame(market, [408065], mode)

    assert written == (1).to_bytes(2, "big") + len(packet).to_bytes(2, "big") + packet


@needs_mocks
@pytest.mark.parametrize("mode", MODES)
def test_a_captured_frame_is_read_and_written_back(market: Market, mode: str) -> None:
    captured = (MOCKS / "js-frames" / f"{mode}Mode_binary.packet").read_bytes()
    token = int.from_bytes(captured[4:8], "big")
    row = market.universe.by_token.get(token, 0)
    market.token[row], market.divisor[row], market.is_index[row] = token, 100, False
    _copy_packet(market, row, captured[4:])

    written = encode_frame(
        market, rows=np.array([row], dtype=np.int64), modes=np.array([MODES.index(mode)], dtype=np.int8)
    )

    assert written == captured


def _copy_packet(market: Market, row: int, packet: bytes) -> None:
    """Fill the market from a packet by its published offsets."""
    words = [int.from_bytes(packet[at : at + 4], "big") for at in range(0, min(len(packet), 64), 4)]
    market.last[row] = words[1]
    if len(packet) == 8:
        return
    market.last_quantity[row], market.volume[row] = words[2], words[4]
    market.turnover[row] = words[3] * words[4]
    market.buy_total[row], market.sell_total[row] = words[5], words[6]
    market.open[row], market.high[row], market.low[row], market.close[row] = words[7:11]
    if len(packet) == 44:
        return
    market.last_trade[row], market.oi[row], market.oi_high[row], market.oi_low[row], market.stamp[row] = words[11:16]
    for start, prices, quantities, orders in (
        (64, market.bid_price, market.bid_quantity, market.bid_orders),
        (124, market.ask_price, market.ask_quantity, market.ask_orders),
    ):
        for level in range(5):
            entry = packet[start + level * 12 : start + level * 12 + 12]
            quantities[row, level] = int.from_bytes(entry[:4], "big")
            prices[row, level] = int.from_bytes(entry[4:8], "big")
            orders[row, level] = int.from_bytes(entry[8:10], "big")


@pytest.mark.parametrize(
    ("key", "mode", "length"),
    [
        ("NSE:INFY", "ltp", 8),
        ("NSE:INFY", "quote", 44),
        ("NSE:INFY", "full", 184),
        ("NSE:NIFTY 50", "ltp", 8),
        ("NSE:NIFTY 50", "quote", 28),
        ("NSE:NIFTY 50", "full", 32),
    ],
)
def test_the_packet_length_is_the_type(market: Market, key: str, mode: str, length: int) -> None:
    token = market.universe.instruments[market.universe.by_key[key]].token

    written = frame(market, [token], mode)

    assert int.from_bytes(written[2:4], "big") == length
    assert len(written) == 4 + length


@pytest.mark.parametrize("mode", MODES)
def test_the_official_parser_reads_every_segment(market: Market, mode: str) -> None:
    segments = {instrument.token & 0xFF: instrument for instrument in market.universe.instruments}
    ticker = KiteTicker("key", "token")

    ticks = ticker._parse_binary(frame(market, [one.token for one in segments.values()], mode))

    read = {tick["instrument_token"]: tick for tick in ticks}
    assert set(segments) == {1, 2, 3, 4, 5, 6, 7, 9, 12}
    for instrument in segments.values():
        row = market.universe.by_token[instrument.token]
        assert read[instrument.token]["last_price"] == pytest.approx(market.last_price(row))


def test_an_index_packet_carries_its_signed_change(market: Market) -> None:
    row = market.universe.by_token[256265]
    market.last[row], market.close[row] = 2_500_000, 2_500_150

    written = frame(market, [256265], "full")

    assert int.from_bytes(written[4 + 24 : 4 + 28], "big", signed=True) == -150
