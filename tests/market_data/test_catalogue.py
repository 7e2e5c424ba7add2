"""The daily load of instruments."""

import re
from datetime import UTC, date, datetime, timedelta
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import call_command
from django.db import connection, connections
from kiteconnect import KiteConnect

from accounts.management.progress import Bar
from market_data.catalogue import SYNC_LOCK, SyncReport, sync
from market_data.errors import DumpRefused, SyncRunning
from market_data.models import Instrument, InstrumentChange, InstrumentSync
from tests.kite.published import answer, needs_published
from tests.market_data.factories import NOW, InstrumentFactory

pytestmark = pytest.mark.django_db

HEADER = (
    "instrument_token,exchange_token,tradingsymbol,name,last_price,expiry,strike,tick_size,lot_size,"
    "instrument_type,segment,exchange"
)
INFY = '408065,1594,INFY,"INFOSYS",0,,0,0.05,1,EQ,NSE,NSE'
TCS = "2953217,11536,TCS,TCS,0,,0,0.05,1,EQ,NSE,NSE"
CALL = "12345602,48225,NIFTY26AUG25000CE,NIFTY,0,2026-08-25,25000,0.05,65,CE,NFO-OPT,NFO"
PUT = "12345858,48226,NIFTY26AUG25000PE,NIFTY,0,2026-08-25,25000,0.05,65,PE,NFO-OPT,NFO"


def dump(*lines: str) -> bytes:
    return "\n".join((HEADER, *lines, "")).encode()


def load(*lines: str, allow_shrinking: bool = False) -> SyncReport:
    return sync(dump=dump(*lines), now=NOW, allow_shrinking=allow_shrinking)


def listed() -> set[str]:
    return {str(row) for row in Instrument.objects.filter(listed=True)}


def test_a_first_load_lists_every_line() -> None:
    report = load(INFY, CALL)

    assert (report.read, report.new, report.changed) == (2, 2, 0)
    assert listed() == {"NSE:INFY", "NFO:NIFTY26AUG25000CE"}
    option = Instrument.objects.get(tradingsymbol="NIFTY26AUG25000CE")
    assert (option.expiry, option.strike, option.lot_size) == (date(2026, 8, 25), 25000, 65)


def test_the_same_dump_twice_changes_nothing() -> None:
    load(INFY, CALL)

    report = load(INFY, CALL)

    assert (report.new, report.changed, report.gone) == (0, 0, 0)


def test_a_changed_lot_is_loaded_and_kept_as_history() -> None:
    load(CALL)

    report = load(CALL.replace(",65,", ",75,"))

    change = InstrumentChange.objects.get()
    assert report.changed == 1
    assert (change.field, change.was, change.became, change.changed_at) == ("lot_size", "65", "75", NOW)


def test_what_the_dump_no_longer_names_is_retired() -> None:
    load(INFY, TCS, CALL)

    report = load(INFY, CALL)

    assert report.gone == 1
    assert listed() == {"NSE:INFY", "NFO:NIFTY26AUG25000CE"}


def test_a_dump_of_one_exchange_leaves_the_others_alone() -> None:
    load(INFY, CALL)

    load(PUT, CALL)

    assert "NSE:INFY" in listed()


def test_an_expired_contract_is_retired_even_where_the_dump_still_names_it() -> None:
    load(INFY, CALL)

    report = sync(dump=dump(INFY, CALL), now=NOW + timedelta(days=10))

    assert report.expired == 1
    assert listed() == {"NSE:INFY"}


def test_a_token_reused_by_a_new_contract_moves_to_it() -> None:
    load(INFY, CALL)
    successor = CALL.replace("26AUG", "26SEP").replace("2026-08-25", "2026-09-29")

    sync(dump=dump(INFY, successor), now=NOW + timedelta(days=10))

    holder = Instrument.objects.get(instrument_token=12345602, listed=True)
    assert holder.tradingsymbol == "NIFTY26SEP25000CE"


def test_two_names_may_swap_their_tokens() -> None:
    load(CALL, PUT)

    load(CALL.replace("12345602", "12345858"), PUT.replace("12345858", "12345602"))

    assert Instrument.objects.get(tradingsymbol="NIFTY26AUG25000CE").instrument_token == 12345858
    assert Instrument.objects.get(tradingsymbol="NIFTY26AUG25000PE").instrument_token == 12345602


def test_a_doubled_line_is_counted_and_its_first_appearance_wins() -> None:
    report = load(INFY, TCS, INFY.replace(",1,EQ", ",9,EQ"))

    assert report.doubled == 1
    assert Instrument.objects.get(tradingsymbol="INFY").lot_size == 1


@pytest.mark.parametrize(
    "broken",
    [
        dump(INFY, "not,a,line"),
        dump(INFY.replace("408065", "soon")),
        dump(INFY, TCS)[:-20],
        b"\xff\xfe" + dump(INFY),
        dump(),
        b"<html>busy</html>",
    ],
    ids=["short line", "bad token", "cut", "not text", "empty", "page"],
)
def test_a_broken_dump_changes_nothing(broken: bytes) -> None:
    load(INFY, TCS)

    with pytest.raises(DumpRefused):
        sync(dump=broken, now=NOW)

    assert listed() == {"NSE:INFY", "NSE:TCS"}


def test_a_dump_that_loses_most_instruments_is_refused() -> None:
    load(INFY, TCS, *(INFY.replace("408065", str(token)).replace("INFY", f"X{token}") for token in (257, 513)))

    with pytest.raises(DumpRefused, match="3 of 4 instruments would vanish"):
        load(INFY)


