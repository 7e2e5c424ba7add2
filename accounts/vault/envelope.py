"""Seals and opens single values: AES-256-GCM under a data key of their own.

Format 1: version (1 byte) | key id | wrapped data key | nonce (12 bytes) | ciphertext and tag; key id and wrapped key
are length-prefixed. The associated data binds installation, model, field, primary key and key id, so that a value
moved to another row, field or installation does not open.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from accounts.errors import SealBroken
from accounts.vault.framing import pack, unpack
from accounts.vault.provider import KeyProvider

FORMAT = b"\x01"
NONCE_BYTES = 12
DATA_KEY_BITS = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a sealed value lives."""

    installation: str
    model: str
    field: str
    primary_key: str

    def context(self, *, key_id: str) -> Mapping[str, str]:
        """Return what the wrapping and the ciphertext are bound to."""
        return {
            "installation": self.installation,
            "model": self.model,
            "field": self.field,
            "primary_key": self.primary_key,
            "key_id": key_id,
        }


def seal(*, plaintext: bytes, place: Place, provider: KeyProvider) -> bytes:
    """Return `plaintext` sealed for `place` under the provider's writing key."""
    key_id = provider.writing_key_id()
    context = place.context(key_id=key_id)
    data_key = AESGCM.generate_key(bit_length=DATA_KEY_BITS)
    wrapped = provider.wrap(data_key=data_key, key_id=key_id, context=context)
    nonce = os.urandom(NONCE_BYTES)
    ciphertext = AESGCM(data_key).encrypt(nonce, plaintext, associated_data(context))
    return FORMAT + pack([key_id.encode(), wrapped]) + nonce + ciphertext


def unseal(*, sealed: bytes, place: Place, provider: KeyProvider) -> bytes:
    """Return the plaintext of a value sealed for the same place; raises SealBroken."""
    key_id, wrapped, rest = _split(sealed)
    context = place.context(key_id=key_id)
    data_key = provider.unwrap(wrapped=wrapped, key_id=key_id, context=context)
    nonce, ciphertext = rest[:NONCE_BYTES], rest[NONCE_BYTES:]
    try:
        return AESGCM(data_key).decrypt(nonce, ciphertext, associated_data(context))
    except (InvalidTag, ValueError) as error:
        raise SealBroken(f"{place.model}.{place.field} of row {place.primary_key} does not open") from error


def key_id_of(*, sealed: bytes) -> str:
    """Return the id of the key a sealed value needs."""
    return _split(sealed)[0]


def associated_data(context: Mapping[str, str]) -> bytes:
    """Return the context as canonical bytes."""
    return pack(part.encode() for name in sorted(context) for part in (name, context[name]))


def _split(sealed: bytes) -> tuple[str, bytes, bytes]:
    if sealed[:1] != FORMAT:
        raise SealBroken(f"unknown format of a sealed value, first byte was {sealed[:1].hex() or 'absent'}")
    (key_id, wrapped), rest = unpack(sealed[1:], count=2)
    try:
        return key_id.decode(), wrapped, rest
    except UnicodeDecodeError as error:
        raise SealBroken("the sealed value does not name a key") from error
