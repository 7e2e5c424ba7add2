"""The sealed column and the value that does not print itself."""

import copy
import json
import pickle
from collections.abc import Callable
from typing import Any

import pytest
from django.core import serializers
from django.core.exceptions import FieldError
from django.db import connection

from accounts.errors import SealBroken
from accounts.fields import Secret
from accounts.models import Credential
from tests.factories import CredentialFactory

pytestmark = pytest.mark.django_db


def stored_bytes(credential: Credential, column: str) -> bytes:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {column} FROM accounts_credential WHERE id = %s", [credential.pk])
        return bytes(cursor.fetchone()[0])


def store_bytes(credential: Credential, column: str, value: bytes) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"UPDATE accounts_credential SET {column} = %s WHERE id = %s", [value, credential.pk])


def test_a_secret_comes_back_as_it_was_assigned() -> None:
    credential = CredentialFactory(api_secret="s3cret of the broker ✓")

    assert Credential.objects.get().api_secret == Secret("s3cret of the broker ✓")
    assert credential.api_secret.reveal() == "s3cret of the broker ✓"


def test_the_database_never_sees_the_text() -> None:
    credential = CredentialFactory(api_secret="plain-text-of-the-secret")

    assert b"plain-text" not in stored_bytes(credential, "api_secret")


def test_the_same_secret_is_stored_differently_each_time() -> None:
    first = CredentialFactory(api_secret="same")
    second = CredentialFactory(api_secret="same")

    assert stored_bytes(first, "api_secret") != stored_bytes(second, "api_secret")


def test_saving_a_row_again_leaves_an_unchanged_secret_as_it_is_stored() -> None:
    credential = Credential.objects.get(pk=CredentialFactory().pk)
    before = stored_bytes(credential, "api_secret")

    credential.save()

    assert stored_bytes(credential, "api_secret") == before


def test_none_stays_null() -> None:
    CredentialFactory()

    assert Credential.objects.filter(access_token__isnull=True).get().access_token is None


def test_a_value_moved_to_another_row_does_not_open() -> None:
    first, second = CredentialFactory(), CredentialFactory()
    store_bytes(second, "api_secret", stored_bytes(first, "api_secret"))

    with pytest.raises(SealBroken):
        _ = Credential.objects.get(pk=second.pk).api_secret


def test_a_value_moved_to_another_field_does_not_open() -> None:
    credential = CredentialFactory(live=True)
    store_bytes(credential, "access_token", stored_bytes(credential, "api_secret"))

    with pytest.raises(SealBroken):
        _ = Credential.objects.get().access_token


def test_a_value_of_another_installation_does_not_open(settings: Any) -> None:
    CredentialFactory()
    settings.INSTALLATION_ID = "another"

    with pytest.raises(SealBroken):
        _ = Credential.objects.get().api_secret


@pytest.mark.parametrize("position", [0, 1, 2, 10, 40, 60, -1])
def test_one_changed_byte_is_noticed(position: int) -> None:
    credential = CredentialFactory()
    changed = bytearray(stored_bytes(credential, "api_secret"))
    changed[position] ^= 1
    store_bytes(credential, "api_secret", bytes(changed))

    with pytest.raises(SealBroken):
        _ = Credential.objects.get().api_secret


def test_loading_a_row_opens_nothing() -> None:
    credential = CredentialFactory()
    store_bytes(credential, "api_secret", b"damaged")

    assert Credential.objects.get().api_key == credential.api_key


def test_a_deferred_secret_is_fetched_when_asked_for() -> None:
    CredentialFactory(api_secret="later")

    assert Credential.objects.defer("api_secret").get().api_secret == Secret("later")


def test_a_bulk_insert_seals_too() -> None:
    built = CredentialFactory.build(account=CredentialFactory().account, version=2, current=False, retired_at=None)
    built.current, built.account = True, CredentialFactory(version=9).account
    Credential.objects.filter(account=built.account).delete()

    Credential.objects.bulk_create([built])

    assert Credential.objects.get(version=2).api_secret == built.api_secret


def test_an_update_with_a_plain_secret_is_refused() -> None:
    CredentialFactory()

    with pytest.raises(TypeError, match="sealed for one row"):
        Credential.objects.update(api_secret="plain")


def test_a_bulk_update_with_a_secret_is_refused() -> None:
    credential = CredentialFactory()
    credential.api_secret = "new"

    with pytest.raises(TypeError, match="sealed for one row"):
        Credential.objects.bulk_update([credential], ["api_secret"])


def test_a_filter_on_a_secret_is_refused() -> None:
    with pytest.raises(FieldError):
        Credential.objects.filter(api_secret="guess")


def test_a_fixture_carries_the_sealed_bytes() -> None:
    CredentialFactory(api_secret="plain-text-of-the-secret")

    text = serializers.serialize("json", Credential.objects.all())
    [restored] = serializers.deserialize("json", text)

    assert "plain-text" not in text
    assert json.loads(text)[0]["fields"]["access_token"] is None
    assert isinstance(restored.object, Credential)
    assert restored.object.api_secret == Secret("plain-text-of-the-secret")


def test_only_text_can_be_a_secret() -> None:
    with pytest.raises(TypeError, match="was int"):
        Credential(api_secret=7)


@pytest.mark.parametrize(
    "shown", [str, repr, "{}".format, "{:>40}".format, "%s".__mod__, lambda secret: repr([secret])]
)
def test_a_secret_never_shows_its_text(shown: Callable[[Secret], str]) -> None:
    assert "hunter2" not in shown(Secret("hunter2"))


def test_a_row_with_secrets_does_not_show_them() -> None:
    credential = CredentialFactory(api_secret="hunter2")

    assert "hunter2" not in repr(credential) + repr(credential.__dict__)


@pytest.mark.parametrize("attempt", [pickle.dumps, copy.copy, copy.deepcopy])
def test_a_secret_is_neither_pickled_nor_copied(attempt: Callable[[Secret], object]) -> None:
    with pytest.raises(TypeError):
        attempt(Secret("hunter2"))


def test_a_secret_has_no_attributes_to_iterate() -> None:
    with pytest.raises(TypeError):
        vars(Secret("hunter2"))
