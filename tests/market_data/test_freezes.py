"""Quantities that exchanges freeze, and the contracts that follow them."""

from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import IntegrityError

from accounts.models import AuditEntry, User
from market_data import freezes
from market_data.errors import FreezeFileRefused
from market_data.freezes import FreezeQuantity, FreezeReport
from market_data.models import Instrument
from market_data.queries import catalogue_version
from tests.factories import UserFactory
from tests.market_data.factories import NOW, InstrumentFactory
from tests.market_data.test_catalogue import CALL, INFY, load
from tests.panel_client import PanelClient

pytestmark = pytest.mark.django_db
FILE = "Sr.No. , SYMBOL , VOL_FRZ_QTY\n1,NIFTY,1800\n2,BANKNIFTY,600\n"


@pytest.fixture
def panel() -> PanelClient:
    browser = PanelClient()
    browser.force_login(UserFactory(username="asha", role=User.Role.OPERATOR, is_staff=True))
    return browser


def put(quantity: int) -> FreezeReport:
    return freezes.load(exchange="NFO", quantities={"NIFTY": quantity}, actor="asha", reason="a notice", now=NOW)


def frozen(symbol: str) -> int | None:
    found: int | None = Instrument.objects.get(tradingsymbol=symbol).freeze_quantity
    return found


def add(panel: PanelClient, **values: object) -> Any:
    body = {"exchange": "NFO", "name": "NIFTY", "quantity": "1800", "reason": "a notice", **values}
    return panel.post("/admin/market_data/freezequantity/add/", body)


def test_a_quantity_reaches_every_contract_of_its_underlying() -> None:
    load(INFY, CALL)

    report = put(1800)

    assert report == FreezeReport(read=1, new=1, changed=0, contracts=1)
    assert (frozen("NIFTY26AUG25000CE"), frozen("INFY")) == (1800, None)


def test_a_contract_listed_later_gets_it_with_its_load() -> None:
    put(1800)

    load(INFY, CALL)

    assert frozen("NIFTY26AUG25000CE") == 1800


def test_a_second_load_names_what_changed() -> None:
    load(CALL)
    put(1800)

    assert put(1200) == FreezeReport(read=1, new=0, changed=1, contracts=1)
    assert put(1200) == FreezeReport(read=1, new=0, changed=0, contracts=0)
    assert frozen("NIFTY26AUG25000CE") == 1200


def test_the_command_tries_a_file_and_then_loads_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    load(CALL)
    (file := tmp_path / "qtyfreeze.csv").write_text(FILE)

    call_command("load_freeze_quantities", file, reason="a notice", preview=True)
    tried = frozen("NIFTY26AUG25000CE")
    call_command("load_freeze_quantities", file, reason="a notice")

    assert (tried, frozen("NIFTY26AUG25000CE")) == (None, 1800)
    assert "2 read, 2 new, 0 changed; 1 contracts follow" in capsys.readouterr().out


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match=r"nowhere\.csv"):
        call_command("load_freeze_quantities", tmp_path / "nowhere.csv", reason="a notice")


def test_clients_that_keep_contracts_ask_again_after_a_change() -> None:
    before = catalogue_version()

    put(1800)

    assert catalogue_version() != before


def test_the_exchanges_file_is_read() -> None:
    assert freezes.read_file(FILE) == {"NIFTY": 1800, "BANKNIFTY": 600}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "line 1 has no columns"),
        ("SYMBOL,QTY\nNIFTY,1800\n", "line 1 has no columns"),
        ("SYMBOL,VOL_FRZ_QTY\n", "no line below its head"),
        ("SYMBOL,VOL_FRZ_QTY\nNIFTY,many\n", "line 2: VOL_FRZ_QTY is no whole number"),
        ("SYMBOL,VOL_FRZ_QTY\nNIFTY,1800\nBANKNIFTY\n", "line 3: VOL_FRZ_QTY is no whole number"),
        ("SYMBOL,VOL_FRZ_QTY\nNIFTY,0\n", "line 2: no underlying, or a quantity of 0"),
        ("SYMBOL,VOL_FRZ_QTY\n,1800\n", "line 2: no underlying"),
    ],
)
def test_a_file_that_is_not_the_exchanges_is_refused(text: str, told: str) -> None:
    with pytest.raises(FreezeFileRefused, match=told):
        freezes.read_file(text)


def test_a_quantity_written_by_hand_holds_at_once(panel: PanelClient) -> None:
    InstrumentFactory(
        exchange="NFO", tradingsymbol="NIFTY26AUG25000CE", name="NIFTY", expiry=NOW.date(), instrument_type="CE"
    )

    answer = add(panel)

    assert answer.status_code == 302, answer.text
    assert frozen("NIFTY26AUG25000CE") == 1800
    assert AuditEntry.objects.get(action="market_data.freezequantity.added").reason == "a notice"


@pytest.mark.parametrize("wrong", [{"quantity": "0"}, {"quantity": "many"}, {"reason": ""}, {"name": ""}])
def test_an_impossible_quantity_is_refused(panel: PanelClient, wrong: dict[str, str]) -> None:
    assert add(panel, **wrong).status_code == 200
    assert not FreezeQuantity.objects.exists()


def test_the_database_keeps_one_quantity_for_an_underlying() -> None:
    put(1800)

    with pytest.raises(IntegrityError):
        FreezeQuantity.objects.create(exchange="NFO", name="NIFTY", quantity=1200)
