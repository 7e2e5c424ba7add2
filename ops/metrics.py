"""The state of the floor in Prometheus's text format; every sample is something that was measured."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import cast

from ops.pulse import Pulse, Report, number
from ops.state import AccountRow, State

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
TRADING_LEVELS: Mapping[str, int] = {"ACTIVE": 0, "REDUCING": 1, "HALTED": 2}
ACCOUNT_LEVELS: Mapping[str, int] = {"active": 2, "degraded": 1}
COUNTED: Mapping[str, str] = {
    "frames": "Frames received from the broker since the feed started",
    "packets": "Packets decoded since the feed started",
    "skipped": "Packets of unknown length since the feed started",
    "truncated": "Frames cut short since the feed started",
    "withheld": "Values held back from the hubs under pressure since the feed started",
    "conflated": "Values replaced by newer ones while held back since the feed started",
}
HUB_COUNTED: Mapping[str, str] = {
    "frames": "Data frames sent since the web process started",
    "conflated": "Frames left out because a client could not take them since the web process started",
    "slow_closed": "Clients closed because they took nothing for 30 s since the web process started",
    "gaps": "Holes in a shard's sequence, mended, since the web process started",
    "quotes_stale": "Quotes that became stale since the web process started",
}
PRESSURE = "0 healthy, 1 warning, 2 critical, 3 overload"
Labels = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric family with its samples."""

    name: str
    kind: str
    text: str
    samples: tuple[tuple[Labels, float], ...] = field(default=())


def exposition(*, state: State, pulse: Pulse) -> str:
    """Return the page Prometheus reads."""
    return "".join(_written(metric) for metric in families(state=state, pulse=pulse) if metric.samples)


def families(*, state: State, pulse: Pulse) -> Iterator[Metric]:
    """Yield every family; one without a sample is not known now."""
    yield from _platform(state)
    yield from _accounts(state)
    yield from _feed(state, pulse)
    yield from _machinery(state, pulse)
    yield from _chains(state)


def _gauge(name: str, text: str, *samples: tuple[Labels, float | None]) -> Metric:
    known = tuple((labels, value) for labels, value in samples if value is not None)
    return Metric(name=f"ticker_{name}", kind="gauge", text=text, samples=known)


def _platform(state: State) -> Iterator[Metric]:
    yield _gauge("trading_state", "0 active, 1 reducing, 2 halted", ({}, TRADING_LEVELS[state.trading.state]))
    yield _gauge("halts_open", "Halts in force in any scope", ({}, len(state.trading.halts)))
    stages = [({"stage": stage.name.lower().replace(" ", "_")}, stage.count) for stage in state.orders.funnel]
    yield _gauge("orders", "Orders of the trading day by stage", *stages)
    yield _gauge("orders_unknown", "Orders whose fate at the broker is not known", ({}, state.orders.unknown))
    yield _gauge("instruments_listed", "Instruments in the list", ({}, state.instruments.listed))
    age = _age(state.at, state.instruments.synced_at)
    yield _gauge("instruments_age_seconds", "Age of the list of instruments", ({}, age))
    counts = {"red": 0, "amber": 0}
    for finding in state.findings:
        counts[finding.severity] += 1
    yield _gauge("findings", "What the Desk shows as wrong", *(({"severity": key}, n) for key, n in counts.items()))


def _accounts(state: State) -> Iterator[Metric]:
    rows = [({"account": label}, row) for label, row in state.accounts.items()]
    yield _gauge(
        "account_state",
        "2 active, 1 degraded, 0 out of use",
        *((labels, ACCOUNT_LEVELS.get(row.state, 0)) for labels, row in rows),
    )
    yield _gauge("session_active", "1 with a live token", *((labels, row.token.live) for labels, row in rows))
    yield _gauge(
        "token_expires_seconds",
        "Seconds until the access token dies",
        *((labels, _left(state.at, row)) for labels, row in rows),
    )
    yield _gauge("account_orders_open", "Orders at the broker", *((labels, row.orders.open) for labels, row in rows))
    used = [
        ({**labels, "window": part.window}, part.used / part.limit)
        for labels, row in rows
        for part in row.budget
        if row.places_orders and part.limit
    ]
    yield _gauge("order_budget_used_ratio", "Share of the allowed order calls that is used", *used)


