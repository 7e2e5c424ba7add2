"""What a key provider must do: wrap and unwrap data keys under named keys that never leave it."""

from collections.abc import Mapping
from typing import Protocol


class KeyProvider(Protocol):
    """Wraps data keys; `context` is bound to the wrapping and must be the same at unwrapping."""

    def writing_key_id(self) -> str:
        """Return the id of the key that new wrappings use."""

    def wrap(self, *, data_key: bytes, key_id: str, context: Mapping[str, str]) -> bytes:
        """Return `data_key` wrapped under `key_id`."""

    def unwrap(self, *, wrapped: bytes, key_id: str, context: Mapping[str, str]) -> bytes:
        """Return the data key; raises SealBroken where key or context is another one."""
