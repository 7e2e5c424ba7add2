"""The embedded servers: real PostgreSQL and Valkey, started, killed and started again."""

import os
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
import redis

from ops.stack.journal import Journal
from ops.stack.launch import output_of
from ops.stack.postgres import PostgresMissing, find_binaries, major_version, reachable_folder
from ops.stack.servers import start_servers
from ops.stack.supervisor import Supervisor
from ops.stack.valkey import find_server
from tests.ops.children import Pids, until

PLAIN = {"PATH": os.environ["PATH"]}


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="ticker-test-") as name:
        # As root, the database runs as another user, which must pass through.
        Path(name).chmod(0o711)
        yield Path(name)


@pytest.fixture
def pids() -> Pids:
    return Pids()


@pytest.fixture
def supervisor(folder: Path, pids: Pids) -> Iterator[Supervisor]:
    with Supervisor(journal=Journal(folder=folder / "log", terminal=None), on_change=pids) as supervisor:
        yield supervisor


def start(supervisor: Supervisor, folder: Path, **addresses: str) -> dict[str, str]:
    return start_servers(
        supervisor=supervisor,
        postgres_folder=folder / "postgres",
        valkey_folder=folder / "valkey",
        environment={**PLAIN, **addresses},
        durable=True,
    )


def database_only(supervisor: Supervisor, folder: Path) -> str:
    return start(supervisor, folder, REDIS_URL="redis://elsewhere")["DATABASE_URL"]


def cache_only(supervisor: Supervisor, folder: Path) -> str:
    return start(supervisor, folder, DATABASE_URL="postgres://elsewhere/x")["REDIS_URL"]


def connects(address: str) -> bool:
    try:
        psycopg.connect(address).close()
    except psycopg.OperationalError:
        return False
    return True


def test_rows_survive_a_killed_database(supervisor: Supervisor, folder: Path, pids: Pids) -> None:
    address = database_only(supervisor, folder)
    with psycopg.connect(address) as link:
        link.execute("CREATE TABLE kept AS SELECT 7 AS value")

    os.kill(pids.now["postgres"], signal.SIGKILL)
    until(lambda: "postgres" not in pids.now, meanwhile=supervisor.step)
    until(lambda: connects(address), meanwhile=lambda: supervisor.step(seconds=0.1))

    with psycopg.connect(address) as link:
        assert link.execute("SELECT value FROM kept").fetchone() == (7,)


def test_the_database_starts_again_on_its_data(folder: Path) -> None:
    journal = Journal(folder=folder / "log", terminal=None)

    with Supervisor(journal=journal) as first, psycopg.connect(database_only(first, folder)) as link:
        link.execute("CREATE TABLE kept AS SELECT 7 AS value")

    with Supervisor(journal=journal) as second, psycopg.connect(database_only(second, folder)) as link:
        assert link.execute("SELECT value FROM kept").fetchone() == (7,)


def test_the_platforms_role_is_no_superuser(supervisor: Supervisor, folder: Path) -> None:
    with psycopg.connect(database_only(supervisor, folder)) as link:
        row = link.execute("SELECT rolsuper, rolcreatedb FROM pg_roles WHERE rolname = current_user").fetchone()

    assert row == (False, True)


def test_the_database_listens_on_no_port(supervisor: Supervisor, folder: Path) -> None:
    with psycopg.connect(database_only(supervisor, folder)) as link:
        assert link.execute("SHOW listen_addresses").fetchone() == ("",)


def test_the_database_refuses_a_wrong_password(supervisor: Supervisor, folder: Path) -> None:
    address = database_only(supervisor, folder)

    assert not connects(address.replace("ticker:", "ticker:wrong"))


def test_a_half_made_data_folder_is_made_again(supervisor: Supervisor, folder: Path) -> None:
    (folder / "postgres" / "data.unfinished").mkdir(parents=True)

    assert connects(database_only(supervisor, folder))


def test_a_database_in_a_long_path_has_a_short_socket(supervisor: Supervisor, folder: Path) -> None:
    deep = folder / ("a long name with spaces " * 4).strip()
    deep.mkdir(mode=0o711)

    address = database_only(supervisor, deep)

    assert connects(address)
    assert str(folder) not in address
    supervisor.stop()
    Path(address.split("host=")[1].split("&")[0]).rmdir()


def test_values_survive_a_killed_valkey(supervisor: Supervisor, folder: Path, pids: Pids) -> None:
    client = redis.from_url(cache_only(supervisor, folder), retry=None)
    client.set("kept", "7")
    client.execute_command("WAITAOF", 1, 0, 5000)

    os.kill(pids.now["valkey"], signal.SIGKILL)
    until(lambda: "valkey" not in pids.now, meanwhile=supervisor.step)
    until(lambda: "valkey" in pids.now, meanwhile=supervisor.step)
    until(lambda: answers(client), meanwhile=lambda: supervisor.step(seconds=0.1))
    assert client.get("kept") == b"7"


def answers(client: redis.Redis) -> bool:
    try:
        return bool(client.ping())
    except redis.ConnectionError:
        return False


def test_valkey_never_evicts_and_listens_on_no_port(supervisor: Supervisor, folder: Path) -> None:
    client = redis.from_url(cache_only(supervisor, folder))

    assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
    assert client.config_get("port") == {"port": "0"}


def test_a_reachable_folder_is_kept(folder: Path) -> None:
    assert reachable_folder(folder=folder / "postgres", identity="x") == folder / "postgres"


@pytest.mark.skipif(os.geteuid() != 0, reason="everybody but root runs the database as himself")
def test_roots_private_folder_links_to_a_place_the_database_reaches(folder: Path) -> None:
    (folder / "private").mkdir(mode=0o700)
    link = folder / "private" / "postgres"

    place = reachable_folder(folder=link, identity="x")

    assert link.readlink() == place
    assert place != reachable_folder(folder=folder / "private" / "other", identity="x")
    assert place != reachable_folder(folder=link, identity="another installation")


def test_given_addresses_start_no_server(supervisor: Supervisor, folder: Path, pids: Pids) -> None:
    given = {"DATABASE_URL": "postgres://elsewhere/x", "REDIS_URL": "redis://elsewhere"}

    assert start(supervisor, folder, **given) == given
    assert pids.now == {}


def test_a_named_folder_of_binaries_must_hold_them(tmp_path: Path) -> None:
    with pytest.raises(PostgresMissing, match="holds no postgres and initdb"):
        find_binaries(environment={"PG_BIN": str(tmp_path)})


def test_an_old_database_is_refused(tmp_path: Path) -> None:
    for name in ("postgres", "initdb"):
        (tmp_path / name).write_text("#!/bin/sh\necho 'postgres (PostgreSQL) 14.9'\n")
        (tmp_path / name).chmod(0o755)

    with pytest.raises(PostgresMissing, match="was 14, older than 15"):
        find_binaries(environment={"PG_BIN": str(tmp_path)})


def test_the_wheels_database_is_found() -> None:
    assert major_version(binaries=find_binaries(environment=PLAIN)) == 18


def test_the_wheels_valkey_is_found() -> None:
    assert "v=9." in output_of(command=[str(find_server(environment={})), "--version"], folder=Path("/"))
