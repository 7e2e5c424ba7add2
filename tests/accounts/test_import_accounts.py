"""Accounts come over from a dump of the former platform: all of them or none."""

import base64
import csv
import io
import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from django.core.management import CommandError, call_command
from django.db import DatabaseError, connection

from accounts import importing
from accounts.errors import DumpRefused
from accounts.models import AuditEntry, BrokerAccount, Credential
from tests.factories import BrokerAccountFactory, CredentialFactory

pytestmark = pytest.mark.django_db

HEX_KEY = "0f" * 32
FERNET_KEY = base64.urlsafe_b64encode(b"k" * 32).decode()
OTHER_FERNET_KEY = base64.urlsafe_b64encode(b"o" * 32).decode()
KEYS = {"base64": "", "aes-gcm": HEX_KEY, "fernet": FERNET_KEY}

Rows = Sequence[Mapping[str, Any]]


def sealed(scheme: str, text: str) -> str:
    """Store a text as the former platform did."""
    if scheme == "base64":
        return base64.b64encode(text.encode()).decode()
    if scheme == "fernet":
        return Fernet(FERNET_KEY).encrypt(text.encode()).decode()
    nonce = os.urandom(12)
    return base64.b64encode(nonce + AESGCM(bytes.fromhex(HEX_KEY)).encrypt(nonce, text.encode(), None)).decode()


def trading_account(number: int, *, scheme: str = "fernet", **changes: Any) -> dict[str, Any]:
    """Return a row of `trading_accounts`."""
    return {
        "account_id": f"desk-{number}",
        "api_key": sealed(scheme, f"apikey{number:06}"),
        "api_secret": sealed(scheme, f"the-old-secret-{number:06}"),
        "access_token": sealed(scheme, "yesterday"),
        "username": f"AB{number:04}",
        "password": sealed(scheme, "the broker's password"),
        "totp_key": sealed(scheme, "JBSWY3DPEHPK3PXP"),
        "token_dir": "/srv/tokens",
        "is_active": True,
        "metadata": {"tier": "pro"},
        **changes,
    }


def kite_account(number: int, **changes: Any) -> dict[str, Any]:
    """Return a row of `kite_accounts`."""
    return {
        "account_id": f"kite-{number}",
        "broker": "zerodha",
        "broker_user_id": f"CD{number:04}",
        "nickname": "asha",
        "api_key_encrypted": sealed("aes-gcm", f"kitekey{number:06}"),
        "api_secret_encrypted": sealed("aes-gcm", f"kite-secret-{number:06}"),
        "access_token_encrypted": None,
        "password_encrypted": None,
        "totp_secret_encrypted": None,
        "market_data_available": True,
        "is_active": True,
        **changes,
    }


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., str]:
    """Return a caller of the command on rows; `way` is its last argument."""

    def call(rows: Rows | str, way: str, *more: str, scheme: str = "fernet", key: str | None = None) -> str:
        dump, key_file = tmp_path / "dump", tmp_path / "old.key"
        dump.write_text(rows if isinstance(rows, str) else json.dumps(rows))
        key_file.write_text((KEYS[scheme] if key is None else key) + "\n")
        out = io.StringIO()
        errors = io.StringIO()
        options = {"scheme": scheme, "key_file": key_file, "stdout": out, "stderr": errors}
        try:
            call_command("import_accounts", str(dump), way, *more, **options)
        except CommandError as error:
            raise CommandError(f"{errors.getvalue()}{error}") from error
        return out.getvalue()

    return call


def as_csv(rows: Rows) -> str:
    """Return the rows as psql's COPY … CSV HEADER writes them."""
    file = io.StringIO()
    writer = csv.DictWriter(file, rows[0].keys())
    writer.writeheader()
    spelled = {True: "t", False: "f", None: ""}
    for row in rows:
        writer.writerow(
            {
                name: json.dumps(value)
                if isinstance(value, dict)
                else value
                if isinstance(value, str)
                else spelled[value]
                for name, value in row.items()
            }
        )
    return file.getvalue()


def stored() -> dict[str, tuple[str, str, str]]:
    rows = Credential.objects.filter(current=True).select_related("account")
    return {row.account.label: (row.account.broker_user_id, row.api_key, row.api_secret.reveal()) for row in rows}


