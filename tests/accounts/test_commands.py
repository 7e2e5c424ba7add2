"""The commands of accounts."""

import io
import json
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from accounts.authentication import KEY
from accounts.models import ApiKey, AuditEntry
from accounts.vault.keyfile import read_ring
from tests.accounts.held import held_credential
from tests.factories import BrokerAccountFactory, CredentialFactory, UserFactory

ROOT = Path(__file__).resolve().parents[2]


def run(*arguments: str) -> str:
    out = io.StringIO()
    call_command(*arguments, stdout=out, stderr=io.StringIO())
    return out.getvalue()


@pytest.fixture
def ring(settings: Any, tmp_path: Path) -> Path:
    """Return where the settings of the test look for a ring; there is none."""
    settings.VAULT_KEY_FILE = str(tmp_path / "keys" / "keyring.json")
    return Path(settings.VAULT_KEY_FILE)


def test_a_ring_made_by_hand_is_fit_for_production(ring: Path) -> None:
    said = run("init_keyring")

    assert read_ring(path=ring).automatic is False
    assert read_ring(path=ring).writing in said


def test_a_second_ring_is_refused(ring: Path) -> None:
    run("init_keyring")

    with pytest.raises(CommandError, match="not overwritten"):
        run("init_keyring")


def test_the_bootstrap_makes_a_ring_once(ring: Path) -> None:
    run("init_keyring", "--if-missing")
    first = ring.read_bytes()

    run("init_keyring", "--if-missing")

    assert ring.read_bytes() == first
    assert read_ring(path=ring).automatic is True


def test_the_bootstrap_does_not_accept_a_ring_open_to_others(ring: Path) -> None:
    run("init_keyring")
    ring.chmod(0o644)

    with pytest.raises(CommandError, match="chmod 600"):
        run("init_keyring", "--if-missing")


@pytest.mark.django_db
def test_a_key_alone_is_printed() -> None:
    UserFactory(username="asha", administrator=True)

    text = run("create_api_key", "asha", "robot", "--scope", "orders:read", "--every-account").strip()

    assert KEY.fullmatch(text)
    assert ApiKey.objects.get().scopes == ["orders:read"]


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["nobody", "robot", "--scope", "orders:read", "--every-account"], "no user nobody"),
        (["asha", "robot", "--scope", "orders:read", "--account", "absent"], "no account absent"),
        (["asha", "robot", "--scope", "orders:write", "--every-account"], "does not hold orders:write"),
        (["asha", "robot", "--scope", "orders:read", "--every-account", "--days", "365"], "90 days"),
    ],
)
def test_a_key_that_cannot_be_issued_says_why(arguments: list[str], why: str) -> None:
    UserFactory(username="asha", role="viewer", every_account=True)

    with pytest.raises(CommandError, match=why):
        run("create_api_key", *arguments)

    assert not ApiKey.objects.exists()


@pytest.mark.django_db
def test_a_rotation_reads_the_secret_from_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    held = CredentialFactory(api_key="presentkey")
    monkeypatch.setattr(sys, "stdin", io.StringIO("the-new-secret\n"))

    said = run("rotate_credentials", held.account.label, "--reason", "yearly")

    after = held_credential(account_id=held.account_id)
    assert (after.version, after.api_key, after.api_secret.reveal()) == (2, "presentkey", "the-new-secret")
    assert AuditEntry.objects.get().actor.startswith("shell:")
    assert "the-new-secret" not in said


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("label", "secret", "reason", "why"),
    [
        ("absent", "s\n", "yearly", "no account absent"),
        ("one", "\n", "yearly", "no API secret"),
        ("one", "s\n", " ", "say why"),
        ("keyless", "s\n", "yearly", "give --api-key"),
    ],
)
def test_a_rotation_that_cannot_be_done_says_why(
    monkeypatch: pytest.MonkeyPatch, label: str, secret: str, reason: str, why: str
) -> None:
    CredentialFactory(account=BrokerAccountFactory(label="one"))
    BrokerAccountFactory(label="keyless")
    monkeypatch.setattr(sys, "stdin", io.StringIO(secret))

    with pytest.raises(CommandError, match=why):
        run("rotate_credentials", label, "--reason", reason)


def test_a_secret_is_no_argument_of_the_rotation() -> None:
    refused = subprocess.run(
        [sys.executable, "manage.py", "rotate_credentials", "one", "--reason", "x", "--api-secret", "s"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert refused.returncode == 2
    assert "unrecognized arguments: --api-secret" in refused.stderr


@pytest.mark.django_db
def test_the_list_says_who_needs_a_login() -> None:
    BrokerAccountFactory(label="one", broker_user_id="AB0001")
    CredentialFactory(account=BrokerAccountFactory(label="two", broker_user_id="AB0002"), live=True)

    lines = run("accounts").splitlines()

    assert lines[0].split() == ["one", "AB0001", "active", "no", "credential", "needs", "a", "login"]
    assert lines[1].split()[:4] == ["two", "AB0002", "active", "v1"]
    assert lines[2] == "1 of 2 logged in"


@pytest.mark.django_db
def test_the_list_for_programs_is_one_document() -> None:
    CredentialFactory(account=BrokerAccountFactory(label="one"), live=True, api_secret="canary-secret")

    printed = run("accounts", "--json")

    [row] = json.loads(printed)["accounts"]
    assert row["login"]["live"] is True
    assert datetime.fromisoformat(row["login"]["expires_at"]) > datetime.now(UTC)
    assert "canary" not in printed
