"""The encryption key is rotated online, and a killed rotation loses nothing."""

import io
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.urls import reverse

from accounts import credentials, resealing
from accounts.approvals import approve
from accounts.guards import Approval, SecondFactor
from accounts.models import AuditEntry, Credential, User
from accounts.second_factor import enrolment_of
from accounts.tasks import reseal
from accounts.vault.keyfile import new_ring, read_ring, write_ring
from tests.factories import BrokerAccountFactory, CredentialFactory, UserFactory, principal
from tests.panel_client import PanelClient
from tests.proving import Numbers
from tests.sandbox_server import wait_for

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def ring(settings: Any, tmp_path: Path, now: Any) -> Path:
    """Return the path of a ring of the test's own."""
    path = tmp_path / "keys" / "keyring.json"
    write_ring(path=path, ring=new_ring(now=now, automatic=False), replace_existing=False)
    settings.VAULT_KEY_FILE = str(path)
    return path


def run(*arguments: str) -> str:
    out = io.StringIO()
    call_command("rotate_encryption_key", *arguments, stdout=out, stderr=io.StringIO())
    return out.getvalue()


def many(count: int) -> list[Credential]:
    accounts = BrokerAccountFactory.build_batch(count)
    type(accounts[0]).objects.bulk_create(accounts)
    rows = [
        CredentialFactory.build(account=account, live=True, api_secret=f"secret of {account.label}")
        for account in accounts
    ]
    return Credential.objects.bulk_create(rows)


@pytest.mark.django_db
def test_what_every_model_keeps_sealed_moves_too(ring: Path, now: Any) -> None:
    factor = enrolment_of(user=UserFactory(), now=now)
    before = factor.secret.reveal()
    CredentialFactory()

    run()
    run("--drop-unused")

    assert SecondFactor.objects.get().secret.reveal() == before
    assert set(resealing.keys_in_use()) == {read_ring(path=ring).writing}


@pytest.mark.django_db
def test_every_value_moves_to_the_new_key_and_still_opens(ring: Path) -> None:
    before = read_ring(path=ring).writing
    CredentialFactory(live=True, api_secret="one", access_token="two")

    said = run()

    after = read_ring(path=ring)
    row = Credential.objects.get()
    assert after.writing != before
    assert set(after.keys) == {before, after.writing}
    assert resealing.keys_in_use() == {after.writing: 2}
    assert (row.api_secret.reveal(), row.access_token.reveal()) == ("one", "two")
    assert "2 values open." in said
    assert AuditEntry.objects.filter(action="accounts.key_ring.key_added").count() == 1


@pytest.mark.django_db
def test_a_dry_run_changes_nothing(ring: Path) -> None:
    CredentialFactory()
    before = (ring.read_bytes(), resealing.keys_in_use())

    assert "1 values need key" in run("--dry-run")

    assert (ring.read_bytes(), resealing.keys_in_use()) == before


@pytest.mark.django_db
def test_a_rotation_that_was_stopped_goes_on_with_the_key_it_had(ring: Path, now: Any) -> None:
    CredentialFactory()
    write_ring(path=ring, ring=read_ring(path=ring).with_new_key(now=now), replace_existing=True)
    begun = read_ring(path=ring).writing

    run()

    assert read_ring(path=ring).writing == begun
    assert resealing.keys_in_use() == {begun: 1}


@pytest.mark.django_db
def test_a_key_in_use_is_not_dropped(ring: Path, now: Any) -> None:
    CredentialFactory()
    write_ring(path=ring, ring=read_ring(path=ring).with_new_key(now=now), replace_existing=True)

    assert run("--drop-unused").strip() == "Dropped: none."

    assert len(read_ring(path=ring).keys) == 2


@pytest.mark.django_db
def test_an_unused_key_is_dropped_on_demand(ring: Path) -> None:
    before = read_ring(path=ring).writing
    CredentialFactory()
    run()

    assert run("--drop-unused").strip() == f"Dropped: {before}."

    assert set(read_ring(path=ring).keys) == {read_ring(path=ring).writing}
    assert "1 values open." in run("--verify")


