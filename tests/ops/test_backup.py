"""A backup is worth what its restored copy is."""

import io
import json
import stat
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.conf import settings
from django.core.management import CommandError, call_command

from ops.backup import Server, back_up, differences, drill, server_of
from ops.errors import BackupFailed
from tests.factories import BrokerAccountFactory, CredentialFactory

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def server() -> Server:
    return server_of(settings.DATABASES["default"])


def call(*arguments: str, **options: Any) -> str:
    out = io.StringIO()
    call_command(*arguments, stdout=out, **options)
    return out.getvalue()


def copies(server: Server) -> set[str]:
    """Return the databases of drills; other tests make databases of other names meanwhile."""
    with server.link("postgres") as link:
        names = {row[0] for row in link.execute("SELECT datname FROM pg_database").fetchall()}
    return {name for name in names if name.startswith(f"{server.name}_drill_")}


def test_the_restored_copy_has_every_row(server: Server, tmp_path: Path) -> None:
    for _ in range(3):
        CredentialFactory()

    done = back_up(server=server, path=tmp_path / "desk.dump")
    rows, _ = drill(server=server, path=done.path)

    assert done.rows["public.accounts_credential"] == 3
    assert differences(wanted=done.rows, found=rows) == []


def test_the_copy_of_a_drill_is_gone_afterwards(server: Server, tmp_path: Path) -> None:
    call("backup", str(tmp_path / "desk.dump"), "--drill")

    assert copies(server) == set()


def test_a_tried_restore_reads_the_file_and_makes_no_database(server: Server, tmp_path: Path) -> None:
    path = back_up(server=server, path=tmp_path / "desk.dump").path

    said = json.loads(call("restore", str(path), "--into", f"{server.name}_drill_tried", "--dry-run", "--json"))

    assert said["tables"] > 50
    assert copies(server) == set()


def test_a_backup_tells_how_far_it_is(server: Server, tmp_path: Path) -> None:
    told: list[tuple[str, float]] = []

    back_up(server=server, path=tmp_path / "desk.dump", told=lambda table, share: told.append((table, share)))

    assert any(table.endswith("accounts_credential") for table, _ in told)
    assert [share for _, share in told] == sorted(share for _, share in told)
    assert told[-1][1] > 0.9


def test_only_its_owner_reads_the_file(server: Server, tmp_path: Path) -> None:
    path = back_up(server=server, path=tmp_path / "desk.dump").path

    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_a_sealed_credential_stays_sealed(server: Server, tmp_path: Path) -> None:
    CredentialFactory(api_secret="canary-of-the-backup")

    path = back_up(server=server, path=tmp_path / "desk.dump").path

    assert b"canary-of-the-backup" not in path.read_bytes()


def test_what_was_there_stays_when_the_backup_fails(server: Server, tmp_path: Path) -> None:
    path = tmp_path / "desk.dump"
    path.write_bytes(b"yesterday")
    nobody = Server(name=server.name, environment={**server.environment, "PGPASSWORD": "wrong", "PGUSER": "nobody"})

    with pytest.raises((BackupFailed, psycopg.OperationalError)):
        back_up(server=nobody, path=path)

    assert path.read_bytes() == b"yesterday"


def test_a_row_that_is_missing_is_named() -> None:
    assert differences(wanted={"a": 2, "b": 1}, found={"a": 1, "b": 1}) == ["a: 2 rows in the backup, 1 restored"]


def test_a_damaged_file_is_named(server: Server, tmp_path: Path) -> None:
    path = back_up(server=server, path=tmp_path / "desk.dump").path
    path.write_bytes(path.read_bytes()[:1000])

    with pytest.raises(BackupFailed, match="pg_restore"):
        drill(server=server, path=path)


def test_a_database_that_exists_is_not_written_over(server: Server, tmp_path: Path) -> None:
    path = tmp_path / "desk.dump"
    call("backup", str(path))
    accounts = BrokerAccountFactory()

    with pytest.raises(CommandError, match="exists"):
        call("restore", str(path), "--into", server.name)

    accounts.refresh_from_db()


def test_a_program_reads_what_was_done(tmp_path: Path) -> None:
    told = json.loads(call("backup", str(tmp_path / "desk.dump"), "--without-ticks", "--drill", "--json"))

    assert told["bytes"] > 0
    assert told["tables"] > 10
    assert told["drill_seconds"] > 0


def test_no_file_is_said(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="no file"):
        call("restore", str(tmp_path / "nothing"), "--into", "new")
