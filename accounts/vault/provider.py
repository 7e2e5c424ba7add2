"""What a key provider must do: wrap and unwrap data keys under named keys that never leave it."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Protocol


class KeyProvider(Protocol):
    """Wraps data keys; `context` is bound to the wrapping and must be the same at unwrapping.

    Several keys open, one seals. Every method raises KeyRingError where the provider cannot be used as it stands, and
    KeyServiceDown, which is one of them, where it does not answer.
    """

    def writing_key_id(self) -> str:
        """Return the id of the key that new wrappings use."""

    def key_ids(self) -> Sequence[str]:
        """Return the ids of every key that opens, the writing one among them."""

    def wrap(self, *, data_key: bytes, key_id: str, context: Mapping[str, str]) -> bytes:
        """Return `data_key` wrapped under `key_id`."""

    def unwrap(self, *, wrapped: bytes, key_id: str, context: Mapping[str, str]) -> bytes:
        """Return the data key; raises SealBroken where key or context is another one."""

    def add_key(self, *, now: datetime) -> str:
        """Make a new key the writing one and return its id; raises KeyRingError where keys are made elsewhere."""

    def drop_key(self, *, key_id: str) -> None:
        """Open nothing with this key any more; raises KeyRingError where that is decided elsewhere."""
