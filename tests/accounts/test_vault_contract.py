"""One contract of all key providers: the local file, AWS KMS, and the transit engine of Vault and OpenBao."""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from accounts import resealing
from accounts.errors import KeyRingError, SealBroken
from accounts.models import Credential
from accounts.vault import installed
from accounts.vault.envelope import Place, key_id_of, seal, unseal
from tests.accounts.providers import KEEPERS, Keeper
from tests.factories import CredentialFactory

pytestmark = pytest.mark.proof(id="R19")
CONTEXT = {"installation": "here", "model": "m", "field": "f", "primary_key": "1", "key_id": "k"}
PLACE = Place(installation="here", model="accounts.credential", field="api_secret", primary_key="1")


@pytest.fixture(params=KEEPERS)
def keeper(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Keeper]:
    """Return one of the three with a service of its own."""
    made = KEEPERS[request.param](tmp_path)
    yield made
    made.stop()


def choose(keeper: Keeper, settings: Any) -> None:
    """Let the settings name this provider."""
    for name, value in keeper.settings().items():
        setattr(settings, name, value)


def test_a_wrapped_key_comes_back(keeper: Keeper) -> None:
    key_id = keeper.provider.writing_key_id()
    wrapped = keeper.provider.wrap(data_key=b"k" * 32, key_id=key_id, context=CONTEXT)

    assert b"k" * 32 not in wrapped
    assert keeper.provider.unwrap(wrapped=wrapped, key_id=key_id, context=CONTEXT) == b"k" * 32


@pytest.mark.parametrize("part", sorted(CONTEXT))
def test_every_part_of_the_context_is_bound(keeper: Keeper, part: str) -> None:
    key_id = keeper.provider.writing_key_id()
    wrapped = keeper.provider.wrap(data_key=b"k" * 32, key_id=key_id, context=CONTEXT)

    with pytest.raises(SealBroken):
        keeper.provider.unwrap(wrapped=wrapped, key_id=key_id, context={**CONTEXT, part: "another"})


def test_a_damaged_wrapping_is_refused(keeper: Keeper) -> None:
    key_id = keeper.provider.writing_key_id()
    wrapped = keeper.provider.wrap(data_key=b"k" * 32, key_id=key_id, context=CONTEXT)

    for damaged in (wrapped[:-3], wrapped[:10], b"", b"vault:v1:AAAA", wrapped[:-4] + b"AAAA"):
        with pytest.raises(SealBroken):
            keeper.provider.unwrap(wrapped=damaged, key_id=key_id, context=CONTEXT)


def test_an_unknown_key_is_refused(keeper: Keeper) -> None:
    wrapped = keeper.provider.wrap(data_key=b"k" * 32, key_id=keeper.provider.writing_key_id(), context=CONTEXT)

    with pytest.raises(SealBroken):
        keeper.provider.unwrap(wrapped=wrapped, key_id="nobody", context=CONTEXT)


def test_two_keys_open_and_the_newer_seals(keeper: Keeper) -> None:
    old_id = keeper.provider.writing_key_id()
    old = seal(plaintext=b"old", place=PLACE, provider=keeper.provider)

    keeper.add_key()
    new = seal(plaintext=b"new", place=PLACE, provider=keeper.provider)

    assert (key_id_of(sealed=old), key_id_of(sealed=new)) == (old_id, keeper.provider.writing_key_id())
    assert set(keeper.provider.key_ids()) == {old_id, keeper.provider.writing_key_id()}
    assert len(keeper.provider.key_ids()) == 2
    assert unseal(sealed=old, place=PLACE, provider=keeper.provider) == b"old"
    assert unseal(sealed=new, place=PLACE, provider=keeper.provider) == b"new"


def test_a_key_that_was_withdrawn_opens_nothing(keeper: Keeper) -> None:
    sealed = seal(plaintext=b"x", place=PLACE, provider=keeper.provider)

    keeper.withdraw(key_id_of(sealed=sealed))

    with pytest.raises((SealBroken, KeyRingError)):
        unseal(sealed=sealed, place=PLACE, provider=keeper.provider)


def test_a_provider_that_is_away_is_told_from_a_broken_value(keeper: Keeper) -> None:
    sealed = seal(plaintext=b"x", place=PLACE, provider=keeper.provider)
    keeper.break_down()

    with pytest.raises(KeyRingError):
        unseal(sealed=sealed, place=PLACE, provider=keeper.provider)

    keeper.mend()
    assert unseal(sealed=sealed, place=PLACE, provider=keeper.provider) == b"x"


def test_a_value_copied_to_another_place_does_not_open(keeper: Keeper) -> None:
    sealed = seal(plaintext=b"x", place=PLACE, provider=keeper.provider)

    for changes in ({"installation": "there"}, {"model": "m"}, {"field": "access_token"}, {"primary_key": "2"}):
        elsewhere = Place(**{**{name: getattr(PLACE, name) for name in Place.__slots__}, **changes})
        with pytest.raises(SealBroken):
            unseal(sealed=sealed, place=elsewhere, provider=keeper.provider)


@pytest.mark.django_db
def test_stored_credentials_move_to_a_new_key_and_open(keeper: Keeper, settings: Any) -> None:
    choose(keeper, settings)
    before = installed.provider().writing_key_id()
    CredentialFactory(live=True, api_secret="the secret", access_token="the token")
    if not keeper.adds_keys:
        keeper.add_key()
        choose(keeper, settings)

    call_command("rotate_encryption_key", stdout=io.StringIO())

    row = Credential.objects.get()
    assert resealing.keys_in_use() == {installed.provider().writing_key_id(): 2}
    assert installed.provider().writing_key_id() != before
    assert (row.api_secret.reveal(), row.access_token.reveal()) == ("the secret", "the token")


@pytest.mark.django_db
def test_where_keys_are_made_elsewhere_the_command_says_how(keeper: Keeper, settings: Any) -> None:
    choose(keeper, settings)
    CredentialFactory()
    if keeper.adds_keys:
        call_command("rotate_encryption_key", stdout=io.StringIO())
        return

    with pytest.raises(CommandError, match="put it first in VAULT_KEYS"):
        call_command("rotate_encryption_key")


def test_the_check_seals_and_opens(keeper: Keeper, settings: Any) -> None:
    choose(keeper, settings)
    assert installed.check() == []

    keeper.break_down()

    assert [error.id for error in installed.check()] == ["accounts.E001"]
