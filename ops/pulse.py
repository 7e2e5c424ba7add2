"""The platform's processes by what each was last heard to say, and the feed's own numbers."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from django.conf import settings

from market_data.bus import sync_bus
from market_data.errors import FeedDown
from ops.state import Process

QUEUES = ("commands", "orders", "greeks", "default")
# A report older than this is a process that hangs; reports vanish after ten seconds.
OLD_SECONDS, DEAD_SECONDS = 6.0, 12.0
BACKLOG = {"commands": 50, "orders": 50, "greeks": 20, "default": 200}
# Reports of work done, not of a process.
CALCULATIONS = frozenset({"greeks"})
Report = Mapping[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pulse:
    """What was heard; `bus` says why nothing was, where Redis does not answer."""

    reports: Mapping[str, Report]
    backlog: Mapping[str, int]
    bus: str = ""


def listen() -> Pulse:
    """Return every process's report and the length of every queue."""
    bus = sync_bus()
    try:
        return Pulse(reports=bus.read_health(), backlog=bus.queue_lengths(QUEUES))
    except FeedDown as error:
        return Pulse(reports={}, backlog={}, bus=str(error))


def expected() -> tuple[str, ...]:
    """Return the processes a whole platform has, by the name each reports under."""
    feeds = tuple(f"feed:{shard}" for shard in range(settings.FEED_SHARDS))
    return (*feeds, "recorder", "beat", *(f"worker:{queue}" for queue in QUEUES))


def processes(*, pulse: Pulse) -> tuple[Process, ...]:
    """Return one line for each expected process, and for each that speaks besides."""
    others = sorted(set(pulse.reports) - set(expected()) - CALCULATIONS)
    return tuple(_process(name, pulse) for name in (*expected(), *others))


def _process(name: str, pulse: Pulse) -> Process:
    report = pulse.reports.get(name)
    heard_at = moment(report, "at")
    kind, _, queue = name.partition(":")
    waiting = pulse.backlog.get(queue, 0) if kind == "worker" else 0
    if report is None:
        word, tone = ("unheard", "bad") if not pulse.bus else ("unknown", "warn")
        detail = f"{waiting} tasks wait" if waiting else pulse.bus
    elif waiting > BACKLOG.get(queue, 0) > 0:
        word, tone, detail = f"{waiting} wait", "warn", "the queue grows faster than the worker empties it"
    else:
        word, tone, detail = "alive", "good", ""
    return Process(
        name=name, word=word, tone=tone, detail=detail, heard_at=heard_at, old=OLD_SECONDS, dead=DEAD_SECONDS
    )


def moment(report: Report | None, name: str) -> datetime | None:
    """Return the moment a report gives in epoch seconds."""
    value = (report or {}).get(name)
    return datetime.fromtimestamp(value, tz=UTC) if isinstance(value, int | float) and value > 0 else None


def number(report: Report | None, name: str) -> float | None:
    """Return a number of a report, None where it does not give one."""
    value = (report or {}).get(name)
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
