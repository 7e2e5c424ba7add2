"""The cruelty: faults by kind, user, route, count, probability and time window, drawn from a seed."""

from __future__ import annotations

import asyncio
import fnmatch
import itertools
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field

REQUEST_KINDS = {
    "connection_refused": "the connection is reset before the request is handled; without `user` the listener closes",
    "hang": "the request is read and never answered nor handled (`seconds`)",
    "http_429": "429 before the request is handled (`body`: json, html, untyped)",
    "http_5xx": "an error before the request is handled (`status`, `body`: html, json, untyped, empty)",
    "http_403": "403 before the request is handled (`error_type`, `message`)",
    "latency": "the request waits before it is handled (`seconds`, `jitter`)",
    "ip_not_registered": "403 PermissionException: no registered address",
}
ANSWER_KINDS = {
    "lost_answer": "the request is handled, the connection drops without an answer (`how`: drop, hang; `seconds`)",
    "accepted_then_5xx": "the request is handled, the answer is an error (`status`, `body`, `error_type`, `message`)",
    "late_answer": "the request is handled at once, the answer waits (`seconds`)",
    "truncated_json": "the request is handled, the body stops half-way",
    "no_content_type": "the request is handled, the answer has no Content-Type",
    "null_data": "the request is handled, `data` is null",
    "no_data": "the request is handled, there is no `data`",
}
SOCKET_KINDS = {
    "socket_half_open": "TCP stays, nothing is sent, pings are not answered",
    "socket_silent": "pings are answered, no data arrive (`heartbeat`: true keeps heartbeats)",
    "socket_drop": "open sockets end at once (`code`: close code, absent = 1006)",
    "socket_refused": "upgrades answer 403",
    "socket_slow": "every frame waits (`seconds`)",
    "socket_burst": "every frame is sent `times` times",
    "frame_truncated": "a data frame stops in the middle of a packet",
    "frame_empty": "a frame with no packets",
    "frame_unknown": "a packet of a length nobody knows",
    "update_lost": "an order update is not sent on the socket",
    "update_duplicated": "an order update is sent twice",
    "update_late": "an order update waits (`seconds`, or until the fault is cleared), so that later ones overtake it",
}
ORDER_KINDS = {
    "visibility_lag": "new orders are missing from the books for `seconds` of the exchange's clock",
    "stuck_validation": "orders stay in VALIDATION PENDING while the fault lasts",
    "cancel_refused": "cancels answer that the order is being processed",
}
ACCOUNT_KINDS = {"token_killed": "the user's sessions end now"}
KINDS = {**REQUEST_KINDS, **ANSWER_KINDS, **SOCKET_KINDS, **ORDER_KINDS, **ACCOUNT_KINDS}


@dataclass(slots=True)
class Fault:
    """One active fault; `count` None means until it ends."""

    number: int
    kind: str
    user: str | None = None
    route: str = "*"
    count: int | None = None
    probability: float = 1.0
    every: int = 1
    met: int = 0
    starts: float = 0.0
    ends: float | None = None
    params: dict[str, object] = field(default_factory=dict)
    hits: int = 0
    cleared: asyncio.Event = field(default_factory=asyncio.Event, repr=False, compare=False)

    def seconds(self, default: float = 1.0) -> float:
        return self.float_of("seconds", default)

    def text(self, name: str, default: str) -> str:
        return str(self.params.get(name, default))

    def float_of(self, name: str, default: float = 0.0) -> float:
        value = self.params.get(name, default)
        return float(value) if isinstance(value, int | float) else default

    def number_of(self, name: str, default: int) -> int:
        value = self.params.get(name, default)
        return value if isinstance(value, int) else default

    def is_active(self, now: float) -> bool:
        return self.starts <= now and (self.ends is None or now < self.ends) and self.count != 0

    def row(self, now: float) -> dict[str, object]:
        return {
            "id": self.number,
            "kind": self.kind,
            "user": self.user,
            "route": self.route,
            "count": self.count,
            "probability": self.probability,
            "every": self.every,
            "seconds_left": None if self.ends is None else round(max(self.ends - now, 0.0), 3),
            "params": self.params,
            "hits": self.hits,
        }


class Faults:
    """The active faults and the dice that decide."""

    def __init__(self, *, seed: int, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._random = random.Random(seed)
        self._monotonic = monotonic
        self._numbers = itertools.count(1)
        self._active: list[Fault] = []

    def add(self, spec: dict[str, object]) -> Fault:
        """Start a fault from its JSON; raise ValueError on what it does not know."""
        now = self._monotonic()
        known = {"kind", "user", "route", "count", "probability", "every", "duration", "after"}
        kind = str(spec.get("kind", ""))
        if kind not in KINDS:
            raise ValueError(f"unknown fault kind {kind!r}; known: {', '.join(sorted(KINDS))}")
        after, duration = _float(spec, "after", 0.0), spec.get("duration")
        fault = Fault(
            number=next(self._numbers),
            kind=kind,
            user=None if spec.get("user") is None else str(spec["user"]),
            route=str(spec.get("route") or "*"),
            count=None if spec.get("count") is None else int(_float(spec, "count", 1)),
            probability=_float(spec, "probability", 1.0),
            every=max(int(_float(spec, "every", 1)), 1),
            starts=now + after,
            ends=None if duration is None else now + after + _float(spec, "duration", 0.0),
            params={name: value for name, value in spec.items() if name not in known},
        )
        self._active.append(fault)
        return fault

    def clear(self, number: int | None = None) -> int:
        gone = [fault for fault in self._active if number in {None, fault.number}]
        self._active = [fault for fault in self._active if fault not in gone]
        for fault in gone:
            fault.cleared.set()
        return len(gone)

    def rows(self) -> list[dict[str, object]]:
        now = self._monotonic()
        self._active = [fault for fault in self._active if fault.ends is None or now < fault.ends]
        return [fault.row(now) for fault in self._active]

    def take(self, kind: str, *, user: str | None, route: str = "") -> Fault | None:
        """Return the first fault of `kind` that strikes here, spending one of its counts."""
        now = self._monotonic()
        for fault in self._active:
            if fault.kind != kind or not fault.is_active(now) or not _matches(fault, user, route):
                continue
            fault.met += 1
            if fault.met % fault.every or self._random.random() >= fault.probability:
                continue
            fault.hits += 1
            if fault.count is not None:
                fault.count -= 1
            return fault
        return None

    def holds(self, kind: str, *, user: str | None, route: str = "") -> Fault | None:
        """Return a fault that describes a lasting condition, without spending it."""
        now = self._monotonic()
        for fault in self._active:
            if fault.kind == kind and fault.is_active(now) and _matches(fault, user, route):
                return fault
        return None

    def draw(self, most: float) -> float:
        """Return seconds from none to `most`, from the seed."""
        return self._random.uniform(0.0, most)

    @property
    def is_quiet(self) -> bool:
        return not self._active


def _matches(fault: Fault, user: str | None, route: str) -> bool:
    return (fault.user is None or fault.user == user) and fnmatch.fnmatchcase(route, fault.route)


def _float(spec: dict[str, object], name: str, default: float) -> float:
    value = spec.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{name} must be a number, was {value!r}")
    return float(value)
