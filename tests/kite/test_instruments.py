"""The instruments dump is read whole or refused with the place of its fault."""

import csv
import io
import time
from datetime import date
from decimal import Decimal

import pytest
from kiteconnect import KiteConnect

from kite.instruments import COLUMNS, BrokenDump, read, read_dump
from kite.types import InstrumentRow
from tests.kite.published import answer, needs_published

HEADER = ",".join(COLUMNS)
OPTION = '13421826,52429,NIFTY26NOV24500CE,"NIFTY",0.0,2026-11-24,24500,0.05,65,CE,NFO-OPT,NFO'
INDEX = "256265,1001,NIFTY 50,NIFTY 50,0.0,,0,0,0,EQ,INDICES,NSE"


def dump(*lines: str) -> list[InstrumentRow]:
    return list(read_dump("\n".join([HEADER, *lines, ""]).encode()))


def fault(*lines: str, header: str = HEADER) -> BrokenDump:
    with pytest.raises(BrokenDump) as caught:
        list(read_dump("\n".join([header, *lines, ""]).encode()))
    return caught.value


def test_an_option_is_read() -> None:
    assert dump(OPTION) == [
        InstrumentRow(
            instrument_token=13421826,
            exchange_token=52429,
            tradingsymbol="NIFTY26NOV24500CE",
            name="NIFTY",
            last_price=Decimal(0),
            expiry=date(2026, 11, 24),
            strike=Decimal(24500),
            tick_size=Decimal("0.05"),
            lot_size=65,
            instrument_type="CE",
            segment="NFO-OPT",
            exchange="NFO",
        )
    ]


def test_an_index_has_no_expiry_and_neither_tick_nor_lot() -> None:
    [row] = dump(INDEX)

    assert (row.expiry, row.tick_size, row.lot_size) == (None, Decimal(0), 0)


def test_an_empty_strike_is_zero() -> None:
    [row] = dump(OPTION.replace(",24500,", ",,"))

    assert row.strike == 0


def test_a_name_may_hold_a_comma_and_a_quote() -> None:
    [row] = dump(OPTION.replace('"NIFTY"', '"A, ""B"" LTD"'))

    assert row.name == 'A, "B" LTD'


def test_columns_are_found_by_name() -> None:
    moved = ["isin", *reversed(COLUMNS)]
    cells = ["INE", *reversed(next(csv.reader([OPTION])))]

    [row] = read([",".join(moved), ",".join(cells)])

    assert (row.tradingsymbol, row.lot_size) == ("NIFTY26NOV24500CE", 65)


@pytest.mark.parametrize("column", COLUMNS)
def test_a_missing_column_is_named(column: str) -> None:
    broken = fault(
        header=HEADER.replace(column, "other", 1) if column != "exchange" else HEADER[: -len("exchange")] + "x"
    )

    assert (broken.line, broken.column) == (1, column)


@pytest.mark.parametrize(
    ("column", "cell"),
    [
        ("instrument_token", "x"),
        ("instrument_token", ""),
        ("instrument_token", "-1"),
        ("exchange_token", "1.5"),
        ("last_price", "abc"),
        ("last_price", "NaN"),
        ("expiry", "24-11-2026"),
        ("expiry", "2026-02-30"),
        ("strike", "Infinity"),
        ("strike", "-5"),
        ("tick_size", "0,05"),
        ("lot_size", "²"),
        ("tradingsymbol", ""),
        ("exchange", ""),
    ],
)
def test_a_broken_cell_is_named_with_its_line(column: str, cell: str) -> None:
    cells = next(csv.reader([OPTION]))
    cells[COLUMNS.index(column)] = cell
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(cells)

    broken = fault(INDEX, text.getvalue().strip())

    assert (broken.line, broken.column) == (3, column)
    assert f"line 3, column {column}" in str(broken)


def test_a_line_cut_short_is_named() -> None:
    broken = fault(INDEX, OPTION[:40])

    assert broken.line == 3
    assert "cells under 12 columns" in str(broken)


def test_a_quote_that_never_closes_is_named() -> None:
    assert fault(INDEX, OPTION.replace('"NIFTY"', '"NIFTY')).line == 3


def test_bytes_that_are_no_text_are_named_by_line() -> None:
    with pytest.raises(BrokenDump) as caught:
        list(read_dump(f"{HEADER}\n{INDEX}\n".encode() + b"\xff\xfe"))

    assert caught.value.line == 3


@pytest.mark.parametrize("text", [b"", b"<html></html>", b"{}"])
def test_something_else_is_no_dump(text: bytes) -> None:
    with pytest.raises(BrokenDump, match="line 1"):
        list(read_dump(text))


@needs_published
@pytest.mark.parametrize("name", ["instruments_all.csv", "instruments_nse.csv"])
def test_a_published_dump_agrees_with_the_official_parser(name: str) -> None:
    published = answer(name)

    rows = list(read_dump(published))

    official = KiteConnect("key")._parse_instruments(published)
    assert len(rows) == len(official) == 99
    for row, expected in zip(rows, official, strict=True):
        assert (row.instrument_token, row.tradingsymbol) == (expected["instrument_token"], expected["tradingsymbol"])
        assert (float(row.strike), float(row.tick_size)) == (expected["strike"], expected["tick_size"])
        assert (row.expiry or "") == expected["expiry"]


@pytest.mark.long
def test_a_hundred_thousand_lines_take_less_than_three_seconds() -> None:
    lines = [OPTION.replace("24500", str(10_000 + 50 * (number % 800))) for number in range(100_000)]
    start = time.perf_counter()

    count = len(dump(*lines))

    assert count == 100_000
    assert time.perf_counter() - start < 3
