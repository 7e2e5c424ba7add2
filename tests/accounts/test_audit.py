"""The audit trail: only added to, chained, and checked."""

import io
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import ProgrammingError, connection, transaction

from accounts import audit
from accounts.models import AuditEntry, AuditLink
from accounts.tasks import export_audit_head
from tests.proving import Numbers

pytestmark = pytest.mark.django_db(transaction=True)


def deed(now: datetime, **values: Any) -> AuditEntry:
    with transaction.atomic():
        return audit.record(**{"actor": "asha", "action": "tests.deed", "subject": "thing:1", "now": now, **values})


@contextmanager
def past_the_guards(*tables: str) -> Iterator[Any]:
    """Do what only the owner of the tables can."""
    with connection.cursor() as cursor:
        for table in tables:
            cursor.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
        yield cursor
        for table in tables:
            cursor.execute(f"ALTER TABLE {table} ENABLE TRIGGER USER")
            cursor.execute(f"ALTER TABLE {table} DISABLE TRIGGER audit_refuse_truncate")


def found() -> list[tuple[int | None, str]]:
    return [(fault.position, fault.what) for fault in audit.verify()]


def test_a_record_outside_of_a_transaction_is_refused(now: datetime) -> None:
    with pytest.raises(transaction.TransactionManagementError):
        audit.record(actor="asha", action="tests.deed", subject="thing:1", now=now)


def test_entries_are_chained_in_order(now: datetime) -> None:
    entries = [deed(now, reason=str(number)) for number in range(3)]

    links = list(AuditLink.objects.order_by("position"))

    assert [(link.position, link.entry_id) for link in links] == [
        (at + 1, entry.pk) for at, entry in enumerate(entries)
    ]
    assert bytes(links[0].previous) == audit.FIRST
    assert bytes(links[2].previous) == bytes(links[1].digest)
    assert found() == []


def test_an_entry_of_a_deed_that_failed_leaves_no_link(now: datetime) -> None:
    with transaction.atomic():
        deed(now)
        transaction.set_rollback(True)
    deed(now)

    assert AuditLink.objects.get().position == 1
    assert found() == []


def test_simultaneous_deeds_make_one_chain(now: datetime) -> None:
    def work(number: int) -> None:
        try:
            for _ in range(10):
                deed(now, subject=f"thing:{number}", detail={"ü": [1.5, None, {"deep": "\u2028"}]})
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))

    newest = audit.head()
    assert newest is not None
    assert newest.position == 40
    assert found() == []


@pytest.mark.parametrize("table", ["accounts_auditentry", "accounts_auditlink"])
@pytest.mark.parametrize("statement", ["UPDATE {} SET {} = {}", "DELETE FROM {}"])
def test_the_database_refuses_to_change_the_trail(now: datetime, table: str, statement: str) -> None:
    deed(now)
    column = "actor" if table.endswith("entry") else "digest"

    with pytest.raises(ProgrammingError, match="only ever added to"), connection.cursor() as cursor:
        cursor.execute(statement.format(table, column, column))


@pytest.mark.parametrize("table", ["accounts_auditentry", "accounts_auditlink"])
def test_the_database_refuses_to_empty_the_trail(table: str) -> None:
    statement = f"ALTER TABLE {table} ENABLE TRIGGER audit_refuse_truncate; TRUNCATE {table} CASCADE"

    with pytest.raises(ProgrammingError, match="TRUNCATE"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement)


@pytest.mark.proof(id="R25")
@pytest.mark.parametrize(
    "edit",
    [
        "actor = 'x'",
        "action = 'x'",
        "subject = 'x'",
        "reason = 'x'",
        "detail = '{}'",
        "at = at + interval '1 microsecond'",
    ],
)
def test_an_edit_past_the_guards_is_found(now: datetime, edit: str) -> None:
    for number in range(3):
        deed(now, reason=str(number), detail={"number": number})

    with past_the_guards("accounts_auditentry") as cursor:
        cursor.execute(f"UPDATE accounts_auditentry SET {edit} WHERE reason = '1'")

    assert found() == [(2, "was changed")]


@pytest.mark.proof(id="R25")
def test_a_deleted_entry_is_found(now: datetime) -> None:
    entries = [deed(now) for _ in range(3)]

    with past_the_guards("accounts_auditentry", "accounts_auditlink") as cursor:
        cursor.execute("DELETE FROM accounts_auditlink WHERE position = 2")
        cursor.execute("DELETE FROM accounts_auditentry WHERE id = %s", [entries[1].pk])

    assert found() == [(3, "follows 1: links are missing")]


def test_an_entry_added_past_the_chain_is_found(now: datetime) -> None:
    deed(now)

    with past_the_guards("accounts_auditentry"):
        AuditEntry.objects.create(at=now, actor="x", action="x", subject="x")

    assert found() == [(None, "has no link: it was added past the chain")]


def test_a_chain_forged_from_a_link_on_disagrees_with_the_exported_head(now: datetime, tmp_path: Path) -> None:
    deed(now)
    deed(now)
    audit.export_head(path=tmp_path / "heads")

    with past_the_guards("accounts_auditentry", "accounts_auditlink") as cursor:
        cursor.execute("UPDATE accounts_auditlink SET digest = sha256('forged') WHERE position = 2")

    faults = [fault.what for fault in audit.verify(heads=audit.read_heads(path=tmp_path / "heads"))]
    assert "differs from the head that was exported" in faults


@pytest.mark.proof(id="R25")
def test_a_cut_tail_is_found_by_the_exported_head(now: datetime, tmp_path: Path) -> None:
    deed(now)
    last = deed(now)
    audit.export_head(path=tmp_path / "heads")

    with past_the_guards("accounts_auditentry", "accounts_auditlink") as cursor:
        cursor.execute("DELETE FROM accounts_auditlink WHERE position = 2")
        cursor.execute("DELETE FROM accounts_auditentry WHERE id = %s", [last.pk])

    assert found() == []
    [fault] = audit.verify(heads=audit.read_heads(path=tmp_path / "heads"))
    assert (fault.position, fault.what) == (2, "was exported as a head and is gone: the chain was cut")


def test_the_command_agrees_and_then_does_not(now: datetime, settings: Any, tmp_path: Path) -> None:
    settings.AUDIT_HEADS_FILE = str(tmp_path / "heads")
    deed(now)
    export_audit_head()
    export_audit_head()
    out = io.StringIO()

    call_command("verify_audit", heads=tmp_path / "heads", stdout=out)
    with past_the_guards("accounts_auditentry") as cursor:
        cursor.execute("UPDATE accounts_auditentry SET actor = 'x'")

    assert out.getvalue().startswith("1 entries and 1 heads agree")
    with pytest.raises(CommandError, match="1 faults"):
        call_command("verify_audit", heads=tmp_path / "heads", stderr=io.StringIO())


@pytest.mark.proof(id="R25")
@pytest.mark.long
def test_a_million_entries_are_checked_within_a_minute(now: datetime, numbers: Numbers) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET statement_timeout = 0")
        cursor.execute(
            "INSERT INTO accounts_auditentry (at, actor, action, subject, reason, detail)"
            " SELECT %s, 'asha', 'tests.deed', 'thing:' || n, '', '{}' FROM generate_series(1, 1000000) n",
            [now],
        )

    started = time.monotonic()
    faults = found()

    numbers.most("seconds for a million entries", time.monotonic() - started)
    assert faults == []
    assert time.monotonic() - started < 60
