"""The daily load of instruments: one dump in, one set-based difference, all or nothing."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Final

import structlog
from django.db import connection, transaction
from django.db.backends.utils import CursorWrapper

from kite.instruments import BrokenDump, read
from kite.types import InstrumentRow
from market_data.calendar import IST
from market_data.errors import DumpRefused, SyncRunning

log = structlog.get_logger(__name__)

SYNC_LOCK: Final = 0x696E7374  # "inst"
LEAST_KEPT: Final = 0.5

STAGE = """
DROP TABLE IF EXISTS pg_temp.staged;
CREATE TEMPORARY TABLE staged (
    place integer GENERATED ALWAYS AS IDENTITY, exchange varchar(10), tradingsymbol varchar(80),
    instrument_token bigint, exchange_token bigint, name varchar(120), instrument_type varchar(4),
    segment varchar(12), expiry date, strike numeric(14, 4), tick_size numeric(10, 4), lot_size integer
) ON COMMIT DROP
"""
COPY = """
COPY staged (exchange, tradingsymbol, instrument_token, exchange_token, name, instrument_type, segment, expiry, strike,
    tick_size, lot_size) FROM STDIN
"""
# The first line of a name or of a token wins; a dump that doubles one must not stop the day.
DROP_EXPIRED = "DELETE FROM staged WHERE expiry < %s"
DROP_DOUBLES = """
DELETE FROM staged WHERE place IN (
    SELECT place FROM (
        SELECT place, row_number() OVER (PARTITION BY exchange, tradingsymbol ORDER BY place) AS by_name,
            row_number() OVER (PARTITION BY instrument_token ORDER BY place) AS by_token FROM staged
    ) numbered WHERE by_name > 1 OR by_token > 1)
"""
# Only exchanges that the dump speaks of: a dump of one exchange says nothing about the others.
GONE = """
FROM market_data_instrument i WHERE i.listed AND i.exchange IN (SELECT DISTINCT exchange FROM staged)
    AND NOT EXISTS (SELECT 1 FROM staged s WHERE s.exchange = i.exchange AND s.tradingsymbol = i.tradingsymbol)
"""
COUNT_KNOWN = """
SELECT count(*) FROM market_data_instrument i WHERE i.listed AND (i.expiry IS NULL OR i.expiry >= %s)
    AND i.exchange IN (SELECT DISTINCT exchange FROM staged)
"""
RETIRE_GONE = f"""
UPDATE market_data_instrument SET listed = false, synced_at = %s WHERE id IN (SELECT i.id {GONE}) RETURNING id
"""  # noqa: S608 (both parts are constants)
RETIRE_EXPIRED = "UPDATE market_data_instrument SET listed = false, synced_at = %s WHERE listed AND expiry < %s"
NOTE_CHANGES = """
INSERT INTO market_data_instrumentchange (instrument_id, field, was, became, changed_at)
SELECT i.id, c.field, c.was, c.became, %s FROM market_data_instrument i
JOIN staged s ON s.exchange = i.exchange AND s.tradingsymbol = i.tradingsymbol
CROSS JOIN LATERAL (VALUES
    ('lot_size', i.lot_size::text, s.lot_size::text), ('tick_size', i.tick_size::text, s.tick_size::text),
    ('instrument_token', i.instrument_token::text, s.instrument_token::text)) AS c (field, was, became)
WHERE c.was <> c.became
"""
# A token may pass from one name to another: whoever loses it steps aside before anybody takes it.
RELEASE_TOKENS = """
UPDATE market_data_instrument i SET listed = false FROM staged s
WHERE i.listed AND s.instrument_token = i.instrument_token
    AND (s.exchange <> i.exchange OR s.tradingsymbol <> i.tradingsymbol)
"""
MERGE = """
MERGE INTO market_data_instrument i USING staged s ON i.exchange = s.exchange AND i.tradingsymbol = s.tradingsymbol
WHEN MATCHED AND (i.instrument_token, i.exchange_token, i.name, i.instrument_type, i.segment, i.expiry, i.strike,
        i.tick_size, i.lot_size, i.listed)
    IS DISTINCT FROM (s.instrument_token, s.exchange_token, s.name, s.instrument_type, s.segment, s.expiry, s.strike,
        s.tick_size, s.lot_size, true)
THEN UPDATE SET instrument_token = s.instrument_token, exchange_token = s.exchange_token, name = s.name,
    instrument_type = s.instrument_type, segment = s.segment, expiry = s.expiry, strike = s.strike,
    tick_size = s.tick_size, lot_size = s.lot_size, listed = true, synced_at = %s
