"""Data keys wrapped by the transit engine of HashiCorp Vault or OpenBao, the row's context as associated data."""

import base64
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import hvac
from hvac import exceptions

from accounts.errors import KeyRingError, KeyServiceDown, SealBroken
from accounts.vault.envelope import associated_data

TIMEOUT_SECONDS: Final = 3
DOWN: Final = (
    exceptions.VaultDown,
    exceptions.InternalServerError,
    exceptions.BadGateway,
    exceptions.RateLimitExceeded,
    OSError,
)


class TransitProvider:
    """Wraps under the versions of one named key; a version's id is `name:v3`.

    The key is of type aes256-gcm96 and stays in Vault. The token is read from its file on every use, so that an agent
    may renew it there. Needs `update` on encrypt and decrypt and `read` on the key; `update` on rotate for add_key.
    """

    def __init__(
        self,
        *,
        url: str,
        key: str,
        token_file: Path,
        mount: str = "transit",
        ca_file: str = "",
        timeout_seconds: float = TIMEOUT_SECONDS,
    ) -> None:
        if not key:
            raise KeyRingError("VAULT_KEYS names no transit key")
        self._key = key
        self._mount = mount
        self._token_file = token_file
        self._client = hvac.Client(
            url=url, verify=ca_file or True, timeout=timeout_seconds, allow_redirects=False, strict_http=True
        )

    def writing_key_id(self) -> str:
        """Return the newest version."""
        return self._id(self._read()["latest_version"])

    def key_ids(self) -> list[str]:
        """Return every version that may still decrypt."""
        key = self._read()
        return [self._id(version) for version in range(key["min_decryption_version"], key["latest_version"] + 1)]

    def wrap(self, *, data_key: bytes, key_id: str, context: Mapping[str, str]) -> bytes:
        """Return `data_key` encrypted by the engine."""
        answer = self._ask(
            self._client.secrets.transit.encrypt_data,
            name=self._key,
            plaintext=base64.b64encode(data_key).decode(),
            associated_data=_bound(context),
            key_version=self._version(key_id),
            mount_point=self._mount,
        )
        return str(answer["data"]["ciphertext"]).encode()

    def unwrap(self, *, wrapped: bytes, key_id: str, context: Mapping[str, str]) -> bytes:
        """Return the data key."""
        if not wrapped.startswith(f"vault:v{self._version(key_id)}:".encode()):
            raise SealBroken(f"the data key was not wrapped by {key_id}")
        answer = self._ask(
            self._client.secrets.transit.decrypt_data,
            name=self._key,
            ciphertext=wrapped.decode("ascii", "replace"),
            associated_data=_bound(context),
            mount_point=self._mount,
        )
        return base64.b64decode(answer["data"]["plaintext"])

    def add_key(self, *, now: datetime) -> str:
        """Have the engine make a new version."""
        self._ask(self._client.secrets.transit.rotate_key, name=self._key, mount_point=self._mount)
        return self.writing_key_id()

    def drop_key(self, *, key_id: str) -> None:
        """Refuse: which versions decrypt is a policy of Vault's keepers."""
        raise KeyRingError(f"raise min_decryption_version of {self._key} above {key_id} in Vault")

    def _read(self) -> Mapping[str, int]:
        answer = self._ask(self._client.secrets.transit.read_key, name=self._key, mount_point=self._mount)
        return dict(answer["data"])

    def _id(self, version: int) -> str:
        return f"{self._key}:v{version}"

    def _version(self, key_id: str) -> int:
        name, _, version = key_id.rpartition(":v")
        if name != self._key or not version.isdecimal():
            raise SealBroken(f"{key_id} is no version of the transit key {self._key}")
        return int(version)

    def _ask(self, call: Callable[..., Any], **arguments: object) -> Any:
        self._client.token = self._token()
        try:
            return call(**arguments)
        except exceptions.InvalidRequest as error:
            raise SealBroken(f"a data key wrapped by {self._key} does not open for this row") from error
        except DOWN as error:
            raise KeyServiceDown(f"the transit engine does not answer: {type(error).__name__}") from error
        except exceptions.VaultError as error:
            raise KeyRingError(f"the transit engine refuses {self._key}: {type(error).__name__}") from error

    def _token(self) -> str:
        try:
            return self._token_file.read_text().strip()
        except OSError as error:
            raise KeyRingError(f"no Vault token can be read from {self._token_file}") from error


def _bound(context: Mapping[str, str]) -> str:
    return base64.b64encode(associated_data(context)).decode()