def _feed(state: State, pulse: Pulse) -> Iterator[Metric]:
    feeds = [({"account": label}, row.feed) for label, row in state.accounts.items() if row.feed is not None]
    yield _gauge("ticks_per_second", "Packets a second over all accounts", ({}, state.feed.ticks_per_second))
    yield _gauge("instruments_wanted", "Instruments that somebody wants streamed", ({}, state.feed.wanted))
    yield _gauge("instruments_live", "Instruments that ticked within a minute", ({}, state.feed.live))
    yield _gauge("last_tick_age_seconds", "Age of the newest tick", ({}, _age(state.at, state.feed.newest_at)))
    yield _gauge("feed_sockets_open", "Open sockets", *((labels, feed.open) for labels, feed in feeds))
    yield _gauge(
        "feed_tokens", "Instruments on the account's sockets", *((labels, feed.tokens) for labels, feed in feeds)
    )
    lags = [
        ({**labels, "quantile": quantile}, None if lag is None else lag / 1000)
        for labels, feed in feeds
        for quantile, lag in (("0.5", feed.lag_p50_ms), ("0.99", feed.lag_p99_ms))
    ]
    yield _gauge("feed_lag_seconds", "From a frame's arrival to its publication", *lags)
    yield from _counters(pulse)


def _counters(pulse: Pulse) -> Iterator[Metric]:
    reports = [
        ({"shard": name.removeprefix("feed:")}, report)
        for name, report in sorted(pulse.reports.items())
        if name.startswith("feed:")
    ]
    for name, text in COUNTED.items():
        samples = tuple(
            (labels, number(cast("Report", report.get("counts") or {}), name) or 0.0) for labels, report in reports
        )
        yield Metric(name=f"ticker_feed_{name}_total", kind="counter", text=text, samples=samples)
    lost = tuple((labels, number(report, "lost_batches") or 0.0) for labels, report in reports)
    yield Metric("ticker_feed_batches_lost_total", "counter", "Batches that could not be published", lost)
    waiting = tuple((labels, number(report, "backlog_bytes") or 0.0) for labels, report in reports)
    yield Metric("ticker_feed_spool_bytes", "gauge", "Disk taken by batches that wait for Redis", waiting)
    yield Metric("ticker_feed_pressure_level", "gauge", PRESSURE, tuple(_levels(reports)))
    hubs = [
        ({"process": name.removeprefix("hub:")}, report)
        for name, report in sorted(pulse.reports.items())
        if name.startswith("hub:")
    ]
    yield Metric("ticker_hub_pressure_level", "gauge", PRESSURE, tuple(_levels(hubs)))
    for name, text in HUB_COUNTED.items():
        samples = tuple(
            (labels, number(cast("Report", report.get("counts") or {}), name) or 0.0) for labels, report in hubs
        )
        yield Metric(name=f"ticker_hub_{name}_total", kind="counter", text=text, samples=samples)


def _levels(reports: Iterable[tuple[Labels, Report]]) -> Iterator[tuple[Labels, float]]:
    for labels, report in reports:
        level = number(cast("Report", report.get("pressure") or {}), "level")
        if level is not None:
            yield labels, level


def _machinery(state: State, pulse: Pulse) -> Iterator[Metric]:
    rows = [({"process": process.name}, process) for process in state.processes]
    yield _gauge("process_up", "1 when the process was heard", *((labels, row.tone == "good") for labels, row in rows))
    yield _gauge(
        "process_silent_seconds",
        "Seconds since the process was heard",
        *((labels, _age(state.at, row.heard_at)) for labels, row in rows),
    )
    depths = [({"queue": name}, depth) for name, depth in sorted(pulse.backlog.items())]
    yield _gauge("queue_depth", "Tasks that wait", *depths)


def _chains(state: State) -> Iterator[Metric]:
    rows = [({"underlying": row.underlying, "expiry": row.expiry}, row) for row in state.greeks.chains]
    yield _gauge(
        "chain_age_seconds", "Age of the chain's Greeks", *((key, _age(state.at, row.computed_at)) for key, row in rows)
    )
    yield _gauge("chain_solved", "Options of the chain with a volatility", *((key, row.solved) for key, row in rows))
    yield _gauge("chain_atm_volatility", "Annual volatility at the money", *((key, row.atm_iv) for key, row in rows))


def _age(now: datetime, at: datetime | None) -> float | None:
    return None if at is None else max(0.0, (now - at).total_seconds())


def _left(now: datetime, row: AccountRow) -> float | None:
    expires_at = row.token.expires_at
    return None if expires_at is None else (expires_at - now).total_seconds()


def _written(metric: Metric) -> str:
    head = f"# HELP {metric.name} {metric.text}.\n# TYPE {metric.name} {metric.kind}\n"
    return head + "".join(f"{metric.name}{_braced(labels)} {float(value):.10g}\n" for labels, value in metric.samples)


def _braced(labels: Labels) -> str:
    pairs = ",".join(f'{name}="{_escaped(value)}"' for name, value in labels.items())
    return f"{{{pairs}}}" if pairs else ""


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
