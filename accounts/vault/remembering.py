"""Keeps unwrapped data keys for a quarter of an hour: an outage does not stop trading, a revoked key soon does."""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import structlog

from accounts.errors import KeyRingError, KeyServiceDown, SealBroken
from accounts.vault.envelope import associated_data
from accounts.vault.provider import KeyProvider

log = structlog.get_logger(__name__)

LONGEST_SECONDS: Final = 900.0
FRESH_SECONDS: Final = 300.0
# While the service is down, a process asks it this seldom for keys it still holds.
PAUSE_SECONDS: Final = 30.0
MOST_KEYS: Final = 4096

Held = tuple[str, bytes, bytes]


@dataclass(slots=True)
class Kept:
    """A data key, when it was unwrapped, and when to ask for it again."""

    data_key: bytes
    since: float
    ask_at: float


class Remembering:
    """A provider before another one. Safe to share between threads.

    After five minutes a key is asked for again; a service that does not answer is given until the fifteenth minute,
    one that refuses is believed at once.
    """

    def __init__(self, provider: KeyProvider, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._provider = provider
        self._clock = clock
        self._lock = threading.Lock()
        self._kept: OrderedDict[Held, Kept] = OrderedDict()

    def writing_key_id(self) -> str:
        """Ask the provider."""
        return self._provider.writing_key_id()

    def key_ids(self) -> Sequence[str]:
        """Ask the provider."""
        return self._provider.key_ids()

    def wrap(self, *, data_key: bytes, key_id: str, context: Mapping[str, str]) -> bytes:
        """Ask the provider."""
        return self._provider.wrap(data_key=data_key, key_id=key_id, context=context)

    def unwrap(self, *, wrapped: bytes, key_id: str, context: Mapping[str, str]) -> bytes:
        """Return the data key from memory, or ask the provider."""
        name = (key_id, wrapped, associated_data(context))
        now = self._clock()
        kept = self._of(name, now)
        if kept is not None and now < kept.ask_at:
            return kept.data_key
        try:
            data_key = self._provider.unwrap(wrapped=wrapped, key_id=key_id, context=context)
        except KeyServiceDown as error:
            if kept is None:
                raise
            kept.ask_at = now + PAUSE_SECONDS
            log.warning(
                "accounts.vault.down", key=key_id, error=str(error), holds_for=kept.since + LONGEST_SECONDS - now
            )
            return kept.data_key
        except (KeyRingError, SealBroken):
            self._forget(name)
            raise
        self._keep(name, Kept(data_key, now, now + FRESH_SECONDS))
        return data_key

    def add_key(self, *, now: datetime) -> str:
        """Ask the provider."""
        return self._provider.add_key(now=now)

    def drop_key(self, *, key_id: str) -> None:
        """Forget everything and ask the provider."""
        with self._lock:
            self._kept.clear()
        self._provider.drop_key(key_id=key_id)

    def _of(self, name: Held, now: float) -> Kept | None:
        with self._lock:
            kept = self._kept.get(name)
            if kept is not None and now - kept.since >= LONGEST_SECONDS:
                del self._kept[name]
                return None
            return kept

    def _keep(self, name: Held, kept: Kept) -> None:
        with self._lock:
            self._kept[name] = kept
            self._kept.move_to_end(name)
            if len(self._kept) > MOST_KEYS:
                self._kept.popitem(last=False)

    def _forget(self, name: Held) -> None:
        with self._lock:
            self._kept.pop(name, None)