WHEN NOT MATCHED THEN INSERT (exchange, tradingsymbol, instrument_token, exchange_token, name, instrument_type, segment,
    expiry, strike, tick_size, lot_size, listed, synced_at)
VALUES (s.exchange, s.tradingsymbol, s.instrument_token, s.exchange_token, s.name, s.instrument_type, s.segment,
    s.expiry, s.strike, s.tick_size, s.lot_size, true, %s)
"""
COUNT_NEW = """
SELECT count(*) FROM staged s WHERE NOT EXISTS (
    SELECT 1 FROM market_data_instrument i WHERE i.exchange = s.exchange AND i.tradingsymbol = s.tradingsymbol)
"""


@dataclass(frozen=True, slots=True)
class SyncReport:
    """What a load changed, in instruments."""

    read: int
    new: int
    changed: int
    gone: int
    expired: int
    doubled: int


def sync(*, dump: bytes | Iterable[str], now: datetime, allow_shrinking: bool = False) -> SyncReport:
    """Make the listed instruments those of the dump and return what changed.

    Raises DumpRefused, having changed nothing, where a line cannot be read or more than half of what is known would
    vanish; raises SyncRunning while another load runs.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        _take_turn(cursor)
        read_rows = _stage(cursor, dump)
        report = _apply(cursor, read_rows=read_rows, now=now, allow_shrinking=allow_shrinking)
    log.info("market_data.instruments.synced", new=report.new, changed=report.changed, gone=report.gone)
    return report


def _take_turn(cursor: CursorWrapper) -> None:
    cursor.execute("SELECT pg_try_advisory_xact_lock(%s, 0)", [SYNC_LOCK])
    if not cursor.fetchone()[0]:
        raise SyncRunning("another process loads the instruments: ask again")
    cursor.execute("SET LOCAL statement_timeout = '120s'")


def _stage(cursor: CursorWrapper, dump: bytes | Iterable[str]) -> int:
    cursor.execute(STAGE)
    count = 0
    try:
        with cursor.copy(COPY) as copy:
            for row in read(_lines(dump)):
                copy.write_row(_cells(row))
                count += 1
    except BrokenDump as error:
        raise DumpRefused(f"the dump was broken: {error}", field="dump") from error
    if not count:
        raise DumpRefused("the dump held no instrument", field="dump")
    cursor.execute("ANALYZE staged")
    return count


def _lines(dump: bytes | Iterable[str]) -> Iterator[str]:
    """Decode line by line: a dump of a hundred thousand lines is not held twice."""
    if not isinstance(dump, bytes):
        yield from dump
        return
    for number, line in enumerate(dump.splitlines(keepends=True), 1):
        try:
            yield line.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as error:
            raise BrokenDump("the text was not UTF-8", line=number) from error


def _cells(row: InstrumentRow) -> tuple[object, ...]:
    return (
        row.exchange,
        row.tradingsymbol,
        row.instrument_token,
        row.exchange_token,
        row.name,
        row.instrument_type,
        row.segment,
        row.expiry,
        row.strike,
        row.tick_size,
        row.lot_size,
    )


def _apply(cursor: CursorWrapper, *, read_rows: int, now: datetime, allow_shrinking: bool) -> SyncReport:
    today = now.astimezone(IST).date()
    cursor.execute(DROP_EXPIRED, [today])
    cursor.execute(DROP_DOUBLES)
    doubled = cursor.rowcount
    if not allow_shrinking:
        _refuse_shrinking(cursor, today)
    expired = _run(cursor, RETIRE_EXPIRED, [now, today])
    gone = _run(cursor, RETIRE_GONE, [now])
    new = _count(cursor, COUNT_NEW, [])
    cursor.execute(NOTE_CHANGES, [now])
    cursor.execute(RELEASE_TOKENS)
    written = _run(cursor, MERGE, [now, now])
    return SyncReport(read=read_rows, new=new, changed=written - new, gone=gone, expired=expired, doubled=doubled)


def _refuse_shrinking(cursor: CursorWrapper, today: date) -> None:
    known = _count(cursor, COUNT_KNOWN, [today])
    gone = _count(cursor, f"SELECT count(*) {GONE} AND (i.expiry IS NULL OR i.expiry >= %s)", [today])
    if known and gone > known * LEAST_KEPT:
        raise DumpRefused(f"{gone} of {known} instruments would vanish: the dump was cut short", field="dump")


def _run(cursor: CursorWrapper, statement: str, parameters: Sequence[datetime | date]) -> int:
    cursor.execute(statement, parameters)
    return int(cursor.rowcount)


def _count(cursor: CursorWrapper, statement: str, parameters: Sequence[datetime | date]) -> int:
    cursor.execute(statement, parameters)
    return int(cursor.fetchone()[0])
