"""How fast the broker may be asked: one schedule per API key and class of call, shared through Redis.

GCRA on Redis's own clock. A caller books the next free slot and waits for it, so that callers are served in the order
they came. Where Redis does not answer in 100 ms the process keeps a schedule of its own for a while: the broker's
limit may then be met from several processes at once, and its 429 is the last guard.
"""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from accounts.errors import BudgetSpent
from accounts.shared import Resting, SharedScripts
from kite.errors import Evidence
from kite.limits import HISTORICAL, OTHERS, QUOTES, CallClass, Rate

USED_SHARE: Final = 0.8
LONGEST_WAIT: Final = 2.0
MICROSECONDS: Final = 1_000_000

BOOK_SLOT: Final = """
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local interval, tolerance, longest = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local free = math.max(tonumber(redis.call('GET', KEYS[1]) or 0), now)
local wait = math.max(free - tolerance - now, 0)
if wait > longest then
  return -wait
end
free = free + interval
redis.call('SET', KEYS[1], string.format('%.0f', free), 'PX', math.ceil((free - now) / 1000) + 1000)
return wait
"""


LOOK: Final = """
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
return math.max(tonumber(redis.call('GET', KEYS[1]) or 0) - tonumber(ARGV[1]) - now, 0)
"""
LOOK_AHEAD: Final = """
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local ahead = {}
for place, key in ipairs(KEYS) do
  ahead[place] = math.max(tonumber(redis.call('GET', key) or 0) - now, 0)
end
return ahead
"""


@dataclass(frozen=True, slots=True)
class Pace:
    """One slot every `interval` microseconds, and how much earlier a burst may come."""

    interval: int
    tolerance: int


def pace_of(rate: Rate, *, burst: int) -> Pace:
    """Return the pace that uses our share of a published limit."""
    interval = round(rate.seconds * MICROSECONDS / (rate.calls * USED_SHARE))
    return Pace(interval, interval * (burst - 1))


PACES: Final[Mapping[CallClass, Pace]] = {
    CallClass.QUOTE: pace_of(QUOTES, burst=1),
    CallClass.HISTORICAL: pace_of(HISTORICAL, burst=1),
    CallClass.OTHER: pace_of(OTHERS, burst=2),
}


def per_second(call_class: CallClass) -> int:
    """Return how many calls of the class may be booked within a second, at least one."""
    return max(1, MICROSECONDS // PACES[call_class].interval)


def booked(*, scripts: SharedScripts, api_keys: Sequence[str]) -> dict[tuple[str, CallClass], int]:
    """Return how many calls are booked ahead by API key and class; raises Resting."""
    names = [(key, call_class) for key in dict.fromkeys(api_keys) for call_class in PACES]
    ahead = scripts.run(LOOK_AHEAD, keys=[_key(*name) for name in names], args=[])
    return {name: -(-int(each) // PACES[name[1]].interval) for name, each in zip(names, ahead, strict=True)}


class CallBudget:
    """Books slots for one process. Safe to share between threads."""

    def __init__(
        self,
        *,
        scripts: SharedScripts,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._scripts = scripts
        self._sleep = sleep
        self._clock = clock
        self._lock = threading.Lock()
        self._local: dict[str, int] = {}

    def take(self, *, api_key: str, call_class: CallClass, longest_wait: float = LONGEST_WAIT) -> None:
        """Return when the call may leave; raises BudgetSpent where that is further away than `longest_wait` seconds."""
        wait = self._slot(_key(api_key, call_class), PACES[call_class], int(longest_wait * MICROSECONDS))
        if wait < 0:
            raise BudgetSpent(
                f"the broker's limit on {call_class} calls leaves no room for {-wait / MICROSECONDS:.1f} s",
                evidence=Evidence(method="", path=call_class),
                retry_after=-wait / MICROSECONDS,
            )
        if wait > 0:
            self._sleep(wait / MICROSECONDS)

    def wait_of(self, *, api_key: str, call_class: CallClass) -> float:
        """Return the seconds a call made now would wait; books nothing."""
        pace = PACES[call_class]
        try:
            wait = self._scripts.run(LOOK, keys=[_key(api_key, call_class)], args=[pace.tolerance])
        except Resting:
            with self._lock:
                free = self._local.get(_key(api_key, call_class), 0)
            wait = free - pace.tolerance - int(self._clock() * MICROSECONDS)
        return max(int(wait), 0) / MICROSECONDS

    def _slot(self, key: str, pace: Pace, longest: int) -> int:
        try:
            return int(self._scripts.run(BOOK_SLOT, keys=[key], args=[pace.interval, pace.tolerance, longest]))
        except Resting:
            return self._local_slot(key, pace, longest)

    def _local_slot(self, key: str, pace: Pace, longest: int) -> int:
        now = int(self._clock() * MICROSECONDS)
        with self._lock:
            free = max(self._local.get(key, 0), now)
            wait = max(free - pace.tolerance - now, 0)
            if wait > longest:
                return -wait
            self._local[key] = free + pace.interval
            return wait


def _key(api_key: str, call_class: CallClass) -> str:
    return f"budget:{api_key}:{call_class}"
