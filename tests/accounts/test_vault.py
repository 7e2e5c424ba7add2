"""The envelope and the key ring in a file."""

import json
import os
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accounts.errors import KeyRingError, SealBroken
from accounts.vault.envelope import Place, associated_data, key_id_of, seal, unseal
from accounts.vault.framing import pack, unpack
from accounts.vault.keyfile import KeyFileProvider, KeyRing, new_ring, read_ring, write_ring

NOW = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)
PLACE = Place(installation="here", model="accounts.credential", field="api_secret", primary_key="1")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return where the ring of the test lies."""
    file = tmp_path / "keys" / "keyring.json"
    write_ring(path=file, ring=new_ring(now=NOW, automatic=False), replace_existing=False)
    return file


def test_a_ring_is_written_for_its_owner_alone(path: Path) -> None:
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert [file.name for file in path.parent.iterdir()] == ["keyring.json"]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o620, 0o602, 0o610, 0o601, 0o644])
def test_a_ring_open_to_others_is_refused(path: Path, mode: int) -> None:
    path.chmod(mode)

    with pytest.raises(KeyRingError, match="chmod 600"):
        read_ring(path=path)


def test_a_ring_loosened_while_in_use_is_refused(path: Path) -> None:
    provider = KeyFileProvider(path=path)
    sealed = seal(plaintext=b"x", place=PLACE, provider=provider)
    path.chmod(0o644)

    with pytest.raises(KeyRingError):
        unseal(sealed=sealed, place=PLACE, provider=provider)


def test_a_missing_ring_is_refused(tmp_path: Path) -> None:
    with pytest.raises(KeyRingError, match="init_keyring"):
        read_ring(path=tmp_path / "absent.json")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_a_ring_of_another_owner_is_refused(path: Path) -> None:
    os.chown(path, 65534, 65534)

    with pytest.raises(KeyRingError, match="belongs to user 65534"):
        read_ring(path=path)


def test_a_link_to_a_ring_is_refused(path: Path, tmp_path: Path) -> None:
    link = tmp_path / "link.json"
    link.symlink_to(path)

    with pytest.raises(KeyRingError, match="not a plain file"):
        read_ring(path=link)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        "[]",
        '{"writing": "a", "automatic": false, "keys": {"a": "c2hvcnQ="}}',
        '{"writing": "b", "automatic": false, "keys": {}}',
        '{"writing": "a", "automatic": false, "keys": {"a": "not base64!"}}',
    ],
)
def test_a_damaged_ring_is_refused(path: Path, text: str) -> None:
    path.write_text(text)

    with pytest.raises(KeyRingError):
        read_ring(path=path)


def test_a_ring_is_never_overwritten_by_a_new_one(path: Path) -> None:
    before = path.read_bytes()

    with pytest.raises(KeyRingError, match="not overwritten"):
        write_ring(path=path, ring=new_ring(now=NOW, automatic=False), replace_existing=False)

    assert path.read_bytes() == before


def test_production_refuses_a_ring_that_was_made_automatically(tmp_path: Path) -> None:
    path = tmp_path / "ring.json"
    write_ring(path=path, ring=new_ring(now=NOW, automatic=True), replace_existing=False)

    with pytest.raises(KeyRingError, match="automatically"):
        KeyFileProvider(path=path, refuse_automatic=True).writing_key_id()


def test_a_ring_does_not_print_its_keys(path: Path) -> None:
    ring = read_ring(path=path)

    for key in json.loads(path.read_text())["keys"].values():
        assert key not in repr(ring)
    assert "keys=" not in repr(ring)


def test_a_running_process_adopts_a_new_key_and_still_reads_the_old(path: Path) -> None:
    provider = KeyFileProvider(path=path)
    old = seal(plaintext=b"old", place=PLACE, provider=provider)

    write_ring(path=path, ring=read_ring(path=path).with_new_key(now=NOW), replace_existing=True)
    new = seal(plaintext=b"new", place=PLACE, provider=provider)

    assert key_id_of(sealed=old) != key_id_of(sealed=new)
    assert unseal(sealed=old, place=PLACE, provider=provider) == b"old"
    assert unseal(sealed=new, place=PLACE, provider=provider) == b"new"


def test_a_key_taken_out_of_the_ring_opens_nothing(path: Path) -> None:
    provider = KeyFileProvider(path=path)
    old = seal(plaintext=b"old", place=PLACE, provider=provider)
    ring = read_ring(path=path).with_new_key(now=NOW).without_key(key_id=key_id_of(sealed=old))
    write_ring(path=path, ring=ring, replace_existing=True)

    with pytest.raises(SealBroken, match="no key"):
        unseal(sealed=old, place=PLACE, provider=provider)


def test_the_writing_key_stays_in_the_ring(path: Path) -> None:
    ring: KeyRing = read_ring(path=path)

    with pytest.raises(KeyRingError, match="writing key"):
        ring.without_key(key_id=ring.writing)


@pytest.mark.proof(id="R19")
@pytest.mark.parametrize(
    "elsewhere",
    [
        Place(installation="there", model="accounts.credential", field="api_secret", primary_key="1"),
        Place(installation="here", model="accounts.other", field="api_secret", primary_key="1"),
        Place(installation="here", model="accounts.credential", field="access_token", primary_key="1"),
        Place(installation="here", model="accounts.credential", field="api_secret", primary_key="2"),
    ],
)
def test_a_value_opens_in_its_own_place_alone(path: Path, elsewhere: Place) -> None:
    provider = KeyFileProvider(path=path)
    sealed = seal(plaintext=b"x", place=PLACE, provider=provider)

    with pytest.raises(SealBroken):
        unseal(sealed=sealed, place=elsewhere, provider=provider)


def test_every_cut_of_a_sealed_value_is_noticed(path: Path) -> None:
    provider = KeyFileProvider(path=path)
    sealed = seal(plaintext=b"secret", place=PLACE, provider=provider)

    for length in range(len(sealed)):
        with pytest.raises(SealBroken):
            unseal(sealed=sealed[:length], place=PLACE, provider=provider)


@pytest.mark.proof(id="R19")
def test_every_flipped_bit_of_a_sealed_value_is_noticed(path: Path) -> None:
    provider = KeyFileProvider(path=path)
    sealed = seal(plaintext=b"secret", place=PLACE, provider=provider)

    for position in range(len(sealed)):
        changed = bytearray(sealed)
        changed[position] ^= 0x80
        with pytest.raises(SealBroken):
            unseal(sealed=bytes(changed), place=PLACE, provider=provider)


@given(st.lists(st.binary(max_size=300), max_size=6), st.binary(max_size=20))
def test_what_is_packed_unpacks_to_the_same_parts(parts: list[bytes], rest: bytes) -> None:
    assert unpack(pack(parts) + rest, count=len(parts)) == (parts, rest)


@given(st.dictionaries(st.text(max_size=8), st.text(max_size=8), max_size=4), st.data())
def test_two_contexts_have_the_same_bytes_only_when_they_are_equal(
    context: dict[str, str], data: st.DataObject
) -> None:
    other = data.draw(st.dictionaries(st.text(max_size=8), st.text(max_size=8), max_size=4))

    assert (associated_data(context) == associated_data(other)) == (context == other)
