"""The client reads frames as the platform writes them."""

import numpy as np
import orjson
import pytest

from kite.types import Mode
from kite.wire import KIND_FULL, TICK, Rows
from market_data.frames import FIELDS, Format, FrameType, Span, encode
from ticker_client.ticks import Frame, Level, Tick, decode_binary, decode_json

INFY, DOLLAR = 408_065, 412_675  # the second is of the currency segment, whose prices have seven decimals
SPAN = Span(shard=2, epoch=7, from_sequence=40, to_sequence=41, published_us=1_700_000_000_000_000, built_at=1.7e9)


def rows() -> Rows:
    made = np.zeros(2, TICK)
    made["instrument_token"] = [INFY, DOLLAR]
    made["last_price"] = [1500.05, 83.1275]
    made["average_price"], made["open"], made["high"], made["low"], made["close"] = 1, 2, 3, 4, 5
    made["last_quantity"], made["volume"], made["buy_quantity"], made["sell_quantity"] = 6, 7, 8, 9
    made["oi"], made["oi_high"], made["oi_low"] = 10, 11, 12
    made["received_at"] = 1_700_000_000.123
    made["exchange_at"], made["last_trade_at"] = 1_700_000_000, [1_699_999_999, 0]
    made["kind"], made["tradable"] = KIND_FULL, True
    for side in ("bid", "ask"):
        made[f"{side}_price"] = [[1500, 1499, 1498, 1497, 1496], [83.1, 83.0, 82.9, 82.8, 82.7]]
        made[f"{side}_quantity"] = [1, 2, 3, 4, 5]
        made[f"{side}_orders"] = [5, 4, 3, 2, 1]
    return made


def frame(mode: Mode, form: Format, kind: FrameType = FrameType.DELTA) -> Frame:
    stale = np.array([False, True])
    message = encode(rows=rows(), stale=stale, mode=mode, form=form, kind=kind, span=SPAN)
    return decode_binary(message) if form is Format.BINARY else decode_json(orjson.loads(message), FIELDS)


@pytest.mark.parametrize("mode", list(Mode))
def test_binary_and_json_frames_carry_the_same_ticks(mode: Mode) -> None:
    binary, text = frame(mode, Format.BINARY), frame(mode, Format.JSON)

    assert binary == text


def test_a_full_tick_has_everything() -> None:
    infy, dollar = frame(Mode.FULL, Format.BINARY).ticks

    assert (infy.last_price, dollar.last_price) == (1500.05, 83.1275)
    assert (infy.stale, dollar.stale) == (False, True)
    assert (infy.open, infy.close, infy.volume, infy.oi_low) == (2.0, 5.0, 7, 12)
    assert infy.received_at == 1_700_000_000.123
    assert (infy.exchange_at, infy.last_trade_at, dollar.last_trade_at) == (1_700_000_000, 1_699_999_999, None)
    assert infy.bids[1] == Level(1499.0, 2, 4)
    assert dollar.asks[0] == Level(83.1, 1, 5)


def test_a_narrow_tick_leaves_the_rest_open() -> None:
    [infy, _] = frame(Mode.LTP, Format.JSON).ticks

    assert infy == Tick(INFY, 1500.05, 1_700_000_000.123, stale=False, mode="ltp", snapshot=False)  # type: ignore[arg-type]


@pytest.mark.parametrize("form", list(Format))
def test_a_snapshot_is_told_from_what_follows(form: Format) -> None:
    first = frame(Mode.QUOTE, form, FrameType.SNAPSHOT)
    then = frame(Mode.QUOTE, form)

    assert (first.snapshot, then.snapshot) == (True, False)
    assert (then.shard, then.epoch, then.from_sequence, then.to_sequence) == (2, 7, 40, 41)


@pytest.mark.parametrize("message", [b"X" * 36, b"\x54\x02" + bytes(34), b"\x54\x01\x02\x09" + bytes(32)])
def test_another_version_is_refused(message: bytes) -> None:
    with pytest.raises(ValueError, match="no frame of version 1"):
        decode_binary(message)
