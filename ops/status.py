"""Looks at the whole platform and returns its state as frozen values."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from functools import cache
from threading import Lock
from typing import cast
from urllib.parse import urlsplit
from uuid import UUID

from django.conf import settings
from django.db.models import Count, Max

from accounts.models import AuditEntry, TradingHalt
from accounts.queries import Principal, open_halts
from market_data.models import MarketDay
from market_data.queries import listed
from market_data.trading_days import read_calendar
from ops import alerts, chains, drift, feed, findings, flow, lateness, matrix, pulse, tiles, troubles
from ops.models import Alert
from ops.state import Broker, Event, Finding, Halt, InHand, Instruments, Json, Market, State, Trading, to_json
from orders.clock import trading_day

TIMELINE = 14
EXCHANGE = "NSE"
# Desks that ask within this time share one look.
FRESH = timedelta(seconds=0.9)
LOOPBACK = {"127.0.0.1", "localhost", "::1"}
# Deeds too small for the timeline; the audit trail keeps them.
QUIET = ("accounts.api_key.used",)


def snapshot(*, now: datetime) -> State:
    """Return the state at this moment: some twenty indexed queries and a handful of reads from Redis."""
    day = trading_day(now)
    skew = lateness.clock_skew_seconds()
    heard = pulse.listen()
    halts = tuple(_halt(row) for row in open_halts())
    flowing = flow.read(day=day, now=now)
    state = State(
        at=now,
        trading=trading_of(halts),
        market=market_of(now=now),
        broker=broker_of(settings.KITE_REST_ROOT),
        instruments=_instruments(),
        accounts=matrix.read(
            now=now,
            day=day,
            feeds=feed.by_account(heard.reports),
            orders=flowing.by_account,
            halts=halts,
            bus_answers=not heard.bus,
        ),
        orders=flowing.orders,
        feed=feed.read(pulse=heard, now=now),
        processes=pulse.processes(pulse=heard),
        greeks=chains.read(now=now, pulse=heard),
        timeline=_timeline(),
        overdue=lateness.overdue(now=now, since=pulse.moment(heard.reports.get("beat"), "since")),
        clock_skew_seconds=round(skew, 1),
        reconciled_at=troubles.oldest_reading(),
        recorder_behind_seconds=pulse.number(heard.reports.get("recorder"), "behind_seconds") or 0.0,
    )
    state = replace(state, findings=tuple(_in_hand(findings.find(state))))
    return replace(state, tiles=tiles.of(state))


def _in_hand(found: Iterable[Finding]) -> Iterator[Finding]:
    """Say of each finding who has it in hand."""
    held = alerts.open_alerts()
    for finding in found:
        alert = held.get(alerts.key_of(finding))
        if alert is None:
            yield finding
            continue
        hand = InHand(id=alert.pk, opened_at=alert.opened_at, owner=alert.owner, acknowledged_at=alert.acknowledged_at)
        yield replace(finding, alert=hand)
    yield from (_of_alert(alert) for alert in held.values() if alert.code == drift.CODE)


def _of_alert(alert: Alert) -> Finding:
    """Return what a slower look than this one found."""
    hand = InHand(id=alert.pk, opened_at=alert.opened_at, owner=alert.owner, acknowledged_at=alert.acknowledged_at)
    return Finding(
        code=alert.code, severity=findings.RED, subject=alert.subject, text=alert.text, mend=alert.mend, alert=hand
    )


class Glance:
    """The latest look, shared by every open Desk of this process."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._seen: tuple[datetime, dict[str, Json]] | None = None

    def state(self, *, now: datetime) -> dict[str, Json]:
        """Return the state in JSON's terms, not older than a second."""
        with self._lock:
            if self._seen is None or not self._seen[0] <= now < self._seen[0] + FRESH:
                self._seen = (now, cast("dict[str, Json]", to_json(snapshot(now=now))))
            return self._seen[1]

    def forget(self) -> None:
        """Look anew next time: something was just done."""
        with self._lock:
            self._seen = None


@cache
def glance() -> Glance:
    """Return this process's latest look."""
    return Glance()


def recent(*, now: datetime, principal: Principal) -> dict[str, Json]:
    """Return what the principal may see, as JSON."""
    return visible(glance().state(now=now), principal=principal)


