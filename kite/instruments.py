"""Read the instruments dump, a CSV of about a hundred thousand lines, into rows."""

import csv
from collections.abc import Callable, Iterable, Iterator
from datetime import date
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from typing import Final, TypeVar

from kite.types import InstrumentRow

COLUMNS: Final = (
    "instrument_token",
    "exchange_token",
    "tradingsymbol",
    "name",
    "last_price",
    "expiry",
    "strike",
    "tick_size",
    "lot_size",
    "instrument_type",
    "segment",
    "exchange",
)

_Value = TypeVar("_Value")


class BrokenDump(ValueError):
    """The dump cannot be trusted; `line` counts from 1, the header included, and `column` is empty for a whole line."""

    def __init__(self, reason: str, *, line: int, column: str = "") -> None:
        place = f"line {line}, column {column}" if column else f"line {line}"
        super().__init__(f"{place}: {reason}")
        self.line = line
        self.column = column


def read_dump(dump: bytes) -> Iterator[InstrumentRow]:
    """Return the rows of a dump as it came from the broker; raise `BrokenDump` at the first fault."""
    try:
        text = dump.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BrokenDump("the text was not UTF-8", line=dump.count(b"\n", 0, error.start) + 1) from error
    return read(text.splitlines(keepends=True))


def read(lines: Iterable[str]) -> Iterator[InstrumentRow]:
    """Return one row a line, in the order of the dump; raise `BrokenDump` at the first fault.

    Columns are found by the header, so that a column added or moved by the broker does no harm.
    """
    reader = csv.reader(lines, strict=True)
    try:
        header = next(reader, [])
        places = [_place(header, column) for column in COLUMNS]
        for cells in reader:
            if len(cells) != len(header):
                raise BrokenDump(f"{len(cells)} cells under {len(header)} columns", line=reader.line_num)
            yield _row([cells[place] for place in places], reader.line_num)
    except csv.Error as error:
        raise BrokenDump(str(error), line=reader.line_num) from error


def _place(header: list[str], column: str) -> int:
    if column not in header:
        raise BrokenDump("the column is missing", line=1, column=column)
    return header.index(column)


def _row(cells: list[str], line: int) -> InstrumentRow:
    token, exchange_token, symbol, name, last_price, expiry, strike, tick_size, lot_size, kind, segment, exchange = (
        cells
    )
    if not symbol or not exchange:
        raise BrokenDump("the cell is empty", line=line, column="exchange" if symbol else "tradingsymbol")
    return InstrumentRow(
        instrument_token=_parse(_natural, token, line, "instrument_token"),
        exchange_token=_parse(_natural, exchange_token, line, "exchange_token"),
        tradingsymbol=symbol,
        name=name,
        last_price=_parse(_rupees, last_price, line, "last_price"),
        expiry=_parse(_day, expiry, line, "expiry"),
        strike=_parse(_rupees, strike, line, "strike"),
        tick_size=_parse(_rupees, tick_size, line, "tick_size"),
        lot_size=_parse(_natural, lot_size, line, "lot_size"),
        instrument_type=kind,
        segment=segment,
        exchange=exchange,
    )


def _parse(parser: Callable[[str], _Value], cell: str, line: int, column: str) -> _Value:
    try:
        return parser(cell)
    except (ValueError, InvalidOperation) as error:
        raise BrokenDump(f"the cell was {cell!r}", line=line, column=column) from error


def _natural(cell: str) -> int:
    if not (cell.isascii() and cell.isdigit()):
        raise ValueError(cell)
    return int(cell)


# A hundred thousand lines share a few hundred prices, strikes and days.
@lru_cache(maxsize=8192)
def _rupees(cell: str) -> Decimal:
    value = Decimal(cell or "0")
    if not value.is_finite() or value < 0:
        raise ValueError(cell)
    return value


@lru_cache(maxsize=1024)
def _day(cell: str) -> date | None:
    return date.fromisoformat(cell) if cell else None
