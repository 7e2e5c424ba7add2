"""Rows of the broker become exact, aware values."""

import json
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kite import rows
from kite.rows import BrokenRow, candle_row, order_row, order_update, session_row, trade_row
from kite.types import Candle
from tests.kite.published import answer, data, needs_published

ORDER = {"order_id": "1", "status": "OPEN"}


def test_an_unknown_status_passes_as_text() -> None:
    assert order_row({**ORDER, "status": "MODIFY AFTER MARKET ORDER REQ RECEIVED"}).status.startswith("MODIFY AFTER")


@pytest.mark.parametrize("missing", ["order_id", "status"])
@pytest.mark.parametrize("value", [None, ""])
def test_an_order_without_identity_is_broken(missing: str, value: object) -> None:
    with pytest.raises(BrokenRow, match=missing):
        order_row({**ORDER, missing: value})


def test_what_a_row_leaves_out_is_zero_or_empty() -> None:
    row = order_row(ORDER)

    assert (row.price, row.quantity, row.tag, row.exchange_order_id, row.order_at) == (Decimal(0), 0, "", None, None)


def test_a_naive_time_is_indian_and_becomes_utc() -> None:
    row = order_row({**ORDER, "order_timestamp": "2021-05-31 09:18:57"})

    assert row.order_at == datetime(2021, 5, 31, 3, 48, 57, tzinfo=UTC)


@pytest.mark.parametrize("said", ["2021-07-05T10:41:27+05:30", "2021-07-05T10:41:27+0530", "2021-07-05T05:11:27Z"])
def test_a_time_with_an_offset_keeps_it(said: str) -> None:
    assert rows.instant(said, name="t") == datetime(2021, 7, 5, 5, 11, 27, tzinfo=UTC)


@pytest.mark.parametrize("said", [None, "", "0001-01-01 00:00:00"])
def test_an_empty_time_is_none(said: object) -> None:
    assert rows.instant(said, name="t") is None


@pytest.mark.parametrize("said", ["09:16", "yesterday", "2021-13-01 00:00:00", 17, "2021-02-30 10:00:00"])
def test_a_time_that_is_none_breaks_the_row(said: object) -> None:
    with pytest.raises(BrokenRow, match="t was"):
        rows.instant(said, name="t")


@given(st.decimals(min_value=0, max_value=10**9, places=4))
def test_money_is_what_the_broker_wrote(amount: Decimal) -> None:
    assert rows.money({"price": float(amount)}, "price") == amount


@pytest.mark.parametrize("said", ["abc", True, [], {}, float("nan"), float("inf"), "NaN"])
def test_money_that_is_none_breaks_the_row(said: object) -> None:
    with pytest.raises(BrokenRow, match="price was"):
        rows.money({"price": said}, "price")


@pytest.mark.parametrize("said", [1.5, "2.25"])
def test_a_broken_quantity_breaks_the_row(said: object) -> None:
    with pytest.raises(BrokenRow, match="quantity was"):
        order_row({**ORDER, "quantity": said})


def test_a_whole_quantity_written_as_a_fraction_is_whole() -> None:
    assert order_row({**ORDER, "quantity": 25.0}).quantity == 25


def test_an_order_id_above_the_exact_floats_stays_exact() -> None:
    assert order_row({**ORDER, "order_id": 1914227164488687616}).order_id == "1914227164488687616"


def test_an_update_may_call_pending_unfilled() -> None:
    assert order_update({**ORDER, "unfilled_quantity": 7}).pending_quantity == 7


def test_an_update_that_knows_both_keeps_pending() -> None:
    assert order_update({**ORDER, "unfilled_quantity": 7, "pending_quantity": 5}).pending_quantity == 5


def test_a_row_keeps_what_it_was_read_from() -> None:
    raw = {**ORDER, "meta": {"iceberg": {"leg": 1}}}

    assert order_row(raw).raw is raw


@pytest.mark.parametrize("missing", ["trade_id", "order_id"])
def test_a_trade_without_identity_is_broken(missing: str) -> None:
    with pytest.raises(BrokenRow, match=missing):
        trade_row({"trade_id": "1", "order_id": "2", missing: None})


@pytest.mark.parametrize("missing", ["user_id", "access_token", "login_time"])
def test_a_session_without_its_parts_is_broken(missing: str) -> None:
    whole = {"user_id": "AB", "access_token": "t", "login_time": "2021-01-01 16:15:14"}

    with pytest.raises(BrokenRow, match=missing):
        session_row({**whole, missing: None})


def test_a_session_hides_its_token() -> None:
    session = session_row({"user_id": "AB", "access_token": "fresh", "login_time": "2021-01-01 16:15:14"})

    assert "fresh" not in repr(session)


def test_a_candle_has_six_values_or_seven() -> None:
    start = datetime(2019, 12, 4, 3, 45, tzinfo=UTC)
    prices = (Decimal("12009.9"), Decimal("12019.35"), Decimal("12001.25"), Decimal("12001.5"))
    said = ["2019-12-04T09:15:00+0530", 12009.9, 12019.35, 12001.25, 12001.5, 163275]

    assert candle_row(said) == Candle(start, *prices, 163275, None)
    assert candle_row([*said, 13667775]) == Candle(start, *prices, 163275, 13667775)


@pytest.mark.parametrize("said", [None, {}, [], ["2019-12-04T09:15:00+0530", 1, 2, 3, 4], [None, 1, 2, 3, 4, 5]])
def test_a_candle_of_another_shape_is_broken(said: object) -> None:
    with pytest.raises(BrokenRow):
        candle_row(said)


@needs_published
def test_published_order_books_are_read_whole() -> None:
    read = [order_row(row) for name in ("orders.json", "order_info.json") for row in data(name)]

    assert {row.status for row in read} >= {"COMPLETE", "CANCELLED", "REJECTED", "PUT ORDER REQ RECEIVED"}
    assert all(row.order_at is not None and row.order_at.tzinfo is UTC for row in read)


@needs_published
def test_published_trades_are_read_whole() -> None:
    first = trade_row(data("trades.json")[0])

    assert first.filled_at == datetime(2021, 5, 31, 3, 46, 39, tzinfo=UTC)
    assert first.average_price == Decimal("420.65")
    assert len([trade_row(row) for row in data("trades.json") + data("order_trades.json")]) > 3


@needs_published
def test_the_published_postback_is_an_update() -> None:
    row = order_update(json.loads(answer("postback.json")))

    assert (row.status, row.filled_quantity, row.average_price) == ("COMPLETE", 1, Decimal(470))
