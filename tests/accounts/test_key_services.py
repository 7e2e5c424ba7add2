"""What is special to a key service: time-outs, refusals, memory for a quarter of an hour, and its settings."""

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.core.management import call_command
from django.core.management.base import SystemCheckError

from accounts.errors import KeyRingError, KeyServiceDown, SealBroken
from accounts.vault import installed
from accounts.vault.envelope import Place, seal, unseal
from accounts.vault.keyfile import new_ring, write_ring
from accounts.vault.kms import AwsKmsProvider
from accounts.vault.remembering import FRESH_SECONDS, LONGEST_SECONDS, PAUSE_SECONDS, Remembering
from accounts.vault.transit import TransitProvider
from tests.accounts.providers import KmsKeeper, TransitKeeper

ROOT = Path(__file__).resolve().parents[2]
NOW = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)
PLACE = Place(installation="here", model="accounts.credential", field="api_secret", primary_key="1")


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def transit(tmp_path: Path) -> Iterator[TransitKeeper]:
    """Return a transit engine."""
    keeper = TransitKeeper(tmp_path)
    yield keeper
    keeper.stop()


@pytest.fixture
def kms(tmp_path: Path) -> Iterator[KmsKeeper]:
    """Return a KMS."""
    keeper = KmsKeeper(tmp_path)
    yield keeper
    keeper.stop()


def remembered(transit: TransitKeeper, clock: Clock) -> tuple[Remembering, bytes]:
    """Return a provider that holds the key of a value, and the value."""
    provider = Remembering(transit.provider, clock=clock)
    sealed = seal(plaintext=b"x", place=PLACE, provider=provider)
    assert unseal(sealed=sealed, place=PLACE, provider=provider) == b"x"
    return provider, sealed


def opens(provider: Remembering, sealed: bytes) -> bool:
    return unseal(sealed=sealed, place=PLACE, provider=provider) == b"x"


def decryptions(transit: TransitKeeper) -> int:
    return sum("/decrypt/" in path for path in transit.server.asked)


def test_a_key_in_memory_is_not_asked_for_again(transit: TransitKeeper) -> None:
    provider, sealed = remembered(transit, Clock())

    assert all(opens(provider, sealed) for _ in range(20))

    assert decryptions(transit) == 1


def test_after_five_minutes_the_key_is_asked_for_again(transit: TransitKeeper) -> None:
    clock = Clock()
    provider, sealed = remembered(transit, clock)

    clock.now += FRESH_SECONDS
    assert opens(provider, sealed)

    assert decryptions(transit) == 2


def test_an_outage_of_a_quarter_of_an_hour_stops_nothing(transit: TransitKeeper) -> None:
    clock = Clock()
    provider, sealed = remembered(transit, clock)
    transit.break_down()

    for _ in range(int(LONGEST_SECONDS) - 1):
        clock.now += 1
        assert opens(provider, sealed)

    clock.now += 1
    with pytest.raises(KeyServiceDown):
        opens(provider, sealed)
    assert LONGEST_SECONDS == 900


def test_a_service_that_is_down_is_asked_seldom(transit: TransitKeeper) -> None:
    clock = Clock()
    provider, sealed = remembered(transit, clock)
    transit.break_down()
    clock.now += FRESH_SECONDS

    for _ in range(int(PAUSE_SECONDS)):
        assert opens(provider, sealed)
        clock.now += 1

    assert decryptions(transit) == 2


def test_a_withdrawn_key_opens_nothing_after_five_minutes_at_most(transit: TransitKeeper) -> None:
    clock = Clock()
    provider, sealed = remembered(transit, clock)
    transit.withdraw("ticker:v1")

    clock.now += FRESH_SECONDS
    with pytest.raises(SealBroken):
        opens(provider, sealed)
    clock.now -= 1
    with pytest.raises(SealBroken):
        opens(provider, sealed)


def test_a_key_in_memory_opens_its_own_row_alone(transit: TransitKeeper) -> None:
    provider, sealed = remembered(transit, Clock())
    elsewhere = Place(installation="here", model="accounts.credential", field="api_secret", primary_key="2")

    with pytest.raises(SealBroken):
        unseal(sealed=sealed, place=elsewhere, provider=provider)


def test_threads_share_one_memory(transit: TransitKeeper) -> None:
    provider, sealed = remembered(transit, Clock())
    answers: list[bool] = []
    threads = [threading.Thread(target=lambda: answers.append(opens(provider, sealed))) for _ in range(16)]

    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert answers == [True] * 16
    assert decryptions(transit) == 1


def test_a_refused_token_is_no_outage(transit: TransitKeeper) -> None:
    transit.server.token = "hvs.other"

    with pytest.raises(KeyRingError, match="Forbidden") as refused:
        transit.provider.writing_key_id()
    assert not isinstance(refused.value, KeyServiceDown)


def test_a_renewed_token_is_read_from_its_file(transit: TransitKeeper) -> None:
    transit.server.token = "hvs.renewed"
    transit.token_file.write_text("hvs.renewed\n")

    assert transit.provider.writing_key_id() == "ticker:v1"


def test_a_missing_token_file_is_told(transit: TransitKeeper) -> None:
    transit.token_file.unlink()

    with pytest.raises(KeyRingError, match="no Vault token"):
        transit.provider.writing_key_id()


