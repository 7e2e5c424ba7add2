"""Stops asking a broker that does not answer: one breaker per account and class of call, shared through Redis.

Five failures within 30 s open it. After a back-off of 5, 10, 20, 40, then 60 s one caller of all processes may probe;
two good probes close it, a bad one doubles the back-off. Only silence, broken connections and 5xx count: an answer that
says no is an answer. Where Redis rests the process goes on by itself from the state it saw last.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final
from uuid import uuid4

import structlog

from accounts.errors import BrokerRests
from accounts.shared import Resting, SharedScripts
from kite.errors import Evidence, KiteError, OutcomeUnknown, Unavailable
from kite.limits import CallClass

log = structlog.get_logger(__name__)

FAILURES: Final = 5
WINDOW_SECONDS: Final = 30.0
BACK_OFF_SECONDS: Final = (5.0, 10.0, 20.0, 40.0, 60.0)
GOOD_PROBES: Final = 2
# A prober that died gives its turn back after this time: longer than any call may take.
PROBE_SECONDS: Final = 15.0
SPREAD: Final = 0.2
HISTORY: Final = "breaker:history"
HISTORY_LENGTH: Final = 10_000
COUNTED: Final = (Unavailable, OutcomeUnknown)

# KEYS: state, probe. ARGV: a token of the caller, milliseconds a probe may take.
ENTER: Final = """
local state = redis.call('HGET', KEYS[1], 'state')
if not state then return {'closed', 0} end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local wait = tonumber(redis.call('HGET', KEYS[1], 'until')) - now
if wait > 0 then return {'open', wait} end
if redis.call('SET', KEYS[2], ARGV[1], 'NX', 'PX', ARGV[2]) then return {'probe', 0} end
return {'open', math.max(redis.call('PTTL', KEYS[2]), 1)}
"""
# KEYS: state, probe, failures, history. ARGV: token, account, class, reason, failures, window, good probes, spread,
# history length, back-offs.
FAIL: Final = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local step
if redis.call('EXISTS', KEYS[1]) == 1 then
  if redis.call('GET', KEYS[2]) ~= ARGV[1] then return {'', 0} end
  step = tonumber(redis.call('HGET', KEYS[1], 'step')) + 1
else
  redis.call('LPUSH', KEYS[3], now)
  redis.call('LTRIM', KEYS[3], 0, ARGV[5] - 1)
  redis.call('PEXPIRE', KEYS[3], ARGV[6])
  local oldest = redis.call('LINDEX', KEYS[3], ARGV[5] - 1)
  if not oldest or now - oldest > tonumber(ARGV[6]) then return {'', 0} end
  step = 0
end
local wait = math.floor(tonumber(ARGV[math.min(10 + step, #ARGV)]) * tonumber(ARGV[8]))
redis.call('HSET', KEYS[1], 'state', 'open', 'until', now + wait, 'step', step, 'good', 0)
redis.call('PEXPIRE', KEYS[1], wait + 600000)
redis.call('DEL', KEYS[2], KEYS[3])
redis.call('XADD', KEYS[4], 'MAXLEN', '~', ARGV[9], '*', 'account', ARGV[2], 'class', ARGV[3], 'state', 'open',
  'reason', ARGV[4], 'milliseconds', wait)
return {'open', wait}
"""
SUCCEED: Final = """
if redis.call('GET', KEYS[2]) ~= ARGV[1] then return {'', 0} end
redis.call('DEL', KEYS[2])
local good = redis.call('HINCRBY', KEYS[1], 'good', 1)
if good < tonumber(ARGV[7]) then return {'', 0} end
redis.call('DEL', KEYS[1], KEYS[3])
redis.call('XADD', KEYS[4], 'MAXLEN', '~', ARGV[9], '*', 'account', ARGV[2], 'class', ARGV[3], 'state', 'closed',
  'reason', ARGV[4], 'milliseconds', 0)
return {'closed', 0}
"""
GIVE_BACK: Final = "if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end return 0"


OPENED: Final = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local waits = {}
for place, key in ipairs(KEYS) do
  local till = redis.call('HGET', key, 'until')
  waits[place] = till and math.max(tonumber(till) - now, 0) or -1
