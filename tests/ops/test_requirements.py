"""What is pinned is what is installed, and every way to install pins the same."""

import io
import re
import zipfile
from importlib import metadata
from pathlib import Path

import autobahn
import daphne
import pytest
from kiteconnect.__version__ import __version__ as kiteconnect_version

from deploy.kiteconnect import backend

ROOT = Path(__file__).resolve().parents[2]
PIN = re.compile(r"^([A-Za-z0-9._-]+)==([^\s;\\]+)", re.MULTILINE)


def pins(name: str) -> set[tuple[str, str]]:
    return set(PIN.findall((ROOT / name).read_text()))


def official(metadata_text: str) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as wheel:
        wheel.writestr("kiteconnect/__init__.py", "VALUE = 1\n")
        wheel.writestr("kiteconnect-5.2.2.dist-info/METADATA", metadata_text)
        wheel.writestr("kiteconnect-5.2.2.dist-info/RECORD", "stale\n")
    return target.getvalue()


METADATA = "Metadata-Version: 2.1\nName: kiteconnect\nVersion: 5.2.2\nRequires-Dist: autobahn[twisted]==19.11.2\n"


def test_the_plain_file_pins_what_the_lock_pins() -> None:
    folder = "./deploy/kiteconnect"
    plain = (ROOT / "requirements.txt").read_text()

    assert folder in plain.splitlines()
    assert pins("requirements.txt") | {("kiteconnect", backend.VERSION)} == pins("requirements.lock")


def test_the_development_lock_contains_the_other() -> None:
    assert pins("requirements.lock") <= pins("requirements-dev.lock")


@pytest.mark.parametrize("name", ["requirements.lock", "requirements-dev.lock"])
def test_every_pin_of_a_lock_carries_a_hash(name: str) -> None:
    entries = re.split(r"\n(?=[A-Za-z0-9])", (ROOT / name).read_text())[1:]

    assert [entry.split("==")[0] for entry in entries if "--hash=sha256:" not in entry] == []


@pytest.mark.parametrize("name", ["requirements.txt", "requirements.lock", "requirements-dev.lock"])
def test_no_file_names_an_index(name: str) -> None:
    assert re.findall(r"https?://|file:|--index|--find-links", (ROOT / name).read_text()) == []


def test_the_lock_names_the_wheel_that_is_repacked() -> None:
    assert f"sha256:{backend.OFFICIAL_SHA256}" in (ROOT / "requirements.lock").read_text()


def test_the_imported_packages_are_the_pinned_ones() -> None:
    locked = dict(pins("requirements.lock"))

    assert kiteconnect_version == locked["kiteconnect"]
    assert daphne.__version__ == locked["daphne"]
    assert vars(autobahn)["__version__"] == locked["autobahn"]


def test_everything_installed_is_at_its_pin() -> None:
    locked = pins("requirements.lock")
    names = {name for name, _ in locked}
    found = {
        (package.name.lower().replace("_", "-"), package.version.split("+")[0]) for package in metadata.distributions()
    }

    assert {pair for pair in found if pair[0] in names} - locked == set()


def test_repacking_relaxes_the_pin_and_nothing_else() -> None:
    with zipfile.ZipFile(io.BytesIO(backend.repacked(official(METADATA)))) as wheel:
        text = wheel.read("kiteconnect-5.2.2+relaxed.1.dist-info/METADATA").decode()
        code = wheel.read("kiteconnect/__init__.py")

    assert text == METADATA.replace("Version: 5.2.2", "Version: 5.2.2+relaxed.1").replace("==19.11.2", ">=22.4.2")
    assert code == b"VALUE = 1\n"


def test_a_repacked_wheel_records_every_file() -> None:
    with zipfile.ZipFile(io.BytesIO(backend.repacked(official(METADATA)))) as wheel:
        record = wheel.read("kiteconnect-5.2.2+relaxed.1.dist-info/RECORD").decode()
        names = wheel.namelist()

    assert sorted(line.split(",")[0] for line in record.splitlines()) == sorted(names)
    assert "stale" not in record


def test_another_wheel_than_the_expected_one_is_refused() -> None:
    with pytest.raises(backend.WrongWheel):
        backend.repacked(official(METADATA.replace("==19.11.2", "==20.1.1")))
