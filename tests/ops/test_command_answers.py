"""What commands answer programs, what they leave unchanged when they are only tried, and how they end."""

import io
import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command, load_command_class
from django.db import connection
from redis import Redis

from accounts.models import TradingHalt
from accounts.queries import open_halts
from ops import halt
from tests.factories import BrokerAccountFactory, CredentialFactory, UserFactory
from tests.market_data.factories import InstrumentFactory
from tests.ops.test_command_help import OURS, READERS, SERVERS
from tests.ops.two_people import approve_release

NOBODY_LISTENS = "127.0.0.1:1"
TABLES = """
SELECT quote_ident(relname) FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace ORDER BY 1
"""
DUMP_HEADER = (
    "instrument_token,exchange_token,tradingsymbol,name,last_price,expiry,strike,tick_size,lot_size,"
    "instrument_type,segment,exchange"
)
OLD_ACCOUNT = {"account_id": "old-1", "broker_user_id": "CD0001", "api_key": "a2V5MDAwMQ==", "api_secret": "c2VjcmV0"}

Ended = tuple[int, dict[str, Any], str]


@pytest.fixture
def ended(capsys: pytest.CaptureFixture[str]) -> Callable[..., Ended]:
    """Return a way to run a command for a program: its exit code, its document and what else it said."""

    def run(name: str, *words: str) -> Ended:
        capsys.readouterr()
        code = 0
        try:
            call_command(name, *words, "--json")
        except CommandError as error:
            code = error.returncode
        printed = capsys.readouterr()
        return code, json.loads(printed.out), printed.err

    return run


@pytest.fixture
def floor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: Any) -> Mapping[str, tuple[str, ...]]:
    """Return, by command, words under which it would change something here."""
    settings.DATA_DIR = tmp_path
    UserFactory(username="asha", role="administrator", every_account=True)
    CredentialFactory(account__label="one", live=True)
    CredentialFactory(account__label="two", live=True)
    InstrumentFactory(exchange="NSE", tradingsymbol="INFY", name="INFY")
    now = datetime.now(UTC)
    held = halt.engage(
        scope=TradingHalt.Scope.SYMBOL,
        target="NSE:INFY",
        level=TradingHalt.Level.HALTED,
        reason="split",
        actor="asha",
        now=now,
    )
    approve_release(held, now=now)
    (tmp_path / "dump.csv").write_text(f"{DUMP_HEADER}\n408065,1594,WIPRO,WIPRO,0,,0,0.05,1,EQ,NSE,NSE\n")
    (tmp_path / "qtyfreeze.csv").write_text("SYMBOL,VOL_FRZ_QTY\nNIFTY,1800\n")
    (tmp_path / "old.json").write_text(json.dumps([OLD_ACCOUNT]))
    monkeypatch.setattr("sys.stdin", io.StringIO("a-new-secret\n"))
    monkeypatch.setenv("ADMIN_PASSWORD", "not used")
    day = ("--from", "2026-11-24T09:15", "--to", "2026-11-24T09:16")
    return {
        "backfill_gaps": (),
        "backup": (str(tmp_path / "new.dump"),),
        "bootstrap": ("--secrets-dir", str(tmp_path)),
        "correct_candles": (),
        "create_api_key": ("asha", "program", "--scope", "market:read", "--every-account"),
        "fail_over": ("one", "--reason", "slow"),
        "flatten": (str(held.pk), "--orders-only"),
        "halt": ("--reason", "runaway"),
        "import_accounts": (str(tmp_path / "old.json"), "--scheme", "base64"),
        "load_freeze_quantities": (str(tmp_path / "qtyfreeze.csv"), "--reason", "notice"),
        "maintain_greeks_history": ("--keep-days", "1"),
        "maintain_partitions": ("--keep-days", "1", "--keep-candle-days", "0"),
        "one_time_code": ("asha", "--reason", "no telephone"),
        "prove": ("R09",),
        "replay_ticks": day,
        "resume": (str(held.pk), "--reason", "over"),
        "rotate_credentials": ("one", "--reason", "seen"),
        "subscribe": ("NSE:INFY",),
        "sync_calendar": (),
        "sync_instruments": ("--file", str(tmp_path / "dump.csv"), "--allow-shrinking"),
    }


def everything(redis: Redis, folder: Path) -> dict[str, Any]:
    """Return what there is in the database, in Redis and in a folder."""
    found: dict[str, Any] = {"redis": sorted(redis.keys()), "files": sorted(folder.iterdir())}
    with connection.cursor() as cursor:
        cursor.execute(TABLES)
        for (table,) in cursor.fetchall():
            cursor.execute(f"SELECT count(*), md5(string_agg(t::text, '|' ORDER BY t::text)) FROM {table} t")
            found[table] = cursor.fetchone()
    return found


