"""Read Kite's portfolio, margin, quote and GTT answers into their values."""

from collections.abc import Mapping
from dataclasses import fields
from datetime import datetime
from decimal import Decimal
from typing import Any, Final, TypeVar

from kite.answers import (
    AvailableMargin,
    BasketMargin,
    DepthLevel,
    GttLeg,
    GttRow,
    HoldingRow,
    Ltp,
    MarginRow,
    Ohlc,
    OhlcQuote,
    PositionRow,
    Positions,
    Profile,
    Quote,
    SegmentMargin,
    UtilisedMargin,
)
from kite.rows import BrokenRow, Json, decimal, integer, moment, money, text

_Value = TypeVar("_Value")


def _flag(row: Json, name: str) -> bool:
    return bool(row.get(name))


def _words(row: Json, name: str) -> tuple[str, ...]:
    return tuple(str(word) for word in _list(row, name))


_PARSERS: Final[dict[object, Any]] = {
    int: integer,
    Decimal: money,
    str: text,
    bool: _flag,
    tuple[str, ...]: _words,
    datetime | None: moment,
}


def profile(row: Json) -> Profile:
    return _read(Profile, row, raw=row)


def segment_margin(row: Json) -> SegmentMargin:
    available = _read(AvailableMargin, _object(row, "available"))
    return _read(SegmentMargin, row, available=available, utilised=_read(UtilisedMargin, _object(row, "utilised")))


def positions(row: Json) -> Positions:
    net, day = (tuple(_read(PositionRow, each, raw=each) for each in _objects(row, side)) for side in ("net", "day"))
    return Positions(net, day)


def holding(row: Json) -> HoldingRow:
    return _read(HoldingRow, row, raw=row)


def ltp(row: Json) -> Ltp:
    return _read(Ltp, row)


def ohlc(row: Json) -> OhlcQuote:
    return _read(OhlcQuote, row, ohlc=_read(Ohlc, _object(row, "ohlc")))


def quote(row: Json) -> Quote:
    depth = _object(row, "depth") if row.get("depth") else {}
    bids, asks = (tuple(_read(DepthLevel, each) for each in _objects(depth, side)) for side in ("buy", "sell"))
    return _read(Quote, row, ohlc=_read(Ohlc, _object(row, "ohlc")), bids=bids, asks=asks)


def margin(row: Json) -> MarginRow:
    return _read(MarginRow, row, raw=row)


def basket_margin(row: Json) -> BasketMargin:
    orders = tuple(margin(each) for each in _objects(row, "orders"))
    return BasketMargin(margin(_object(row, "initial")), margin(_object(row, "final")), orders)


def gtt(row: Json) -> GttRow:
    condition = _object(row, "condition")
    trigger_id = integer(row, "id")
    if not trigger_id:
        raise BrokenRow("id is missing")
    return GttRow(
        trigger_id=trigger_id,
        type=text(row, "type"),
        status=text(row, "status"),
        exchange=text(condition, "exchange"),
        tradingsymbol=text(condition, "tradingsymbol"),
        trigger_values=tuple(decimal(value, name="trigger value") for value in _list(condition, "trigger_values")),
        last_price=money(condition, "last_price"),
        legs=tuple(_read(GttLeg, leg) for leg in _objects(row, "orders")),
        created_at=moment(row, "created_at"),
        updated_at=moment(row, "updated_at"),
        expires_at=moment(row, "expires_at"),
        raw=row,
    )


def _read(kind: type[_Value], row: Json, **given: object) -> _Value:
    """Fill a value field by field from the row's cells of the same name, by the field's type."""
    cells = {each.name: given[each.name] if each.name in given else _cell(row, each) for each in fields(kind)}  # type: ignore[arg-type]
    return kind(**cells)


def _cell(row: Json, each: Any) -> object:
    return _PARSERS[each.type](row, each.name)


def _object(row: Json, name: str) -> Json:
    value = row.get(name)
    if not isinstance(value, Mapping):
        raise BrokenRow(f"{name} was {value!r}, not an object")
    return value


def _list(row: Json, name: str) -> list[object]:
    value = row.get(name)
    if value is not None and not isinstance(value, list):
        raise BrokenRow(f"{name} was {value!r}, not a list")
    return value or []


def _objects(row: Json, name: str) -> list[Json]:
    found = _list(row, name)
    if not all(isinstance(each, Mapping) for each in found):
        raise BrokenRow(f"{name} held something else than objects")
    return [each for each in found if isinstance(each, Mapping)]