def visible(state: dict[str, Json], *, principal: Principal) -> dict[str, Json]:
    """Leave out what belongs to accounts that are not the principal's."""
    accounts = cast("dict[str, dict[str, Json]]", state["accounts"])
    hidden = {label for label, row in accounts.items() if not principal.sees(UUID(str(row["id"])))}
    if not hidden:
        return state
    orders = cast("dict[str, Json]", state["orders"])
    names = re.compile(rf"(?<![\w-])(?:{'|'.join(map(re.escape, sorted(hidden)))})(?![\w-])")
    return {
        **{part: _unnamed(value, names) for part, value in state.items()},
        "accounts": {label: row for label, row in accounts.items() if label not in hidden},
        "orders": {**orders, "recent": _without(orders["recent"], "account", hidden)},
        "findings": _without(state["findings"], "subject", hidden),
        "timeline": _without(state["timeline"], "account", hidden),
    }


def _unnamed(value: Json, names: re.Pattern[str]) -> Json:
    """Return the document without the labels of others in its texts."""
    if isinstance(value, dict):
        return {key: _unnamed(each, names) for key, each in value.items()}
    if isinstance(value, list):
        return [_unnamed(each, names) for each in value]
    return names.sub("another account", value) if isinstance(value, str) else value


def _without(rows: Json, name: str, hidden: set[str]) -> Json:
    return [row for row in cast("list[dict[str, Json]]", rows) if row.get(name) not in hidden]


def trading_of(halts: Iterable[Halt]) -> Trading:
    """Return the strictest state of the platform, and in words what else is stopped."""
    halts = tuple(halts)
    whole = next((halt for halt in halts if halt.scope == TradingHalt.Scope.PLATFORM), None)
    narrow = [f"{halt.scope} {halt.target} {halt.level}" for halt in halts if halt is not whole]
    note = whole.reason if whole else ", ".join(narrow)
    state = whole.level.upper() if whole else "ACTIVE"
    return Trading(state=state, note=note, halts=halts, platform_halt=whole.id if whole else None)


def market_of(*, now: datetime) -> Market:
    """Return whether the exchange trades, and when that changes."""
    calendar = read_calendar(since=trading_day(now))
    session = calendar.session_at(exchange=EXCHANGE, at=now)
    note = _next_holiday(now)
    if session is not None:
        return Market(state="open", label=f"{EXCHANGE} open", change="closes in", changes_at=session.closes, note=note)
    opens = calendar.next_opening(exchange=EXCHANGE, after=now)
    return Market(state="closed", label=f"{EXCHANGE} closed", change="opens in", changes_at=opens, note=note)


def _next_holiday(now: datetime) -> str:
    shut = MarketDay.objects.filter(confirmed=True, opens__isnull=True, exchanges__contains=[EXCHANGE])
    found = shut.filter(day__gte=trading_day(now)).order_by("day").first()
    return "" if found is None else f"{found.day:%d %b}, {found.name}"


def broker_of(root: str) -> Broker:
    """Name the exchange that orders reach: one on this machine is no real one."""
    host = urlsplit(root).hostname or root
    practice = host in LOOPBACK
    return Broker(name="Sandbox on this machine" if practice else host, root=root, practice=practice)


def _halt(row: TradingHalt) -> Halt:
    return Halt(
        id=row.pk,
        scope=row.scope,
        target=row.target,
        level=row.level,
        reason=row.reason,
        by=row.engaged_by,
        at=row.engaged_at,
    )


def _instruments() -> Instruments:
    found = listed().aggregate(count=Count("pk"), synced_at=Max("synced_at"))
    return Instruments(listed=found["count"], synced_at=found["synced_at"])


def _timeline() -> tuple[Event, ...]:
    entries = AuditEntry.objects.exclude(action__in=QUIET).order_by("-at", "-id")[:TIMELINE]
    return tuple(
        Event(
            id=entry.pk,
            account=entry.subject.partition("account:")[2],
            at=entry.at,
            words=words_of(entry.action),
            subject=entry.subject.removeprefix("account:"),
            reason=entry.reason,
            actor=entry.actor,
        )
        for entry in entries
    )


def words_of(action: str) -> str:
    """Write accounts.credential.rotated as a person would: Credential rotated."""
    words = " ".join(action.split(".")[1:]).replace("_", " ")
    return words.replace("api key", "API key") if words.startswith("api") else words.capitalize()