@pytest.mark.parametrize("scheme", KEYS)
def test_every_scheme_is_read(run: Callable[..., str], scheme: str) -> None:
    rows = [trading_account(number, scheme=scheme) for number in (1, 2)]

    said = run(rows, "--execute", scheme=scheme)

    assert "2 accounts brought over, 0 were here already." in said
    assert stored() == {
        "desk-1": ("AB0001", "apikey000001", "the-old-secret-000001"),
        "desk-2": ("AB0002", "apikey000002", "the-old-secret-000002"),
    }
    assert "2 accounts are stored as the dump has them." in run(rows, "--verify", scheme=scheme)


def test_the_other_table_is_read(run: Callable[..., str]) -> None:
    rows = [kite_account(1), kite_account(2, market_data_available=False), kite_account(3, is_active=False)]

    run(rows, "--execute", scheme="aes-gcm")

    assert stored()["kite-1"] == ("CD0001", "kitekey000001", "kite-secret-000001")
    assert BrokerAccount.objects.filter(streams_data=False).get().label == "kite-2"
    assert BrokerAccount.objects.get(state="cordoned").label == "kite-3"


@pytest.mark.parametrize("spell", [as_csv, lambda rows: "\n".join(json.dumps(row) for row in rows)])
def test_csv_and_json_lines_are_read(run: Callable[..., str], spell: Callable[[Rows], str]) -> None:
    rows = [trading_account(1), trading_account(2, is_active=False)]

    run("\ufeff" + spell(rows), "--execute")

    assert set(stored()) == {"desk-1", "desk-2"}
    assert BrokerAccount.objects.get(state="cordoned").label == "desk-2"


def test_a_sealed_user_name_is_opened_on_demand(run: Callable[..., str]) -> None:
    rows = [trading_account(1, username=sealed("fernet", "AB0001"))]

    run(rows, "--execute", "--also-sealed", "username")

    assert stored()["desk-1"][0] == "AB0001"


def test_a_dry_run_writes_nothing_and_shows_no_secret(run: Callable[..., str]) -> None:
    said = run([trading_account(1)], "--dry-run")

    assert "desk-1" in said
    assert "0001" in said
    assert "secret" not in said
    assert "apikey000001" not in said
    assert not BrokerAccount.objects.exists()
    assert not AuditEntry.objects.exists()


def test_passwords_and_tokens_stay_behind(run: Callable[..., str]) -> None:
    said = run([trading_account(1)], "--execute")

    assert "Stays behind: access_token, password, token_dir, totp_key." in said
    assert Credential.objects.get().access_token is None


@pytest.mark.parametrize(("scheme", "key"), [("fernet", OTHER_FERNET_KEY), ("aes-gcm", "1e" * 32)])
def test_a_wrong_key_fails_loudly_and_names_row_and_field(run: Callable[..., str], scheme: str, key: str) -> None:
    with pytest.raises(CommandError, match="row 1, api_key: does not open with this key") as told:
        run([trading_account(1, scheme=scheme)], "--execute", scheme=scheme, key=key)

    assert "row 1, api_secret: does not open" in str(told.value)
    assert not BrokerAccount.objects.exists()


@pytest.mark.parametrize(("scheme", "key"), [("fernet", "short"), ("aes-gcm", "zz" * 32), ("aes-gcm", "ab")])
def test_a_key_that_is_none_is_refused(run: Callable[..., str], scheme: str, key: str) -> None:
    with pytest.raises(CommandError, match="key is"):
        run([trading_account(1)], "--dry-run", scheme=scheme, key=key)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"account_id": "two words"}, "row 2, account_id: holds 9 characters that are no label"),
        ({"username": None}, "row 2, broker_user_id: is empty"),
        ({"api_secret": ""}, "row 2, api_secret: is empty"),
        ({"api_key": sealed("fernet", "ab")}, "row 2, api_key: holds 2 characters that are no api_key"),
        ({"api_key": "plain"}, "row 2, api_key: does not open with this key"),
        ({"account_id": "DESK-1"}, "row 2, account_id: is the same as in row 1"),
        ({"username": "AB0001"}, "row 2, broker_user_id: is the same as in row 1"),
    ],
)
def test_one_bad_row_keeps_all_out(run: Callable[..., str], changes: dict[str, Any], told: str) -> None:
    with pytest.raises(CommandError, match=told):
        run([trading_account(1), trading_account(2, **changes), trading_account(3)], "--execute")

    assert not BrokerAccount.objects.exists()


@pytest.mark.parametrize("text", ["", "[]", "[1]", '[{"id": 1}]', "{", "a,b\n1,2\n", '[{"account_id": '])
def test_what_is_no_dump_is_refused(run: Callable[..., str], text: str) -> None:
    with pytest.raises(CommandError, match="the dump"):
        run(text, "--execute")