# These need what the table above does not make: they are tried below and beside their own tests.
ELSEWHERE = {"backfill_greeks", "init_keyring", "reconcile_orders", "restore", "rotate_encryption_key"}
TRIED = sorted(set(OURS) - set(SERVERS) - READERS - ELSEWHERE)


@pytest.mark.django_db
@pytest.mark.parametrize("name", TRIED)
def test_a_command_that_is_only_tried_changes_nothing(
    name: str,
    floor: Mapping[str, tuple[str, ...]],
    ended: Callable[..., Ended],
    clean_redis: Redis,
    tmp_path: Path,
) -> None:
    before = everything(clean_redis, tmp_path)

    code, document, said = ended(name, *floor[name], "--dry-run")

    assert (code, document["preview"]) == (0, True), said
    assert everything(clean_redis, tmp_path) == before


@pytest.mark.django_db
def test_a_trial_says_in_words_what_would_be(capsys: pytest.CaptureFixture[str]) -> None:
    call_command("halt", "--reason", "drill", "--dry-run")

    assert capsys.readouterr().out == "Dry run, nothing is changed. It would be:\nhalted platform\n"
    assert open_halts() == []


@pytest.mark.django_db
def test_a_trial_of_what_would_be_refused_is_refused(ended: Callable[..., Ended]) -> None:
    code, document, _ = ended("halt", "--account", "nobody", "--reason", "typo", "--dry-run")

    assert code == 1
    assert document == {"error": {"code": "target_unknown", "detail": "no account is labelled 'nobody'"}}


@pytest.mark.django_db
def test_what_was_done_is_a_document(ended: Callable[..., Ended]) -> None:
    code, document, _ = ended("halt", "--reason", "runaway")

    (engaged,) = open_halts()
    assert code == 0
    assert document == {
        "halt": engaged.pk,
        "scope": "platform",
        "target": "",
        "level": "halted",
        "cancels_orders": False,
    }


@pytest.mark.django_db
def test_the_list_of_halts_is_a_document(ended: Callable[..., Ended]) -> None:
    BrokerAccountFactory(label="one")
    ended("halt", "--account", "one", "--reason", "margin call")

    _, document, _ = ended("resume")

    [row] = document["halts"]
    assert (row["scope"], row["target"], row["reason"]) == ("account", "one", "margin call")


@pytest.mark.django_db
def test_a_key_for_a_program_is_a_document(ended: Callable[..., Ended]) -> None:
    UserFactory(username="asha", role="administrator", every_account=True)

    _, document, _ = ended("create_api_key", "asha", "prometheus", "--scope", "ops:read", "--every-account")

    assert document["key"].startswith("tkr_")
    assert (document["user"], document["name"], document["scopes"]) == ("asha", "prometheus", ["ops:read"])


def test_arguments_that_are_not_understood_are_a_document(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        load_command_class("ops", "halt").run_from_argv(["manage.py", "halt", "--json"])

    printed = capsys.readouterr()
    assert left.value.code == 2
    assert json.loads(printed.out)["error"]["code"] == "arguments"
    assert "--reason" in json.loads(printed.out)["error"]["detail"]
    assert "--reason" in printed.err


@pytest.mark.django_db
def test_what_does_not_answer_may_be_tried_again(ended: Callable[..., Ended], settings: Any) -> None:
    settings.KITE_REST_ROOT = f"http://{NOBODY_LISTENS}"
    CredentialFactory(live=True)

    code, document, _ = ended("sync_instruments")

    assert code == 3
    assert document["error"]["code"] == "unavailable"


@pytest.mark.django_db
def test_a_finding_leaves_its_document_and_an_error(ended: Callable[..., Ended], settings: Any) -> None:
    settings.KITE_REST_ROOT = f"http://{NOBODY_LISTENS}"

    code, document, _ = ended("doctor")

    assert code == 1
    assert document["error"]["detail"].endswith("are red")
    assert any(row["name"] == "broker" and row["colour"] == "red" for row in document["findings"])


def test_a_new_key_ring_is_a_document(ended: Callable[..., Ended], tmp_path: Path, settings: Any) -> None:
    settings.VAULT_KEY_FILE = str(tmp_path / "keyring.json")

    code, document, _ = ended("init_keyring")

    assert code == 0
    assert document["file"] == settings.VAULT_KEY_FILE


def test_a_tried_key_ring_is_not_made(ended: Callable[..., Ended], tmp_path: Path, settings: Any) -> None:
    settings.VAULT_KEY_FILE = str(tmp_path / "keyring.json")

    code, document, _ = ended("init_keyring", "--dry-run")

    assert (code, document["made"]) == (0, True)
    assert list(tmp_path.iterdir()) == []
