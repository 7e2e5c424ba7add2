"""The operator's commands."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from accounts.models import AuditEntry, BrokerAccount
from accounts.queries import open_halts
from tests.factories import BrokerAccountFactory, CredentialFactory
from tests.ops.two_people import approve_release
from tests.sandbox_server import SandboxServer

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clean_redis")]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Return a way to run a command and get what it printed."""

    def run(*words: str, **options: Any) -> str:
        call_command(*words, **options)
        return capsys.readouterr().out

    return run


def test_halt_stops_the_platform_and_names_the_halt(run: Callable[..., str]) -> None:
    printed = run("halt", "--reason", "runaway")

    (engaged,) = open_halts()
    assert printed == f"halt {engaged.pk}: halted platform\n"
    assert engaged.engaged_by.endswith("(shell)")


def test_halt_reduces_one_account(run: Callable[..., str]) -> None:
    BrokerAccountFactory(label="one")

    run("halt", "--account", "one", "--reducing", "--reason", "margin call")

    (engaged,) = open_halts()
    assert (engaged.scope, engaged.target, engaged.level) == ("account", "one", "reducing")


def test_halt_of_nothing_known_says_so(run: Callable[..., str]) -> None:
    with pytest.raises(CommandError, match="no account is labelled 'nobody'"):
        run("halt", "--account", "nobody", "--reason", "typo")


def test_resume_without_a_number_lists(run: Callable[..., str]) -> None:
    run("halt", "--reason", "runaway")

    printed = run("resume")

    assert "halted platform" in printed
    assert "runaway" in printed
    assert len(open_halts()) == 1


def test_resume_says_when_nothing_is_halted(run: Callable[..., str]) -> None:
    assert run("resume") == "nothing is halted\n"


def test_resume_releases_everything(run: Callable[..., str]) -> None:
    BrokerAccountFactory(label="one")
    run("halt", "--reason", "drill")
    run("halt", "--account", "one", "--reason", "drill")

    for held in open_halts():
        approve_release(held, now=datetime.now(UTC))

    run("resume", "--all", "--reason", "drill is over")

    assert open_halts() == []
    assert AuditEntry.objects.filter(action="ops.halt.released", reason="drill is over").count() == 2


def test_resume_needs_a_second_person(run: Callable[..., str]) -> None:
    run("halt", "--reason", "drill")

    with pytest.raises(CommandError, match="second person"):
        run("resume", "--all", "--reason", "drill is over")

    assert len(open_halts()) == 1


def test_resume_needs_a_reason(run: Callable[..., str]) -> None:
    run("halt", "--reason", "drill")

    with pytest.raises(CommandError):
        run("resume", "--all")

    assert len(open_halts()) == 1


def test_fail_over_moves_and_brings_back(run: Callable[..., str]) -> None:
    CredentialFactory(account__label="one", live=True)
    CredentialFactory(account__label="two", live=True)

    run("fail_over", "one", "--reason", "slow")
    moved = BrokerAccount.objects.get(label="one").state
    run("fail_over", "one", "--back", "--reason", "mended")

    assert moved == "degraded"
    assert BrokerAccount.objects.get(label="one").state == "active"


def test_fail_over_until_restored(run: Callable[..., str]) -> None:
    CredentialFactory(account__label="one", live=True)
    CredentialFactory(account__label="two", live=True)

    run("fail_over", "one", "--minutes", "0", "--reason", "key is leaking")

    assert BrokerAccount.objects.get(label="one").state == "cordoned"


def test_fail_over_can_only_be_planned(run: Callable[..., str]) -> None:
    CredentialFactory(account__label="one", live=True)

    printed = run("fail_over", "one", "--plan", "--json")

    assert json.loads(printed) == {"instruments": 0, "takers": {}, "unplaced": 0, "preview": True}
    assert BrokerAccount.objects.get(label="one").state == "active"


def test_doctor_finds_a_sound_basis(
    run: Callable[..., str], broker: SandboxServer, capsys: pytest.CaptureFixture[str]
) -> None:
    found = diagnoses(run, capsys)

    assert {found[name]["colour"] for name in ("database", "migrations", "redis", "key ring", "broker")} == {"green"}
    assert found["database clock"]["colour"] == "green"


def test_doctor_fails_when_something_is_red(run: Callable[..., str], settings: Any) -> None:
    settings.KITE_REST_ROOT = "http://127.0.0.1:1"

    with pytest.raises(CommandError, match="are red") as left:
        run("doctor")

    assert left.value.returncode == 1


def test_doctor_says_how_to_mend(run: Callable[..., str], settings: Any, capsys: pytest.CaptureFixture[str]) -> None:
    settings.KITE_REST_ROOT = "http://127.0.0.1:1"

    found = diagnoses(run, capsys)

    assert found["broker"]["colour"] == "red"
    assert all(row["mend"] for row in found.values() if row["colour"] == "red")


def test_doctor_names_a_missing_key_ring(
    run: Callable[..., str], settings: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    settings.VAULT_KEY_FILE = "/nonexistent/keyring.json"

    assert diagnoses(run, capsys)["key ring"]["mend"].startswith("Run manage.py init_keyring")


def diagnoses(run: Callable[..., str], capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    """Return the doctor's findings by name."""
    try:
        printed = run("doctor", "--json")
    except CommandError:
        printed = capsys.readouterr().out
    return {row["name"]: row for row in json.loads(printed)["findings"]}
