"""Short scripts in Redis that several processes agree by, and that no caller waits for."""

import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, Final

import structlog
from redis import Redis
from redis.backoff import NoBackoff
from redis.commands.core import Script
from redis.exceptions import RedisError
from redis.retry import Retry

log = structlog.get_logger(__name__)

TIMEOUT_SECONDS: Final = 0.1
REST_SECONDS: Final = 1.0


class Resting(Exception):
    """Redis did not answer just now: decide without it."""


class SharedScripts:
    """Runs scripts for one process. Safe to share between threads.

    Where Redis does not answer in 100 ms nobody asks it again for a second, so that one caller pays the time-out, once.
    """

    def __init__(
        self,
        *,
        url: str,
        clock: Callable[[], float] = time.monotonic,
        timeout_seconds: float = TIMEOUT_SECONDS,
    ) -> None:
        self._redis = Redis.from_url(
            url,
            socket_timeout=timeout_seconds,
            socket_connect_timeout=timeout_seconds,
            retry=Retry(NoBackoff(), 0),
            retry_on_error=[],
        )
        self._clock = clock
        self._lock = threading.Lock()
        self._scripts: dict[str, Script] = {}
        self._rests_until = float("-inf")

    def run(self, script: str, *, keys: Sequence[str], args: Sequence[str | float]) -> Any:
        """Return the script's answer; raises Resting."""
        if self._clock() < self._rests_until:
            raise Resting
        try:
            return self._script(script)(keys=list(keys), args=list(args))
        except RedisError as error:
            self._rests_until = self._clock() + REST_SECONDS
            log.warning("accounts.shared.redis_unavailable", error=type(error).__name__, rest_seconds=REST_SECONDS)
            raise Resting from error

    def close(self) -> None:
        """Drop the connections."""
        self._redis.close()

    def _script(self, text: str) -> Script:
        with self._lock:
            return self._scripts.setdefault(text, self._redis.register_script(text))