def test_a_sealed_vault_and_a_dead_one_are_both_down(transit: TransitKeeper) -> None:
    transit.break_down()
    with pytest.raises(KeyServiceDown):
        transit.provider.writing_key_id()

    transit.stop()
    with pytest.raises(KeyServiceDown):
        transit.provider.writing_key_id()


def test_a_vault_that_never_answers_is_given_up(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("t")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        provider = TransitProvider(
            url=f"http://127.0.0.1:{silent.getsockname()[1]}", key="ticker", token_file=token, timeout_seconds=0.2
        )

        with pytest.raises(KeyServiceDown):
            provider.writing_key_id()


@pytest.mark.parametrize("provider", ["transit", "kms"])
def test_dropping_a_key_is_left_to_its_keepers(provider: str, request: pytest.FixtureRequest) -> None:
    keeper = request.getfixturevalue(provider)

    with pytest.raises(KeyRingError):
        keeper.provider.drop_key(key_id=keeper.provider.writing_key_id())


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (400, "AccessDeniedException", KeyRingError),
        (400, "NotFoundException", KeyRingError),
        (400, "KMSInvalidStateException", KeyRingError),
        (400, "IncorrectKeyException", SealBroken),
        (400, "ThrottlingException", KeyServiceDown),
        (503, "ServiceUnavailable", KeyServiceDown),
    ],
)
def test_an_answer_of_kms_is_judged_by_what_it_proves(
    kms: KmsKeeper, status: int, code: str, kind: type[Exception]
) -> None:
    sealed = seal(plaintext=b"x", place=PLACE, provider=kms.provider)
    kms.server.fault = (status, code)

    with pytest.raises(kind) as refused:
        unseal(sealed=sealed, place=PLACE, provider=kms.provider)
    assert type(refused.value) is kind


def test_a_dead_kms_is_down(kms: KmsKeeper) -> None:
    sealed = seal(plaintext=b"x", place=PLACE, provider=kms.provider)
    kms.stop()

    with pytest.raises(KeyServiceDown):
        unseal(sealed=sealed, place=PLACE, provider=kms.provider)


@pytest.mark.parametrize("keys", [[], ["alias/ticker"], ["arn:aws:kms:ap-south-1:1:alias/ticker"]])
def test_kms_keys_are_named_themselves(keys: list[str]) -> None:
    with pytest.raises(KeyRingError):
        AwsKmsProvider(keys=keys, region="ap-south-1")


@pytest.mark.parametrize(
    "chosen",
    [
        {"VAULT_PROVIDER": "paper"},
        {"VAULT_PROVIDER": "transit", "VAULT_KEYS": []},
        {"VAULT_PROVIDER": "transit", "VAULT_KEYS": ["one", "two"]},
        {"VAULT_PROVIDER": "transit", "VAULT_KEYS": ["one"], "VAULT_TRANSIT_URL": "http://v", "PRODUCTION": True},
    ],
)
def test_settings_that_name_no_usable_provider_are_refused(settings: Any, chosen: Mapping[str, object]) -> None:
    for name, value in chosen.items():
        setattr(settings, name, value)

    with pytest.raises(KeyRingError):
        installed.provider()


def test_one_provider_serves_a_process(transit: TransitKeeper, settings: Any) -> None:
    for name, value in transit.settings().items():
        setattr(settings, name, value)

    assert installed.provider() is installed.provider()


@pytest.mark.parametrize("fault", ["missing", "readable", "automatic"])
def test_production_does_not_start_without_a_proper_key(settings: Any, tmp_path: Path, fault: str) -> None:
    ring = tmp_path / "ring.json"
    if fault != "missing":
        write_ring(path=ring, ring=new_ring(now=NOW, automatic=fault == "automatic"), replace_existing=False)
    if fault == "readable":
        ring.chmod(0o640)
    settings.VAULT_KEY_FILE, settings.PRODUCTION = str(ring), True

    with pytest.raises(ImproperlyConfigured):
        installed.require()


def test_production_starts_with_a_proper_key(settings: Any) -> None:
    settings.PRODUCTION = True

    installed.require()


@pytest.mark.parametrize(
    "command",
    [
        ["-c", "import ticker_site.asgi"],
        ["-m", "celery", "-A", "ticker_site", "worker", "--pool", "solo", "--without-mingle"],
        ["manage.py", "run_recorder"],
    ],
    ids=["web", "worker", "command"],
)
def test_no_process_of_production_starts_on_an_automatic_key(tmp_path: Path, command: list[str]) -> None:
    ring = tmp_path / "ring.json"
    write_ring(path=ring, ring=new_ring(now=NOW, automatic=True), replace_existing=False)
    environment = {**os.environ, "VAULT_KEY_FILE": str(ring), "PRODUCTION": "true"}

    process = subprocess.Popen(
        [sys.executable, *command], cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    try:
        told, _ = process.communicate(timeout=60)
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)

    assert process.returncode != 0
    assert b"made automatically" in told


def test_a_deployment_is_checked_for_its_keys(settings: Any, tmp_path: Path) -> None:
    settings.VAULT_KEY_FILE = str(tmp_path / "absent.json")

    with pytest.raises(SystemCheckError, match="no key ring"):
        call_command("check", "--deploy")
