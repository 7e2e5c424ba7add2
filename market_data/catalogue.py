"""The daily load of instruments: one dump in, one set-based difference, all or nothing."""

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import date, datetime
from typing import BinaryIO, Final

import structlog
from django.db import connection, transaction
from django.db.backends.utils import CursorWrapper

from market_data import freezes
from market_data.calendar import IST
from market_data.errors import DumpRefused, SyncRunning
from market_data.models import InstrumentSync
from market_data.staging import stage

log = structlog.get_logger(__name__)

SYNC_LOCK: Final = 0x696E7374  # "inst"
LEAST_KEPT: Final = 0.5

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
    ('lot_size', i.lot_size::text, s.lot_size::text), ('tick_size', i.tick_size::text, COALESCE(s.tick_size, 0)::text),
    ('instrument_token', i.instrument_token::text, s.instrument_token::text)) AS c (field, was, became)
WHERE c.was <> c.became RETURNING field
"""
# A token may pass from one name to another: whoever loses it steps aside before anybody takes it.
RELEASE_TOKENS = """
UPDATE market_data_instrument i SET listed = false FROM staged s
WHERE i.listed AND s.instrument_token = i.instrument_token
    AND (s.exchange <> i.exchange OR s.tradingsymbol <> i.tradingsymbol)
"""
UPDATE = """
UPDATE market_data_instrument i SET instrument_token = s.instrument_token, exchange_token = s.exchange_token,
    name = s.name, instrument_type = s.instrument_type, segment = s.segment, expiry = s.expiry,
    strike = COALESCE(s.strike, 0), tick_size = COALESCE(s.tick_size, 0), lot_size = s.lot_size, listed = true,
    token_since = CASE WHEN i.instrument_token = s.instrument_token THEN i.token_since ELSE %s END, synced_at = %s
FROM staged s WHERE i.exchange = s.exchange AND i.tradingsymbol = s.tradingsymbol
    AND (i.instrument_token, i.exchange_token, i.name, i.instrument_type, i.segment, i.expiry, i.strike,
        i.tick_size, i.lot_size, i.listed)
    IS DISTINCT FROM (s.instrument_token, s.exchange_token, s.name, s.instrument_type, s.segment, s.expiry,
        COALESCE(s.strike, 0), COALESCE(s.tick_size, 0), s.lot_size, true)
"""
INSERT = """
INSERT INTO market_data_instrument (exchange, tradingsymbol, instrument_token, exchange_token, name, instrument_type,
    segment, expiry, strike, tick_size, lot_size, listed, token_since, synced_at)
SELECT s.exchange, s.tradingsymbol, s.instrument_token, s.exchange_token, s.name, s.instrument_type, s.segment,
    s.expiry, COALESCE(s.strike, 0), COALESCE(s.tick_size, 0), s.lot_size, true,
    CASE WHEN s.instrument_token IN (SELECT instrument_token FROM market_data_instrument) THEN %s::timestamptz END, %s
FROM staged s WHERE NOT EXISTS (
    SELECT 1 FROM market_data_instrument i WHERE i.exchange = s.exchange AND i.tradingsymbol = s.tradingsymbol)
"""
COUNT_NEW = """
SELECT count(*) FROM staged s WHERE NOT EXISTS (
    SELECT 1 FROM market_data_instrument i WHERE i.exchange = s.exchange AND i.tradingsymbol = s.tradingsymbol)
"""


@dataclass(frozen=True, slots=True)
class SyncReport:
    """What a load changed, in instruments; `lots` and `ticks` are among the changed."""

    read: int
    new: int
    changed: int
    gone: int
    expired: int
    doubled: int
    lots: int
    ticks: int


def sync(
    *,
    dump: bytes | BinaryIO,
    now: datetime,
    allow_shrinking: bool = False,
    told: Callable[[str, float], None] = lambda _stage, _share: None,
) -> SyncReport:
    """Make the listed instruments those of the dump and return what changed.

    Raises DumpRefused, having changed nothing, where a line cannot be read or more than half of what is known would
    vanish; raises SyncRunning while another load runs. `told` hears what is being done and which share of it is.
    """
    began = time.monotonic()
    with transaction.atomic(), connection.cursor() as cursor:
        _take_turn(cursor)
        read_rows = stage(cursor, dump=dump, told=lambda share: told("reading", share))
        report = _apply(cursor, read_rows=read_rows, now=now, allow_shrinking=allow_shrinking, told=told)
        InstrumentSync.objects.create(
            finished_at=now, took_seconds=round(time.monotonic() - began, 3), **asdict(report)
        )
    log.info("market_data.instruments.synced", **asdict(report))
    return report


def _take_turn(cursor: CursorWrapper) -> None:
    cursor.execute("SELECT pg_try_advisory_xact_lock(%s, 0)", [SYNC_LOCK])
    if not cursor.fetchone()[0]:
        raise SyncRunning("another process loads the instruments: ask again")
    cursor.execute("SET LOCAL statement_timeout = '120s'")


def _apply(
    cursor: CursorWrapper,
    *,
    read_rows: int,
    now: datetime,
    allow_shrinking: bool,
    told: Callable[[str, float], None],
) -> SyncReport:
    today = now.astimezone(IST).date()
    told("comparing", 0.0)
    cursor.execute(DROP_EXPIRED, [today])
    doubled = _run(cursor, DROP_DOUBLES, [])
    if not allow_shrinking:
        _refuse_shrinking(cursor, today)
    expired = _run(cursor, RETIRE_EXPIRED, [now, today])
    gone = _run(cursor, RETIRE_GONE, [now])
    new = _count(cursor, COUNT_NEW, [])
    lots, ticks = _note_changes(cursor, now)
    told("writing", 0.0)
    cursor.execute(RELEASE_TOKENS)
    written = _run(cursor, UPDATE, [now, now]) + _run(cursor, INSERT, [now, now])
    freezes.carry()
    if written or gone or expired:
        # Without fresh numbers the planner sorts eighty thousand contracts to show a hundred.
        cursor.execute("ANALYZE market_data_instrument")
    told("writing", 1.0)
    return SyncReport(
        read=read_rows,
        new=new,
        changed=written - new,
        gone=gone,
        expired=expired,
        doubled=doubled,
        lots=lots,
        ticks=ticks,
    )


def _note_changes(cursor: CursorWrapper, now: datetime) -> tuple[int, int]:
    """Keep what the exchange changed as history and return the number of new lots and of new tick sizes."""
    cursor.execute(NOTE_CHANGES, [now])
    fields = Counter(row[0] for row in cursor.fetchall())
    return fields["lot_size"], fields["tick_size"]


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
