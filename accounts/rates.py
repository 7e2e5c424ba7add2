"""How fast one caller may ask us: GCRA in Redis by caller and class of request, refused rather than made to wait.

Where Redis does not answer in 100 ms each process counts for itself for a second: a limit stays a limit.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Final

import structlog
from django.conf import settings
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

log = structlog.get_logger(__name__)

REDIS_TIMEOUT: Final = 0.1
REDIS_REST: Final = 1.0
MICROSECONDS: Final = 1_000_000

ADMIT: Final = """
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local interval, burst = tonumber(ARGV[1]), tonumber(ARGV[2])
local free = math.max(tonumber(redis.call('GET', KEYS[1]) or 0), now)
local ahead = free - now
if ahead > interval * (burst - 1) then
  return {0, 0, ahead - interval * (burst - 1)}
end
free = free + interval
redis.call('SET', KEYS[1], string.format('%.0f', free), 'PX', math.ceil((free - now) / 1000) + 1000)
return {1, math.floor((interval * burst - (free - now)) / interval), free - now}
"""


@dataclass(frozen=True, slots=True)
class Allowance:
    """`per_second` requests sustained, and `burst` at once after a pause."""

    per_second: float
    burst: int

    @property
    def interval(self) -> int:
        """Microseconds between two requests at the sustained rate."""
        return round(MICROSECONDS / self.per_second)


@dataclass(frozen=True, slots=True)
class Answer:
    """Whether the request is let in, how many more may follow at once, and seconds until more (or all) may."""

    admitted: bool
    remaining: int
    reset_seconds: float


class RequestRates:
    """Counts requests for one process. Safe to share between threads."""

    def __init__(self, *, url: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._redis = Redis.from_url(
            url,
            socket_timeout=REDIS_TIMEOUT,
            socket_connect_timeout=REDIS_TIMEOUT,
            retry=Retry(NoBackoff(), 0),
            retry_on_error=[],
        )
        self._admit = self._redis.register_script(ADMIT)
        self._clock = clock
        self._lock = threading.Lock()
        self._local: dict[str, int] = {}
        self._redis_rests_until = float("-inf")

    def admit(self, *, caller: str, kind: str, allowance: Allowance) -> Answer:
        """Count one request of the caller and say whether it is let in."""
        key = f"rate:{caller}:{kind}"
        if self._clock() >= self._redis_rests_until:
            try:
                admitted, remaining, wait = self._admit(keys=[key], args=[allowance.interval, allowance.burst])
            except RedisError as error:
                self._redis_rests_until = self._clock() + REDIS_REST
                log.warning("accounts.rates.redis_unavailable", error=type(error).__name__, rest_seconds=REDIS_REST)
            else:
                return Answer(bool(admitted), int(remaining), int(wait) / MICROSECONDS)
        return self._count_here(key, allowance)

    def close(self) -> None:
        """Drop the connections."""
        self._redis.close()

    def _count_here(self, key: str, allowance: Allowance) -> Answer:
        now, interval, burst = int(self._clock() * MICROSECONDS), allowance.interval, allowance.burst
        with self._lock:
            ahead = max(self._local.get(key, 0), now) - now
            if ahead > interval * (burst - 1):
                return Answer(
                    admitted=False, remaining=0, reset_seconds=(ahead - interval * (burst - 1)) / MICROSECONDS
                )
            # What nobody asks about any more has run dry and counts as absent.
            self._local = {name: free for name, free in self._local.items() if free > now}
            self._local[key] = now + ahead + interval
        left = interval * burst - ahead - interval
        return Answer(admitted=True, remaining=left // interval, reset_seconds=(ahead + interval) / MICROSECONDS)


@cache
def _rates_at(url: str) -> RequestRates:
    return RequestRates(url=url)


def request_rates() -> RequestRates:
    """Return the process's counters."""
    return _rates_at(settings.REDIS_URL)
