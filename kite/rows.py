"""Kite's JSON rows as frozen values: exact money, aware times, nothing guessed."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal, InvalidOperation
from typing import Final

from kite.types import Candle, KiteSession, OrderRow, TradeRow

IST: Final = timezone(timedelta(hours=5, minutes=30), "IST")
CANDLE_VALUES: Final = 6

Json = Mapping[str, object]


class BrokenRow(ValueError):
    """A row of the broker lacks what identifies it, or holds a value of another type."""


def order_row(row: Json) -> OrderRow:
    """Return one row of the order book or of an order's history."""
    return OrderRow(
        order_id=_required(row, "order_id"),
        exchange_order_id=_optional_text(row, "exchange_order_id"),
        parent_order_id=_optional_text(row, "parent_order_id"),
        status=_required(row, "status"),
        status_message=text(row, "status_message"),
        variety=text(row, "variety"),
        exchange=text(row, "exchange"),
        tradingsymbol=text(row, "tradingsymbol"),
        instrument_token=integer(row, "instrument_token"),
        transaction_type=text(row, "transaction_type"),
        order_type=text(row, "order_type"),
        product=text(row, "product"),
        validity=text(row, "validity"),
        quantity=integer(row, "quantity"),
        price=money(row, "price"),
        trigger_price=money(row, "trigger_price"),
        average_price=money(row, "average_price"),
        filled_quantity=integer(row, "filled_quantity"),
        pending_quantity=integer(row, "pending_quantity"),
        cancelled_quantity=integer(row, "cancelled_quantity"),
        tag=text(row, "tag"),
        order_at=moment(row, "order_timestamp"),
        exchange_update_at=moment(row, "exchange_update_timestamp"),
        raw=row,
    )


def order_update(payload: Json) -> OrderRow:
    """Return the row of a postback or of a socket's order message, which may say unfilled for pending."""
    if payload.get("pending_quantity") is None and payload.get("unfilled_quantity") is not None:
        payload = {**payload, "pending_quantity": payload["unfilled_quantity"]}
    return order_row(payload)


def trade_row(row: Json) -> TradeRow:
    return TradeRow(
        trade_id=_required(row, "trade_id"),
        order_id=_required(row, "order_id"),
        exchange_order_id=_optional_text(row, "exchange_order_id"),
        exchange=text(row, "exchange"),
        tradingsymbol=text(row, "tradingsymbol"),
        instrument_token=integer(row, "instrument_token"),
        transaction_type=text(row, "transaction_type"),
        product=text(row, "product"),
        quantity=integer(row, "quantity"),
        average_price=money(row, "average_price"),
        filled_at=moment(row, "fill_timestamp") or moment(row, "exchange_timestamp"),
        raw=row,
    )


def instant(value: object, *, name: str) -> datetime | None:
    """Return aware UTC; a time without offset is Indian, an empty one is None."""
    if value is None or value in {"", "0001-01-01 00:00:00"}:
        return None
    try:
        parsed = datetime.fromisoformat(str(value))
    except ValueError as error:
        raise BrokenRow(f"{name} was {value!r}, not a time") from error
    return (parsed if parsed.tzinfo else parsed.replace(tzinfo=IST)).astimezone(UTC)


def moment(row: Json, name: str) -> datetime | None:
    return instant(row.get(name), name=name)


def decimal(value: object, *, name: str) -> Decimal:
    """Return exact rupees: the shortest text of a JSON number is what the broker wrote."""
    if isinstance(value, bool) or not isinstance(value, int | float | str | Decimal):
        raise BrokenRow(f"{name} was {value!r}, not a number")
    try:
        number = Decimal(str(value))
    except InvalidOperation as error:
        raise BrokenRow(f"{name} was {value!r}, not a number") from error
    if not number.is_finite():
        raise BrokenRow(f"{name} was {value!r}, not a number")
    return number


def money(row: Json, name: str) -> Decimal:
    value = row.get(name)
    return Decimal(0) if value is None else decimal(value, name=name)


def integer(row: Json, name: str) -> int:
    value = row.get(name)
    if value is None:
        return 0
    number = decimal(value, name=name)
    if number != int(number):
        raise BrokenRow(f"{name} was {value!r}, not a whole number")
    return int(number)


def text(row: Json, name: str) -> str:
    value = row.get(name)
    return "" if value is None else str(value)


def _optional_text(row: Json, name: str) -> str | None:
    return text(row, name) or None


def _required(row: Json, name: str) -> str:
    value = text(row, name)
    if not value:
        raise BrokenRow(f"{name} is missing")
    return value


def session_row(row: Json) -> KiteSession:
    login_at = moment(row, "login_time")
    if login_at is None:
        raise BrokenRow("login_time is missing")
    return KiteSession(
        user_id=_required(row, "user_id"),
        user_name=text(row, "user_name"),
        api_key=text(row, "api_key"),
        access_token=_required(row, "access_token"),
        login_at=login_at,
    )


def candle_row(row: object) -> Candle:
    """Return a candle of six or, with open interest, seven values."""
    if not isinstance(row, list) or len(row) not in {CANDLE_VALUES, CANDLE_VALUES + 1}:
        raise BrokenRow(f"a candle was {row!r}")
    start_at = instant(row[0], name="start of a candle")
    if start_at is None:
        raise BrokenRow("start of a candle is missing")
    opening, high, low, close = (decimal(value, name="price of a candle") for value in row[1:5])
    volume, *oi = (int(decimal(value, name="count of a candle")) for value in row[5:])
    return Candle(start_at, opening, high, low, close, volume, oi[0] if oi else None)