end
return waits
"""
TAKE_HISTORY: Final = "return redis.call('XRANGE', KEYS[1], '-', '+', 'COUNT', ARGV[1])"
FORGET_HISTORY: Final = "return redis.call('XDEL', KEYS[1], unpack(ARGV))"
HISTORY_AT_ONCE: Final = 200


class State(StrEnum):
    """What a caller is told."""

    CLOSED = "closed"
    OPEN = "open"
    PROBE = "probe"


@dataclass(slots=True)
class Local:
    """What one process knows of one breaker while Redis rests."""

    failures: deque[float] = field(default_factory=lambda: deque(maxlen=FAILURES))
    until: float = 0.0
    step: int = -1
    good: int = 0
    probing: bool = False

    @property
    def is_open(self) -> bool:
        """Say whether callers are held back."""
        return self.step >= 0


@dataclass(frozen=True, slots=True)
class Change:
    """One opening or closing, as Redis keeps it until it is written down."""

    number: str
    account_id: str
    call_class: str
    state: str
    reason: str
    seconds: float


Name = tuple[str, CallClass]


class Breaker:
    """The breakers of all accounts, as one process sees them. Safe to share between threads."""

    def __init__(self, *, scripts: SharedScripts, clock: Callable[[], float] = time.monotonic) -> None:
        self._scripts = scripts
        self._clock = clock
        self._lock = threading.Lock()
        self._local: dict[Name, Local] = {}
        self._probes = threading.local()

    def enter(self, *, account_id: str, call_class: CallClass) -> State:
        """Return CLOSED or PROBE, whose outcome must be told; raises BrokerRests with the seconds to wait."""
        name = (account_id, call_class)
        token = uuid4().hex
        try:
            told, wait = self._scripts.run(ENTER, keys=_keys(name)[:2], args=[token, int(PROBE_SECONDS * 1000)])
            state, seconds = State(told.decode()), int(wait) / 1000
            self._follow(name, state, seconds)
        except Resting:
            state, seconds = self._enter_alone(name)
        if state is State.OPEN:
            raise _rests(call_class, seconds)
        self._mine()[name] = token if state is State.PROBE else ""
        return state

    def is_open(self, *, account_id: str, call_class: CallClass) -> bool:
        """Say whether callers are held back or only probe; takes no turn."""
        try:
            return bool(
                self._scripts.run(
                    "return redis.call('EXISTS', KEYS[1])", keys=_keys((account_id, call_class))[:1], args=[]
                )
            )
        except Resting:
            with self._lock:
                return self._of((account_id, call_class)).is_open

    def leave(self, *, account_id: str, call_class: CallClass, error: KiteError | None) -> None:
        """Take in how the call that was let in ended."""
        name = (account_id, call_class)
        token = self._mine().pop(name, "")
        failed = isinstance(error, COUNTED)
        if not failed and not token:
            return
        reason = f"{error.code}: {error.message}"[:200] if failed and error is not None else "the broker answers again"
        try:
            args: list[str | float] = [
                token,
                account_id,
                call_class,
                reason,
                FAILURES,
                int(WINDOW_SECONDS * 1000),
                GOOD_PROBES,
            ]
            args += [_spread(), HISTORY_LENGTH, *(int(seconds * 1000) for seconds in BACK_OFF_SECONDS)]
            told, wait = self._scripts.run(FAIL if failed else SUCCEED, keys=_keys(name), args=args)
            changed, seconds = told.decode(), int(wait) / 1000
        except Resting:
            changed, seconds = self._leave_alone(name, failed=failed, probed=bool(token))
        if changed:
            self._follow(name, State(changed), seconds)
            level = log.warning if changed == State.OPEN else log.info
            level(
                f"accounts.breaker.{changed}", account_id=account_id, calls=call_class, reason=reason, seconds=seconds
            )

    def give_back(self, *, account_id: str, call_class: CallClass) -> None:
        """Return a probe that was not made."""
        name = (account_id, call_class)
        token = self._mine().pop(name, "")
        if not token:
            return
        try:
            self._scripts.run(GIVE_BACK, keys=[_keys(name)[1]], args=[token])
        except Resting:
            with self._lock:
                self._of(name).probing = False

    def _mine(self) -> dict[Name, str]:
        """Return the calls of this thread that are on their way, with the token of a probe."""
        if not hasattr(self._probes, "held"):
            self._probes.held = {}
        held: dict[Name, str] = self._probes.held
        return held

    def _of(self, name: Name) -> Local:
        return self._local.setdefault(name, Local())

    def _follow(self, name: Name, state: State, seconds: float) -> None:
        """Remember what Redis said, for the time when it rests."""
        with self._lock:
            if state is State.CLOSED:
                self._local.pop(name, None)
            elif state is State.OPEN:
                local = self._of(name)
                local.step, local.until, local.probing = max(local.step, 0), self._clock() + seconds, False

    def _enter_alone(self, name: Name) -> tuple[State, float]:
        with self._lock:
            local, now = self._of(name), self._clock()
            if not local.is_open:
                return State.CLOSED, 0.0
            if now < local.until:
                return State.OPEN, local.until - now
            if local.probing:
                return State.OPEN, 1.0
            local.probing = True
            return State.PROBE, 0.0

    def _leave_alone(self, name: Name, *, failed: bool, probed: bool) -> tuple[str, float]:
        with self._lock:
            local, now = self._of(name), self._clock()
            if probed:
                local.probing = False
            if failed:
                return self._fail_alone(local, now, probed=probed)
            local.good += 1
            return (State.CLOSED.value, 0.0) if local.good >= GOOD_PROBES else ("", 0.0)

    def _fail_alone(self, local: Local, now: float, *, probed: bool) -> tuple[str, float]:
        local.failures.append(now)
        often = len(local.failures) == FAILURES and now - local.failures[0] <= WINDOW_SECONDS
        if not probed and (local.is_open or not often):
            return "", 0.0
        local.step, local.good = min(local.step + 1, len(BACK_OFF_SECONDS) - 1), 0
        local.failures.clear()
        return State.OPEN.value, BACK_OFF_SECONDS[local.step]


def opened(*, scripts: SharedScripts, account_ids: Sequence[str]) -> dict[Name, float]:
    """Return the breakers that are not closed, with the seconds until somebody may probe; raises Resting."""
    names = [(account_id, call_class) for account_id in account_ids for call_class in CallClass]
    waits = scripts.run(OPENED, keys=[_keys(name)[0] for name in names], args=[])
    return {name: int(wait) / 1000 for name, wait in zip(names, waits, strict=True) if int(wait) >= 0}


def take_history(*, scripts: SharedScripts) -> list[Change]:
    """Return the oldest changes that nobody has written down; raises Resting."""
    return [_change(*row) for row in scripts.run(TAKE_HISTORY, keys=[HISTORY], args=[HISTORY_AT_ONCE])]


def forget_history(changes: Sequence[Change], *, scripts: SharedScripts) -> None:
    """Let go of changes that are written down; raises Resting."""
    if changes:
        scripts.run(FORGET_HISTORY, keys=[HISTORY], args=[change.number for change in changes])


def state_key(*, account_id: str, call_class: CallClass) -> str:
    """Return where Redis keeps the state of one breaker."""
    return _keys((account_id, call_class))[0]


def _change(number: bytes, pairs: Sequence[bytes]) -> Change:
    values = {pairs[at].decode(): pairs[at + 1].decode("utf-8", "replace") for at in range(0, len(pairs), 2)}
    return Change(
        number=number.decode(),
        account_id=values["account"],
        call_class=values["class"],
        state=values["state"],
        reason=values["reason"],
        seconds=int(values["milliseconds"]) / 1000,
    )


def _keys(name: Name) -> list[str]:
    start = f"breaker:{name[0]}:{name[1]}"
    return [f"{start}:state", f"{start}:probe", f"{start}:failures", HISTORY]


def _spread() -> float:
    """Vary the back-off by a fifth: the clock's own digits are random enough for that."""
    return 1 - SPREAD + 2 * SPREAD * (time.monotonic_ns() // 1000 % 1000) / 1000


def _rests(call_class: CallClass, seconds: float) -> BrokerRests:
    return BrokerRests(
        f"the broker did not answer {call_class} calls of this account: nobody asks it for {seconds:.1f} s",
        evidence=Evidence(method="", path=call_class),
        retry_after=seconds,
    )