@pytest.mark.django_db
def test_a_value_that_does_not_open_is_told(ring: Path, now: Any) -> None:
    CredentialFactory()
    write_ring(path=ring, ring=new_ring(now=now, automatic=False), replace_existing=True)

    with pytest.raises(CommandError, match="no key"):
        run("--verify")


@pytest.mark.proof(id="R19")
@pytest.mark.django_db
def test_a_thousand_rows_move_within_a_minute(ring: Path, numbers: Numbers) -> None:
    many(1000)

    started = time.monotonic()
    run()

    numbers.most("seconds for 1,000 rows", time.monotonic() - started)
    assert time.monotonic() - started < 60
    assert resealing.keys_in_use() == {read_ring(path=ring).writing: 2000}


@pytest.mark.proof(id="R19")
@pytest.mark.django_db(transaction=True)
def test_a_rotation_killed_half_way_leaves_every_value_readable(ring: Path, numbers: Numbers) -> None:
    many(600)
    parts = urlsplit(os.environ["DATABASE_URL"])
    database = urlunsplit(parts._replace(path=f"/{connection.settings_dict['NAME']}"))
    environment = {**os.environ, "DATABASE_URL": database, "VAULT_KEY_FILE": str(ring)}
    command = [sys.executable, "manage.py", "rotate_encryption_key"]

    killed = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_for(lambda: len(resealing.keys_in_use()) == 2 or killed.poll() is not None, seconds=180)
    killed.send_signal(signal.SIGKILL)
    killed.wait(10)

    assert len(resealing.keys_in_use()) == 2
    numbers.add("unreadable after kill -9", 1200 - resealing.open_all())
    assert resealing.open_all() == 1200
    run()
    assert resealing.keys_in_use() == {read_ring(path=ring).writing: 1200}
    assert {row.api_secret.reveal() for row in Credential.objects.select_related("account")} == {
        f"secret of {row.account.label}" for row in Credential.objects.select_related("account")
    }


@pytest.mark.django_db
@pytest.mark.parametrize("end", [credentials.revoke, credentials.log_out])
def test_an_account_whose_key_is_lost_can_be_ended_and_given_new_secrets(
    ring: Path, now: Any, end: Callable[..., None]
) -> None:
    account = CredentialFactory(live=True, api_key="same-key").account
    write_ring(path=ring, ring=new_ring(now=now, automatic=False), replace_existing=True)

    credentials.rotate(
        account_id=account.pk, api_key="same-key", api_secret="new secret", actor="asha", reason="key lost", now=now
    )
    row = Credential.objects.get(current=True)
    assert (row.api_secret.reveal(), row.access_token) == ("new secret", None)

    row.access_token, row.token_expires_at = "a token", now + timedelta(hours=1)
    row.save()
    write_ring(path=ring, ring=new_ring(now=now, automatic=False), replace_existing=True)
    end(account_id=account.pk, actor="asha", reason="key lost again", now=now)
    assert not Credential.objects.filter(access_token__isnull=False).exists()


@pytest.mark.django_db(transaction=True)
def test_two_people_rotate_the_key_from_the_panel(ring: Path, now: Any) -> None:
    CredentialFactory(api_secret="one")
    before = read_ring(path=ring).writing
    panel = PanelClient()
    panel.force_login(UserFactory(username="asha", role=User.Role.SECURITY_OFFICER, every_account=True, is_staff=True))
    url = reverse("admin:accounts_credential_rotate_key")

    alone = panel.post(url, {"reason": "a year is over"})
    assert "needs the approval of a second person" in alone.text
    panel.post(url, {"reason": "a year is over", "ask": "on"})
    approve(approval_id=Approval.objects.get().pk, by=principal(), now=now)
    done = panel.post(url, {"reason": "a year is over"})
    reseal()

    after = read_ring(path=ring).writing
    assert done.status_code == 302
    assert after != before
    assert set(resealing.keys_in_use()) == {after}
    assert Credential.objects.get().api_secret.reveal() == "one"
    assert AuditEntry.objects.get(action="accounts.key_ring.rotation_ordered").actor == "asha"