def test_base64_that_is_none_is_told(run: Callable[..., str]) -> None:
    rows = [trading_account(1, scheme="base64", api_key="!!!", api_secret=base64.b64encode(b"\xff\xfe").decode())]

    with pytest.raises(CommandError, match="row 1, api_key: is not base64") as told:
        run(rows, "--dry-run", scheme="base64")

    assert "row 1, api_secret: is not text once it is open" in str(told.value)


def test_a_second_run_changes_nothing(run: Callable[..., str]) -> None:
    rows = [trading_account(1)]
    run(rows, "--execute")

    assert "0 accounts brought over, 1 were here already." in run(rows, "--execute")

    assert Credential.objects.count() == 1


def test_an_account_that_is_here_without_a_credential_gets_it(run: Callable[..., str]) -> None:
    BrokerAccountFactory(label="desk-1", broker_user_id="AB0001")

    run([trading_account(1)], "--execute")

    assert stored()["desk-1"][1] == "apikey000001"


@pytest.mark.parametrize(
    ("here", "told"),
    [
        ({"account__label": "desk-1", "account__broker_user_id": "ZZ9999"}, "account_id: is the label of ZZ9999 here"),
        ({"account__label": "other", "account__broker_user_id": "AB0001"}, "is here already, labelled other"),
        ({"account__label": "desk-1", "account__broker_user_id": "AB0001"}, "api_secret: differs from what is stored"),
    ],
)
def test_what_is_here_is_never_overwritten(run: Callable[..., str], here: dict[str, Any], told: str) -> None:
    CredentialFactory(**here)

    with pytest.raises(CommandError, match=told):
        run([trading_account(1)], "--execute")

    assert Credential.objects.count() == 1


def test_a_retired_account_takes_nothing(run: Callable[..., str]) -> None:
    BrokerAccountFactory(label="desk-1", broker_user_id="AB0001", state="retired", state_reason="closed")

    with pytest.raises(CommandError, match="is retired here"):
        run([trading_account(1)], "--execute")


def test_verify_names_what_differs_and_what_is_missing(run: Callable[..., str]) -> None:
    run([trading_account(1)], "--execute")
    changed = trading_account(1, api_secret=sealed("fernet", "another"), api_key=sealed("fernet", "another-key"))

    with pytest.raises(CommandError, match="3 things are wrong") as told:
        run([changed, trading_account(2)], "--verify")

    assert "row 1, api_key: differs" in str(told.value)
    assert "row 1, api_secret: differs" in str(told.value)
    assert "row 2, account_id: is not here" in str(told.value)


def test_the_ways_exclude_each_other(run: Callable[..., str]) -> None:
    with pytest.raises(CommandError, match="not allowed with"):
        run([trading_account(1)], "--execute", "--verify")


def test_an_import_is_in_the_audit_trail_without_secrets(run: Callable[..., str]) -> None:
    run([trading_account(1)], "--execute")

    entries = AuditEntry.objects.order_by("id")
    assert [entry.action for entry in entries] == ["accounts.account.added", "accounts.credential.rotated"]
    assert "the-old-secret" not in json.dumps([entry.detail for entry in entries])


def test_execute_refuses_a_dump_with_troubles() -> None:
    trouble = importing.Trouble(3, "api_key", "is empty")

    with pytest.raises(DumpRefused, match="row 3, api_key: is empty"):
        importing.execute(dump=importing.Dump((), (trouble,), ()), actor="test", now=None)  # type: ignore[arg-type]


@pytest.mark.django_db(transaction=True)
def test_an_import_that_breaks_half_way_leaves_nothing(run: Callable[..., str]) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "CREATE FUNCTION break_third() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
            "IF (SELECT count(*) FROM accounts_credential) >= 2 THEN RAISE 'the disk is full'; END IF; "
            "RETURN NEW; END $$;"
            "CREATE TRIGGER break_third BEFORE INSERT ON accounts_credential "
            "FOR EACH ROW EXECUTE FUNCTION break_third()"
        )
    try:
        with pytest.raises(DatabaseError, match="the disk is full"):
            run([trading_account(number) for number in range(1, 6)], "--execute")
        assert not BrokerAccount.objects.exists()
        assert not AuditEntry.objects.exists()
    finally:
        with connection.cursor() as cursor:
            cursor.execute("DROP FUNCTION break_third() CASCADE")