def test_a_shrinking_dump_is_taken_where_somebody_says_so() -> None:
    load(INFY, TCS, CALL.replace("NFO,", "NSE,"))

    load(INFY, allow_shrinking=True)

    assert "NSE:TCS" not in listed()


@pytest.mark.django_db(transaction=True)
def test_two_loads_do_not_run_at_once() -> None:
    other = connections.create_connection("default")
    try:
        with other.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_lock(%s, 0)", [SYNC_LOCK])

        with pytest.raises(SyncRunning):
            load(INFY)
    finally:
        other.close()


def test_a_dump_may_be_an_open_file(tmp_path: Path) -> None:
    (tmp_path / "dump.csv").write_bytes(dump(INFY, TCS))

    with (tmp_path / "dump.csv").open("rb") as file:
        report = sync(dump=file, now=NOW)

    assert report.new == 2


def test_the_command_loads_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "dump.csv").write_bytes(dump(INFY, TCS))

    call_command("sync_instruments", file=tmp_path / "dump.csv")

    told = "2 read: 2 new, 0 changed, 0 gone, 0 expired, 0 doubled; 0 new lots, 0 new tick sizes\n"
    assert capsys.readouterr().out == told


def test_every_load_leaves_a_report() -> None:
    load(INFY, CALL)

    load(CALL.replace(",65,", ",75,"), TCS, INFY.replace("0.05", "0.10"))

    first, second = InstrumentSync.objects.order_by("pk")
    assert (first.new, first.changed) == (2, 0)
    assert (second.read, second.new, second.changed, second.lots, second.ticks) == (3, 1, 2, 1, 1)


def test_a_refused_load_leaves_no_report() -> None:
    with pytest.raises(DumpRefused):
        load("not,a,line")

    assert not InstrumentSync.objects.exists()


def test_a_load_says_how_far_it_is() -> None:
    heard: list[tuple[str, float]] = []

    sync(dump=dump(INFY, TCS), now=NOW, told=lambda stage, share: heard.append((stage, share)))

    assert heard == [("reading", 1.0), ("comparing", 0.0), ("writing", 0.0), ("writing", 1.0)]


@pytest.mark.parametrize(
    ("was", "became", "told"),
    [
        ("0.05,1,EQ", "NaN,1,EQ", "line 3, column tick_size: the cell was 'NaN'"),
        ("0.05,1,EQ", "-1,1,EQ", "line 3, column tick_size: the cell was '-1'"),
        ("2953217", "-1", "line 3, column instrument_token: the cell was '-1'"),
        (",,0,", ",25-08-2026,0,", "line 3, column expiry: the cell was '25-08-2026'"),
        (",,0,", ",05-08-2026,0,", "line 3, column expiry: the cell was '05-08-2026'"),
        ("TCS,TCS", ",TCS", "line 3, column tradingsymbol: the cell is empty"),
        ("TCS,TCS", '"TCS,TCS', "line 3"),
        ("TCS,TCS", f"{'T' * 81},TCS", "too long"),
    ],
)
def test_the_place_of_a_fault_is_named(was: str, became: str, told: str) -> None:
    with pytest.raises(DumpRefused, match=re.escape(told)):
        load(INFY, TCS.replace(was, became, 1))


def test_columns_may_move_and_new_ones_come() -> None:
    moved = dump(INFY, CALL).replace(b"\n", b",x\n").replace(b"exchange,x", b"exchange,isin,lot_size", 1)
    names, first, second = moved.decode().splitlines()
    wider = "\n".join((names, f"{first},9", f"{second},9", ""))

    sync(dump=wider.encode(), now=NOW)

    assert Instrument.objects.get(tradingsymbol="NIFTY26AUG25000CE").lot_size == 65


def test_a_byte_order_mark_and_windows_line_ends_are_read() -> None:
    report = sync(dump=b"\xef\xbb\xbf" + dump(INFY, TCS).replace(b"\n", b"\r\n"), now=NOW)

    assert report.new == 2


@needs_published
@pytest.mark.parametrize("name", ["instruments_all.csv", "instruments_nse.csv"])
def test_a_published_dump_is_loaded_as_the_official_parser_reads_it(name: str) -> None:
    published = answer(name)
    official = {
        (row["exchange"], row["tradingsymbol"]): (row["instrument_token"], row["lot_size"], row["strike"])
        for row in KiteConnect("key")._parse_instruments(published)
        if not row["expiry"] or row["expiry"] >= date(2015, 1, 1)
    }

    sync(dump=published, now=datetime(2015, 1, 1, tzinfo=UTC))

    rows = Instrument.objects.values_list("exchange", "tradingsymbol", "instrument_token", "lot_size", "strike")
    assert {(ex, symbol): (token, lot, float(strike)) for ex, symbol, token, lot, strike in rows} == official


class Terminal(StringIO):
    """A stream a person watches."""

    def isatty(self) -> bool:
        return True


def test_a_bar_is_drawn_on_a_terminal_and_taken_away() -> None:
    terminal = Terminal()
    bar = Bar(stream=terminal, title="load")

    bar.show("reading", 0.5)
    bar.show("reading", 0.5)
    bar.close()

    assert terminal.getvalue().count("50% reading") == 1
    assert terminal.getvalue().endswith("\r")


def test_an_instrument_that_comes_back_is_listed_again() -> None:
    InstrumentFactory(tradingsymbol="INFY", instrument_token=408065, listed=False)

    load(INFY)

    assert listed() == {"NSE:INFY"}
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM market_data_instrument")
        assert cursor.fetchone() == (1,)
