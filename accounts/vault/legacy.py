"""Reads what the platform before this one stored: base64, AES-GCM under a hex key, Fernet. Nothing is written so."""

import base64
import binascii
from collections.abc import Callable, Mapping
from functools import partial
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from accounts.errors import DumpRefused
from accounts.vault.envelope import NONCE_BYTES

Reader = Callable[[str], str]
HEX_KEY_CHARACTERS: Final = 64
URL_SAFE: Final = str.maketrans("-_", "+/")


def reader(*, scheme: str, key: str) -> Reader:
    """Return a function from a stored text to its plaintext; both raise DumpRefused, without quoting either."""
    return _MAKERS[scheme](key.strip())


def needs_key(*, scheme: str) -> bool:
    """Say whether the scheme has a key at all."""
    return scheme != "base64"


def _base64(key: str) -> Reader:
    return lambda stored: _text(_decoded(stored))


def _aes_gcm(key: str) -> Reader:
    if len(key) != HEX_KEY_CHARACTERS or not set(key) <= set("0123456789abcdefABCDEF"):
        raise DumpRefused(f"an AES-GCM key is {HEX_KEY_CHARACTERS} hexadecimal characters, this one has {len(key)}")
    return partial(_open_aes_gcm, AESGCM(bytes.fromhex(key)))


def _open_aes_gcm(cipher: AESGCM, stored: str) -> str:
    sealed = _decoded(stored)
    try:
        return _text(cipher.decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], None))
    except (InvalidTag, ValueError) as error:
        raise DumpRefused("does not open with this key") from error


def _fernet(key: str) -> Reader:
    try:
        return partial(_open_fernet, Fernet(key))
    except (ValueError, binascii.Error) as error:
        raise DumpRefused("a Fernet key is 32 bytes in URL-safe base64") from error


def _open_fernet(cipher: Fernet, stored: str) -> str:
    try:
        return _text(cipher.decrypt(stored))
    except InvalidToken as error:
        raise DumpRefused("does not open with this key") from error


def _decoded(stored: str) -> bytes:
    try:
        return base64.b64decode(stored.strip().translate(URL_SAFE), validate=True)
    except (ValueError, binascii.Error) as error:
        raise DumpRefused("is not base64") from error


def _text(plaintext: bytes) -> str:
    try:
        return plaintext.decode()
    except UnicodeDecodeError as error:
        raise DumpRefused("is not text once it is open: another scheme?") from error


_MAKERS: Final[Mapping[str, Callable[[str], Reader]]] = {"base64": _base64, "aes-gcm": _aes_gcm, "fernet": _fernet}
SCHEMES: Final = tuple(_MAKERS)
