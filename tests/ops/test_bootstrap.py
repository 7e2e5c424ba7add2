"""The first start and every later one, against the sandbox exchange."""

import json
import stat
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import Client

from accounts.health import degrade
from accounts.models import ApiKey, BrokerAccount, Credential, User
from accounts.queries import current_credential, login_for
from accounts.sessions import Sessions
from market_data.freezes import FreezeQuantity
from market_data.models import Instrument, Subscription
from ops import bootstrap
from ops.errors import LoginFailed
from ops.login_walk import walk
from tests.market_data.factories import InstrumentFactory
from tests.sandbox_server import SandboxServer

pytestmark = pytest.mark.django_db


@pytest.fixture
def secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder for secrets, with an administrator's password in the environment."""
    monkeypatch.setenv("ADMIN_USER", "founder")
    monkeypatch.setenv("ADMIN_PASSWORD", "a password for the test")
    return tmp_path


def start(broker: SandboxServer, secrets: Path) -> dict[str, str]:
    """Run the command as ./run does and return what the welcome screen reads."""
    call_command("bootstrap", credentials=broker.credentials_file, secrets_dir=secrets, verbosity=0)
    document: dict[str, str] = json.loads((secrets / "bootstrap.json").read_text())
    return document


def test_a_first_start_logs_every_user_of_the_exchange_in(broker: SandboxServer, secrets: Path) -> None:
    start(broker, secrets)

    now = datetime.now(UTC)
    labels = BrokerAccount.objects.order_by("label").values_list("label", flat=True)
    assert list(labels) == sorted(user.user_id.lower() for user in broker.users)
    assert {
        Sessions().client(login_for(account_id=account.pk, now=now)).profile().user_id
        for account in BrokerAccount.objects.all()
    } == {user.user_id for user in broker.users}


def test_a_first_start_knows_what_the_exchange_freezes(broker: SandboxServer, secrets: Path) -> None:
    start(broker, secrets)

    published = broker.control("GET", "/freezes")["NFO"]["NIFTY"]
    assert FreezeQuantity.objects.get(exchange="NFO", name="NIFTY").quantity == published
    assert set(Instrument.objects.filter(name="NIFTY", exchange="NFO").values_list("freeze_quantity", flat=True)) == {
        published
    }


def test_a_first_start_streams_indices_shares_and_the_options_around_the_spot(
    broker: SandboxServer, secrets: Path
) -> None:
    start(broker, secrets)

    wishes = Subscription.objects.filter(wanted_by="bootstrap").select_related("instrument")
    symbols = {str(wish.instrument) for wish in wishes}
    assert {"NSE:NIFTY 50", "NSE:NIFTY BANK", "BSE:SENSEX", "NSE:INFY"} <= symbols
    assert sum(wish.instrument.instrument_type in {"CE", "PE"} for wish in wishes) == 2 * 41 * 2
    assert bootstrap.STREAMED - 60 <= len(wishes) <= bootstrap.STREAMED


def test_the_administrator_can_sign_in(broker: SandboxServer, secrets: Path, client: Client) -> None:
    start(broker, secrets)

    answer = client.post("/admin/login/", {"username": "founder", "password": "a password for the test"})
    assert answer["Location"].startswith("/admin/second-factor/")


def test_the_printed_key_opens_the_api_and_its_file_is_private(
    broker: SandboxServer, secrets: Path, client: Client
) -> None:
    printed = start(broker, secrets)

    answer = client.get("/api/v1/accounts", headers={"Authorization": f"Bearer {printed['api_key']}"})
    assert [row["label"] for row in answer.json()["results"]].count(printed["account"]) == 1
    assert stat.S_IMODE((secrets / "bootstrap.json").stat().st_mode) == 0o600


def test_a_second_start_changes_nothing(broker: SandboxServer, secrets: Path) -> None:
    first = start(broker, secrets)
    counts = [model.objects.count() for model in (User, BrokerAccount, Credential, ApiKey, Subscription, Instrument)]

    second = start(broker, secrets)

    assert second == first
    assert counts == [
        model.objects.count() for model in (User, BrokerAccount, Credential, ApiKey, Subscription, Instrument)
    ]


def test_a_start_after_a_crash_that_degraded_every_account_goes_on(broker: SandboxServer, secrets: Path) -> None:
    start(broker, secrets)
    now = datetime.now(UTC)
    for account in BrokerAccount.objects.all():
        degrade(account_id=account.pk, reason="its socket died", now=now, recovers_at=now + timedelta(minutes=1))

    start(broker, secrets)

    assert Subscription.objects.filter(wanted_by="bootstrap").exists()


def test_a_token_that_the_exchange_forgot_is_replaced(broker: SandboxServer, secrets: Path) -> None:
    start(broker, secrets)
    account = BrokerAccount.objects.get(broker_user_id=broker.user(0).user_id)
    before = current_credential(account_id=account.pk)
    broker.session(0)

    start(broker, secrets)

    after = current_credential(account_id=account.pk)
    assert before is not None
    assert after is not None
    assert after.version > before.version
    profile = Sessions().client(login_for(account_id=account.pk, now=datetime.now(UTC))).profile()
    assert profile.user_id == account.broker_user_id


def test_a_password_that_somebody_changed_is_left_alone(broker: SandboxServer, secrets: Path, client: Client) -> None:
    start(broker, secrets)
    founder = User.objects.get(username="founder")
    founder.set_password("changed by hand")
    founder.save()

    start(broker, secrets)

    founder.refresh_from_db()
    assert founder.check_password("changed by hand")


def test_without_the_sandbox_the_next_steps_are_told(secrets: Path, capsys: pytest.CaptureFixture[str]) -> None:
    call_command("bootstrap", secrets_dir=secrets)

    assert "Rotate credential" in capsys.readouterr().out
    assert json.loads((secrets / "bootstrap.json").read_text())["account"] == ""
    assert not BrokerAccount.objects.exists()


def test_without_a_password_there_is_no_administrator(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ADMIN_PASSWORD", raising=False)

    with pytest.raises(CommandError, match="ADMIN_PASSWORD"):
        call_command("bootstrap", secrets_dir=tmp_path)

    assert not User.objects.exists()


@pytest.mark.parametrize("url", ["https://kite.zerodha.com/connect/login?v=3", "http://10.0.0.7/connect/login"])
def test_no_page_off_this_machine_is_walked(url: str) -> None:
    with pytest.raises(LoginFailed, match="never a program"):
        walk(url=url, answers={"user_id": "AB1234", "password": "secret"})


def test_a_wrong_password_ends_the_walk(broker: SandboxServer) -> None:
    user = broker.user(0)

    with pytest.raises(LoginFailed):
        walk(
            url=f"{broker.login_url}?v=3&api_key={user.api_key}",
            answers={"user_id": user.user_id, "password": "wrong"},
        )


def test_the_options_around_a_spot_are_those_of_the_nearest_strikes() -> None:
    rows: list[Any] = [InstrumentFactory.build(strike=Decimal(strike)) for strike in range(100, 200, 10)]

    kept = bootstrap.around(rows=rows, spot=Decimal(143), each_side=1)

    assert [row.strike for row in kept] == [130, 140, 150]


def test_there_are_no_options_around_a_spot_where_none_are_listed() -> None:
    assert bootstrap.around(rows=[], spot=Decimal(143), each_side=1) == []
