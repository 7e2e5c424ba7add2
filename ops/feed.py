"""What the feeds say of themselves: per account for the matrix, summed for the panel."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import cast

from market_data.bus import sync_bus
from market_data.errors import FeedDown
from market_data.sharding import PER_ACCOUNT
from ops.pulse import Pulse, Report, moment, number
from ops.standing import Shard, SlowClient
from ops.state import AccountFeed, Fact, Feed

OPEN = frozenset({"open", "suspect"})
# An instrument without a tick for this long is not counted as live.
LIVE_SECONDS = 60.0
SLOWEST = 5


def by_account(reports: Mapping[str, Report]) -> dict[str, AccountFeed]:
    """Return what the feeds report of each account, by account id."""
    return {
        str(part["account_id"]): _account(part, said_at=moment(report, "at"))
        for report in _feeds(reports)
        for part in _parts(report, "accounts")
    }


def read(*, pulse: Pulse, now: datetime) -> Feed:
    """Return the sum over all shards."""
    reports = list(_feeds(pulse.reports))
    parts = [part for report in reports for part in _parts(report, "accounts")]
    # A dead Redis is asked once a look, not once a question: the kill switch must stay quick.
    received, trouble = ([], pulse.bus) if pulse.bus else _received()
    return Feed(
        ticks_per_second=round(_sum(parts, "ticks_per_second"), 1),
        wanted=int(max((number(report, "wanted") or 0 for report in reports), default=0)),
        live=sum(at > now.timestamp() - LIVE_SECONDS for at in received),
        newest_at=moment({"at": max(received, default=0.0)}, "at"),
        facts=(*_facts(reports, parts), *_of_clients(list(_hubs(pulse.reports)), counts_of(reports))),
        trouble=trouble,
        shards=tuple(_shard(report) for report in reports),
        slowest=_slowest(pulse.reports),
    )


def _received() -> tuple[list[float], str]:
    try:
        received: list[float] = sync_bus().latest()["received_at"].tolist()
    except FeedDown as error:
        return [], str(error)
    return received, ""


def _facts(reports: list[Report], parts: list[Report]) -> Iterator[Fact]:
    lags = [lag for part in parts if (lag := _lag(part, "p99")) is not None]
    counts = counts_of(reports)
    lines = [line for part in parts for line in _parts(part, "connections")]
    yield Fact(name="Sockets open", value=sum(line.get("phase") in OPEN for line in lines))
    yield Fact(name="Lag p99", value=max(lags, default=None), unit="ms")
    yield Fact(name="Without room", value=_sum(reports, "unplaced"))
    yield Fact(name="Open gaps", value=_sum(reports, "open_gaps"))
    yield Fact(name="Batches waiting", value=_sum(reports, "backlog_batches"))
    yield Fact(name="Batches lost", value=_sum(reports, "lost_batches"))
    yield Fact(name="Packets skipped", value=_sum(counts, "skipped") + _sum(counts, "truncated"))


def _of_clients(hubs: list[Report], counts: list[Report]) -> Iterator[Fact]:
    told = counts_of(hubs)
    yield Fact(name="Values conflated", value=_sum(counts, "conflated") + _sum(told, "conflated"))
    yield Fact(name="Stale quotes", value=max((number(hub, "stale_quotes") or 0.0 for hub in hubs), default=None))
    yield Fact(name="Clients", value=_sum(hubs, "clients") if hubs else None)
    yield Fact(name="Closed as too slow", value=_sum(told, "slow_closed") if hubs else None)


def counts_of(reports: Iterable[Report]) -> list[Report]:
    """Return what each report counted."""
    return [cast("Report", report.get("counts") or {}) for report in reports]


def _shard(report: Report) -> Shard:
    parts = list(_parts(report, "accounts"))
    middles = [lag for part in parts if (lag := _lag(part, "p50")) is not None]
    lates = [lag for part in parts if (lag := _lag(part, "p99")) is not None]
    return Shard(
        name=f"shard {report.get('shard')}",
        ticks_per_second=round(_sum(parts, "ticks_per_second"), 1),
        lag_p50_ms=max(middles, default=None),
        lag_p99_ms=max(lates, default=None),
        heard_at=moment(report, "at"),
    )


def _slowest(reports: Mapping[str, Report]) -> tuple[SlowClient, ...]:
    found = [
        SlowClient(
            label=str(part.get("label") or "unnamed"),
            waits_seconds=number(part, "waits_seconds") or 0.0,
            skipped=int(number(part, "skipped") or 0),
            heard_at=moment(hub, "at"),
        )
        for hub in _hubs(reports)
        for part in _parts(hub, "slowest")
    ]
    return tuple(sorted(found, key=lambda one: (one.waits_seconds, one.skipped), reverse=True)[:SLOWEST])


def _hubs(reports: Mapping[str, Report]) -> Iterator[Report]:
    return (report for name, report in sorted(reports.items()) if name.startswith("hub:"))


def _account(part: Report, *, said_at: datetime | None) -> AccountFeed:
    lines = list(_parts(part, "connections"))
    open_ = sum(line.get("phase") in OPEN for line in lines)
    age = number(part, "last_tick_age")
    return AccountFeed(
        state="open" if open_ else _trouble(lines),
        open=open_,
        tokens=int(number(part, "tokens") or 0),
        capacity=PER_ACCOUNT,
        ticks_per_second=number(part, "ticks_per_second") or 0.0,
        last_frame_at=said_at - timedelta(seconds=age) if said_at is not None and age is not None else None,
        lag_p50_ms=_lag(part, "p50"),
        lag_p99_ms=_lag(part, "p99"),
    )


def _trouble(lines: list[Report]) -> str:
    if not lines:
        return "no socket"
    phase, cause = str(lines[0].get("phase")), str(lines[0].get("cause") or "")
    return f"{phase}: {cause}" if cause else phase


def _feeds(reports: Mapping[str, Report]) -> Iterator[Report]:
    return (report for name, report in sorted(reports.items()) if name.startswith("feed:"))


def _parts(report: Report, name: str) -> Iterator[Report]:
    parts = report.get(name)
    return (part for part in parts if isinstance(part, Mapping)) if isinstance(parts, list) else iter(())


def _lag(part: Report, name: str) -> float | None:
    lag = part.get("lag_ms")
    return number(lag, name) if isinstance(lag, Mapping) else None


def _sum(reports: Iterable[Report], name: str) -> float:
    return sum(number(report, name) or 0.0 for report in reports)
