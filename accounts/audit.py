"""The audit trail: one entry a deed, chained by the database, checked here."""

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from django.db import connection, transaction

from accounts.errors import ReasonMissing
from accounts.models import AuditEntry, AuditLink

FIRST = bytes(32)
ROWS_AT_ONCE = 5_000
# What the trigger hashes, spelled out again: a changed trigger must not change what is checked.
READ_CHAIN = """
    SELECT link.position, link.previous, link.digest, entry.id, convert_to(jsonb_build_array(
        entry.id, extract(epoch FROM entry.at), entry.actor, entry.action, entry.subject, entry.reason, entry.detail
    )::text, 'UTF8')
    FROM accounts_auditlink link FULL JOIN accounts_auditentry entry ON entry.id = link.entry_id
    ORDER BY link.position NULLS LAST, entry.id
"""


@dataclass(frozen=True, slots=True)
class Head:
    """The newest link of the chain; kept elsewhere, it shows a cut of the tail."""

    position: int
    digest: str


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong at one place of the chain."""

    position: int | None
    entry: int | None
    what: str


def record(
    *,
    actor: str,
    action: str,
    subject: str,
    reason: str = "",
    detail: Mapping[str, object] | None = None,
    now: datetime,
) -> AuditEntry:
    """Add an entry; call it inside the transaction of the deed, so that neither exists without the other."""
    if not transaction.get_connection().in_atomic_block:
        raise transaction.TransactionManagementError(f"{action} is recorded outside of its transaction")
    return AuditEntry.objects.create(
        at=now, actor=actor, action=action, subject=subject, reason=reason, detail=dict(detail or {})
    )


def required(reason: str) -> str:
    """Return the reason without surrounding blanks; raises ReasonMissing."""
    if not reason.strip():
        raise ReasonMissing("say why: the reason is kept in the audit trail", field="reason")
    return reason.strip()


def head() -> Head | None:
    """Return the newest link, or None of an empty chain."""
    link = AuditLink.objects.order_by("-position").first()
    return None if link is None else Head(link.position, bytes(link.digest).hex())


def verify(*, heads: Iterable[Head] = (), told: Callable[[int], None] = lambda _position: None) -> Iterator[Fault]:
    """Yield every edit, deletion, insertion and cut, in the order of the chain; `told` hears how far it is."""
    wanted = {known.position: known.digest for known in heads}
    position, before = 0, FIRST
    for row in _chain():
        yield from _faults(row, position=position, before=before)
        if row[0] is None:
            continue
        position, before = row[0], bytes(row[2])
        if position % ROWS_AT_ONCE == 0:
            told(position)
        if wanted.pop(position, before.hex()) != before.hex():
            yield Fault(position, row[3], "differs from the head that was exported")
    for lost in sorted(wanted):
        yield Fault(lost, None, "was exported as a head and is gone: the chain was cut")


def read_heads(*, path: Path) -> list[Head]:
    """Return the heads that were exported to a file."""
    if not path.exists():
        return []
    return [Head(**json.loads(line)) for line in path.read_text().splitlines() if line]


def export_head(*, path: Path) -> Head | None:
    """Append the newest link to a file, unless it is there, and return it."""
    newest = head()
    if newest is not None and read_heads(path=path)[-1:] != [newest]:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with path.open("a") as file:
            file.write(json.dumps(asdict(newest)) + "\n")
    return newest


def _chain() -> Iterator[tuple[Any, ...]]:
    with transaction.atomic(), connection.cursor() as setting, connection.chunked_cursor() as cursor:
        setting.execute("SET LOCAL statement_timeout = 0")
        setting.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
        cursor.execute(READ_CHAIN)
        while rows := cursor.fetchmany(ROWS_AT_ONCE):
            yield from rows


def _faults(row: tuple[Any, ...], *, position: int, before: bytes) -> Iterator[Fault]:
    here, previous, digest, entry, content = row
    if here is None:
        yield Fault(None, entry, "has no link: it was added past the chain")
        return
    if here != position + 1:
        yield Fault(here, entry, f"follows {position}: links are missing")
    elif bytes(previous) != before:
        yield Fault(here, entry, "does not continue the link before it")
    if entry is None:
        yield Fault(here, None, "has lost its entry")
    elif hashlib.sha256(bytes(previous) + bytes(content)).digest() != bytes(digest):
        yield Fault(here, entry, "was changed")
