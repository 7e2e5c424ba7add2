"""What is wrong now, worst first; nothing is named without what mends it."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta

from django.urls import reverse

from ops.state import AccountRow, Finding, Greeks, Halt, Process, State

RED, AMBER = "red", "amber"
# Before the open there is still time to log in: until then a missing token is amber.
SOON = timedelta(minutes=45)
TOKEN_SHORT = timedelta(minutes=30)
BUDGET_SHARE = 0.8
# A market that trades is never silent for so long.
FEED_SILENT = timedelta(seconds=60)
LAG_SLOW_MS, LAG_BAD_MS = 100.0, 500.0
RECORDER_BEHIND_SECONDS, RECORDER_LOSES_SECONDS = 30.0, 300.0
SKEW_AMBER_SECONDS, SKEW_RED_SECONDS = 2.0, 30.0
CHAIN_OLD = timedelta(seconds=15)
INSTRUMENTS_OLD = timedelta(hours=26)
MENDS: Mapping[str, str] = {
    "feed": "No ticks arrive until it is back. The supervisor restarts it; its log says why it stopped.",
    "recorder": "Ticks are not stored; the stream keeps some minutes. The supervisor restarts it; its log says why.",
    "beat": "Sweeps and Greeks stop. The supervisor restarts it; its log says why it stopped.",
    "worker": "Tasks of this queue wait. If beat is well, look at the worker's log.",
}


def find(state: State) -> tuple[Finding, ...]:
    """Return the findings, red before amber."""
    now, market = state.at, state.market
    open_ = market.state == "open"
    urgent = open_ or (market.changes_at is not None and market.changes_at - now < SOON)
    found = [
        *_of_halts(state.trading.halts),
        *(finding for row in state.accounts.values() for finding in _of_account(row, now=now, urgent=urgent)),
        *_of_bus(state.feed.trouble),
        *(_of_process(process) for process in state.processes if process.tone == "bad"),
        *_of_instruments(state.instruments.synced_at, now=now),
        *_of_chains(state.greeks, now=now, open_=open_),
        *_of_ticks(state, now=now, open_=open_),
        *_of_recorder(state.recorder_behind_seconds),
        *_of_clocks(state),
    ]
    return tuple(sorted(found, key=lambda finding: finding.severity != RED))


def _of_halts(halts: Iterable[Halt]) -> Iterator[Finding]:
    for halt in halts:
        where = "on the whole platform" if halt.scope == "platform" else f"for {halt.scope} {halt.target}"
        yield Finding(
            code="trading_halted",
            severity=RED if halt.scope == "platform" else AMBER,
            subject=str(halt.id),
            text=f"Trading is {halt.level} {where}.",
            mend=f"{halt.by}: {halt.reason}",
            verb="resume",
        )


def _of_account(row: AccountRow, *, now: datetime, urgent: bool) -> Iterator[Finding]:
    yield from _of_token(row, now=now, urgent=urgent)
    if row.state == "cordoned":
        mend = f"{row.state_reason}. It streams nothing until it is restored."
        yield _about(row, code="account_failed_over", text=f"{row.label} is failed over.", mend=mend, verb="restore")
    if row.state == "degraded":
        mend = f"{row.state_reason}. It is tried again by itself."
        yield _about(row, code="account_degraded", text=f"{row.label} is degraded.", mend=mend, verb="restore")
    if row.egress_fault:
        yield _about(
            row,
            code="egress_mismatch",
            severity=RED,
            text=f"The orders of {row.label} are refused: {row.egress_fault}.",
            mend="Mend the route or register the address. It is looked at again every minute.",
        )
    for rest in row.rests:
        yield _about(
            row,
            code="breaker_open",
            severity=RED if rest.calls == "order" else AMBER,
            text=f"The broker does not answer {rest.calls} calls of {row.label}.",
            mend="It is probed again by itself; look at the broker's status page. Other accounts go on.",
        )
    if row.orders.unknown:
        yield Finding(
            code="orders_unknown",
            severity=RED,
            subject=row.label,
            text=f"{row.orders.unknown} orders of {row.label} are in doubt.",
            mend="They are looked up by tag and never sent again; if this lasts, compare with the broker's order book.",
            url=reverse("admin:orders_order_changelist") + "?state=UNKNOWN",
            url_text="Show them",
        )
    spent = [part.window for part in row.budget if part.window != "second" and part.used >= part.limit * BUDGET_SHARE]
    if row.places_orders and spent:
        yield _about(
            row,
            code="budget_short",
            text=f"{row.label} has used 80 % of its orders a {spent[-1]}.",
            mend="At the limit new orders wait or are refused; cancels still leave.",
        )
    if _streams_nothing(row):
        yield _about(
            row,
            code="feed_unconnected",
            severity=RED if urgent else AMBER,
            text=f"{row.label} has a live token and no open socket.",
            mend="The feed keeps trying. Fail over to move its instruments now.",
            verb="fail_over",
        )


def _of_token(row: AccountRow, *, now: datetime, urgent: bool) -> Iterator[Finding]:
    if not row.token.live and row.token.version is None:
        yield Finding(
            code="credential_missing",
            severity=AMBER,
            subject=row.label,
            text=f"{row.label} has no API key.",
            mend="Give it one from the broker's developer console.",
            url=row.rotate_url,
            url_text="Add a key",
        )
    elif not row.token.live:
        yield _log_in(row, code="token_dead", severity=RED if urgent else AMBER, text=f"{row.label} is not logged in.")
    elif row.token.expires_at is not None and row.token.expires_at - now < TOKEN_SHORT:
        yield _log_in(row, code="token_ends", severity=AMBER, text=f"The token of {row.label} ends soon.")


def _log_in(row: AccountRow, *, code: str, severity: str, text: str) -> Finding:
    return Finding(
        code=code,
        severity=severity,
        subject=row.label,
        text=text,
        mend="It streams and trades again as soon as you have logged in at the broker.",
        url=row.login_url,
        url_text="Log in",
    )


def _streams_nothing(row: AccountRow) -> bool:
    wanted = row.streams_data and row.state == "active" and row.token.live
    return wanted and row.feed is not None and row.feed.tokens > 0 and row.feed.open == 0


def _about(row: AccountRow, *, code: str, text: str, mend: str, severity: str = AMBER, verb: str = "") -> Finding:
    return Finding(code=code, severity=severity, subject=row.label, text=text, mend=mend, verb=verb)


def _of_bus(bus: str) -> Iterator[Finding]:
    if bus:
        yield Finding(
            code="bus_down",
            severity=RED,
            subject="redis",
            text="Redis does not answer: no live numbers, no task starts.",
            mend=f"Orders already recorded are carried on when it is back. {bus}",
        )


def _of_process(process: Process) -> Finding:
    return Finding(
        code="process_unheard",
        severity=RED,
        subject=process.name,
        text=f"{process.name} is not heard.",
        mend=MENDS.get(process.name.partition(":")[0], "Look at its log."),
    )


def _of_instruments(instruments_at: datetime | None, *, now: datetime) -> Iterator[Finding]:
    if instruments_at is not None and now - instruments_at < INSTRUMENTS_OLD:
        return
    text = "No instruments are loaded." if instruments_at is None else "The list of instruments is older than a day."
    yield Finding(
        code="instruments_old",
        severity=AMBER,
        subject="instruments",
        text=text,
        mend="Log one account in, then run manage.py sync_instruments.",
    )


def _of_chains(greeks: Greeks, *, now: datetime, open_: bool) -> Iterator[Finding]:
    for chain in greeks.chains:
        if open_ and (chain.computed_at is None or now - chain.computed_at > CHAIN_OLD):
            yield Finding(
                code="chain_old",
                severity=AMBER,
                subject=f"{chain.underlying} {chain.expiry}",
                text=f"The Greeks of {chain.underlying} {chain.expiry} are old.",
                mend="Is worker:greeks alive, and do ticks of the chain arrive?",
            )


def _of_ticks(state: State, *, now: datetime, open_: bool) -> Iterator[Finding]:
    feed = state.feed
    wanted = open_ and feed.wanted > 0 and not feed.trouble
    if wanted and (feed.newest_at is None or now - feed.newest_at > FEED_SILENT):
        yield Finding(
            code="feed_silent",
            severity=RED,
            subject="feed",
            text="No tick has arrived for a minute although the market is open.",
            mend="Is an account logged in, and is the feed alive? Fail over to move the instruments.",
        )
    for row in state.accounts.values():
        lag = None if row.feed is None or not open_ else row.feed.lag_p99_ms
        if lag is not None and lag > LAG_SLOW_MS:
            yield _about(
                row,
                code="feed_slow",
                severity=RED if lag > LAG_BAD_MS else AMBER,
                text=f"Ticks of {row.label} come {'half' if lag > LAG_BAD_MS else 'a tenth of'} a second late.",
                mend="Look at the machine's load and at the network; fail over if only this account is slow.",
                verb="fail_over",
            )


def _of_recorder(behind_seconds: float) -> Iterator[Finding]:
    if behind_seconds > RECORDER_BEHIND_SECONDS:
        yield Finding(
            code="recorder_behind",
            severity=RED if behind_seconds > RECORDER_LOSES_SECONDS else AMBER,
            subject="recorder",
            text="The recorder stores ticks later than they come.",
            mend="Look at the database's disk and load: the stream keeps some minutes, then ticks are lost for good.",
        )


def _of_clocks(state: State) -> Iterator[Finding]:
    for task in state.overdue:
        yield Finding(
            code="task_overdue",
            severity=AMBER,
            subject=task.name,
            text=f"The periodic task {task.name} has not run when it was due.",
            mend="Is beat alive and is the task's worker? Look at the task's page.",
            url=reverse("admin:django_celery_beat_periodictask_changelist"),
            url_text="Periodic tasks",
        )
    skew = abs(state.clock_skew_seconds)
    if skew > SKEW_AMBER_SECONDS:
        yield Finding(
            code="clock_skew",
            severity=RED if skew > SKEW_RED_SECONDS else AMBER,
            subject="database",
            text="The clocks of the web process and of the database differ.",
            mend="Let both machines follow a time server: leases, budgets and order times rest on it.",
        )
