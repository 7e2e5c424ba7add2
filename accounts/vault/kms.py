"""Data keys wrapped by AWS KMS, the row's context bound as its encryption context."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from accounts.errors import KeyRingError, KeyServiceDown, SealBroken

CONNECT_SECONDS: Final = 2
READ_SECONDS: Final = 3
ATTEMPTS: Final = 2
# The ciphertext is not of this key, or not for this context.
BROKEN: Final = frozenset({"InvalidCiphertextException", "IncorrectKeyException", "InvalidKeyUsageException"})
DOWN: Final = frozenset(
    {
        "DependencyTimeoutException",
        "KMSInternalException",
        "KeyUnavailableException",
        "RequestTimeout",
        "ServiceUnavailable",
        "ServiceUnavailableException",
        "ThrottlingException",
    }
)
SERVER_ERROR: Final = 500


class AwsKmsProvider:
    """Wraps under KMS keys named by id or ARN: the first seals, all of them open.

    Keys are made, switched off and deleted in KMS and granted there: `kms:Encrypt` and `kms:Decrypt` is all this needs.
    """

    def __init__(self, *, keys: Sequence[str], region: str, endpoint: str = "") -> None:
        if not keys:
            raise KeyRingError("VAULT_KEYS names no key of AWS KMS")
        if aliases := [key for key in keys if "alias/" in key]:
            raise KeyRingError(f"{aliases[0]} is an alias, which can be pointed elsewhere: name the key itself")
        self._keys = tuple(keys)
        self._client: Any = boto3.client(
            "kms",
            region_name=region or None,
            endpoint_url=endpoint or None,
            config=Config(
                connect_timeout=CONNECT_SECONDS,
                read_timeout=READ_SECONDS,
                retries={"total_max_attempts": ATTEMPTS, "mode": "standard"},
            ),
        )

    def writing_key_id(self) -> str:
        """Return the first key of the setting."""
        return self._keys[0]

    def key_ids(self) -> Sequence[str]:
        """Return the keys of the setting."""
        return self._keys

    def wrap(self, *, data_key: bytes, key_id: str, context: Mapping[str, str]) -> bytes:
        """Return `data_key` encrypted by KMS."""
        answer = self._ask(self._client.encrypt, Plaintext=data_key, KeyId=key_id, EncryptionContext=dict(context))
        return bytes(answer["CiphertextBlob"])

    def unwrap(self, *, wrapped: bytes, key_id: str, context: Mapping[str, str]) -> bytes:
        """Return the data key."""
        if key_id not in self._keys:
            raise SealBroken(f"VAULT_KEYS has no key {key_id}")
        if not wrapped:
            raise SealBroken("the sealed value has no data key")
        answer = self._ask(self._client.decrypt, CiphertextBlob=wrapped, KeyId=key_id, EncryptionContext=dict(context))
        return bytes(answer["Plaintext"])

    def add_key(self, *, now: datetime) -> str:
        """Refuse: KMS makes keys."""
        raise KeyRingError("make the new key in AWS KMS, put it first in VAULT_KEYS and keep the old one behind it")

    def drop_key(self, *, key_id: str) -> None:
        """Refuse: the setting says which keys open."""
        raise KeyRingError(f"take {key_id} out of VAULT_KEYS, then disable it in AWS KMS")

    def _ask(self, call: Any, **arguments: object) -> Any:
        try:
            return call(**arguments)
        except ClientError as error:
            raise _verdict(error, str(arguments["KeyId"])) from error
        except BotoCoreError as error:
            raise KeyServiceDown(f"AWS KMS does not answer: {type(error).__name__}") from error


def _verdict(error: ClientError, key_id: str) -> KeyRingError | SealBroken:
    code = error.response.get("Error", {}).get("Code", "")
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    if code in BROKEN:
        return SealBroken(f"a data key wrapped by {key_id} does not open for this row")
    if code in DOWN or status >= SERVER_ERROR:
        return KeyServiceDown(f"AWS KMS cannot answer now: {code or status}")
    return KeyRingError(f"AWS KMS refuses key {key_id}: {code}")
