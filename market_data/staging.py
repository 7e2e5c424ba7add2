"""The instruments dump into a staging table: PostgreSQL reads and judges the text, our reader names a fault."""

import csv
from collections.abc import Callable, Iterator, Sequence
from io import BytesIO
from typing import BinaryIO, Final

from django.db import DataError, IntegrityError, connection
from django.db.backends.utils import CursorWrapper

from kite.instruments import COLUMNS, BrokenDump, read
from market_data.errors import DumpRefused

Told = Callable[[float], None]

CHUNK: Final = 256 * 1024
BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
# A price that is not a number compares as the largest of all.
KINDS: Final = {
    "instrument_token": "bigint NOT NULL CHECK (instrument_token >= 0)",
    "exchange_token": "bigint NOT NULL CHECK (exchange_token >= 0)",
    "tradingsymbol": "varchar(80) NOT NULL CHECK (tradingsymbol <> '')",
    "name": "varchar(120) NOT NULL",
    "last_price": "numeric CHECK (last_price >= 0 AND last_price < 'Infinity')",
    "expiry": "date",
    "strike": "numeric(14, 4) CHECK (strike >= 0 AND strike < 'Infinity')",
    "tick_size": "numeric(10, 4) CHECK (tick_size >= 0 AND tick_size < 'Infinity')",
    "lot_size": "integer NOT NULL CHECK (lot_size >= 0)",
    "instrument_type": "varchar(4) NOT NULL",
    "segment": "varchar(12) NOT NULL",
    "exchange": "varchar(10) NOT NULL CHECK (exchange <> '')",
}
MAY_BE_EMPTY: Final = ("tradingsymbol", "name", "instrument_type", "segment", "exchange")


def stage(cursor: CursorWrapper, *, dump: bytes | BinaryIO, told: Told) -> int:
    """Fill the temporary table `staged` and return the number of lines; `told` hears the share that is read.

    Raises DumpRefused, naming line and column, where a line cannot be right.
    """
    source = BytesIO(dump) if isinstance(dump, bytes) else dump
    try:
        header = _header(source)
        count = _copy(cursor, header, source, told)
    except (BrokenDump, DataError, IntegrityError, UnicodeDecodeError) as error:
        raise DumpRefused(f"the dump was broken: {_fault(source) or error}", field="dump") from error
    if not count:
        raise DumpRefused("the dump held no instrument", field="dump")
    cursor.execute("ANALYZE staged")
    return count


def _header(source: BinaryIO) -> list[str]:
    """Return the column of each cell; columns are found by name, whatever the broker adds or moves."""
    first = source.readline().removeprefix(BYTE_ORDER_MARK).decode()
    names = next(csv.reader([first]), [])
    missing = [name for name in COLUMNS if name not in names]
    if missing:
        raise BrokenDump("the column is missing", line=1, column=missing[0])
    known = set(COLUMNS)
    return [
        name if name in known and names.index(name) == place else f"other_{place}" for place, name in enumerate(names)
    ]


def _copy(cursor: CursorWrapper, header: Sequence[str], source: BinaryIO, told: Told) -> int:
    columns = ", ".join(f"{name} {KINDS.get(name, 'text')}" for name in header)
    cursor.execute("SET LOCAL datestyle = 'ISO, YMD'")
    cursor.execute("DROP TABLE IF EXISTS pg_temp.staged")
    cursor.execute(
        f"CREATE TEMPORARY TABLE staged (place integer GENERATED ALWAYS AS IDENTITY, {columns}) ON COMMIT DROP"
    )
    statement = (
        f"COPY staged ({', '.join(header)}) FROM STDIN (FORMAT csv, ENCODING 'UTF8', "
        f"FORCE_NOT_NULL ({', '.join(MAY_BE_EMPTY)}))"
    )
    with connection.wrap_database_errors, cursor.copy(statement) as copy:
        for chunk, share in _chunks(source):
            copy.write(chunk)
            told(share)
    return int(cursor.rowcount)


def _chunks(source: BinaryIO) -> Iterator[tuple[bytes, float]]:
    here = source.tell()
    size = source.seek(0, 2)
    source.seek(here)
    while chunk := source.read(CHUNK):
        yield chunk, source.tell() / size


def _fault(source: BinaryIO) -> str:
    """Read again, slowly, for the line and column; empty where our reader finds nothing wrong."""
    source.seek(0)
    try:
        for _ in read(_lines(source)):
            pass
    except BrokenDump as error:
        return str(error)
    return ""


def _lines(source: BinaryIO) -> Iterator[str]:
    for number, line in enumerate(source, 1):
        try:
            yield line.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as error:
            raise BrokenDump("the text was not UTF-8", line=number) from error
