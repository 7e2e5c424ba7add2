"""What the Desk says is wrong, from a state made by hand."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ops import findings
from ops.state import (
    AccountFeed,
    AccountOrders,
    AccountRow,
    Broker,
    BudgetPart,
    Chain,
    Feed,
    Greeks,
    Halt,
    Instruments,
    Market,
    Orders,
    Overdue,
    Process,
    State,
    Token,
    Trading,
)

NOW = datetime(2026, 11, 24, 5, 0, tzinfo=UTC)
FEED = AccountFeed(
    state="open",
    open=1,
    tokens=500,
    capacity=9000,
    ticks_per_second=100.0,
    last_frame_at=NOW,
    lag_p50_ms=1.0,
    lag_p99_ms=2.0,
)
ROW = AccountRow(
    id="1",
    label="one",
    broker_user_id="AB1234",
    state="active",
    state_reason="",
    recovers_at=None,
    streams_data=True,
    places_orders=True,
    token=Token(live=True, note="", version=1, expires_at=NOW + timedelta(hours=5)),
    feed=FEED,
    orders=AccountOrders(),
    budget=(BudgetPart(window="day", used=0, limit=4000),),
    halt=None,
    verbs=(),
    login_url="/login",
    rotate_url="/rotate",
)
SOUND = State(
    at=NOW,
    trading=Trading(state="ACTIVE", note="", halts=(), platform_halt=None),
    market=Market(state="open", label="NSE open", changes_at=NOW + timedelta(hours=4)),
    broker=Broker(name="broker", root="", practice=True),
    instruments=Instruments(listed=100, synced_at=NOW - timedelta(hours=2)),
    accounts={"one": ROW},
    orders=Orders(funnel=(), recent=(), unknown=0, total=0),
    feed=Feed(ticks_per_second=100.0, wanted=500, live=500, newest_at=NOW, facts=()),
    processes=(),
    greeks=Greeks(chains=(), note=""),
    timeline=(),
)
CLOSED = Market(state="closed", label="NSE closed", changes_at=NOW + timedelta(hours=8))
DEAD = Token(live=False, note="", version=1, expires_at=None)


def with_row(**changes: Any) -> State:
    """Return a sound state with its account changed."""
    return replace(SOUND, accounts={"one": replace(ROW, **changes)})


def found(state: State) -> list[tuple[str, str]]:
    """Return severity and code of what is found."""
    return [(finding.severity, finding.code) for finding in findings.find(state)]


def test_a_sound_state_has_no_finding() -> None:
    assert found(SOUND) == []


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        (with_row(token=DEAD), ("red", "token_dead")),
        (replace(with_row(token=DEAD), market=CLOSED), ("amber", "token_dead")),
        (with_row(token=replace(DEAD, version=None)), ("amber", "credential_missing")),
        (with_row(token=replace(ROW.token, expires_at=NOW + timedelta(minutes=5))), ("amber", "token_ends")),
        (with_row(egress_fault="orders leave from 127.0.0.1"), ("red", "egress_mismatch")),
        (with_row(state="cordoned", state_reason="drill"), ("amber", "account_failed_over")),
        (with_row(state="degraded", state_reason="slow"), ("amber", "account_degraded")),
        (with_row(orders=AccountOrders(unknown=2)), ("red", "orders_unknown")),
        (with_row(budget=(BudgetPart(window="day", used=3200, limit=4000),)), ("amber", "budget_short")),
        (with_row(feed=replace(FEED, open=0)), ("red", "feed_unconnected")),
        (replace(SOUND, instruments=Instruments(listed=0, synced_at=None)), ("amber", "instruments_old")),
        (replace(SOUND, feed=replace(SOUND.feed, trouble="refused")), ("red", "bus_down")),
    ],
)
def test_what_is_wrong_is_found(state: State, expected: tuple[str, str]) -> None:
    assert found(state) == [expected]


def test_a_missing_token_is_urgent_shortly_before_the_open() -> None:
    soon = replace(CLOSED, changes_at=NOW + timedelta(minutes=30))

    assert found(replace(with_row(token=DEAD), market=soon)) == [("red", "token_dead")]


def test_an_account_that_only_places_orders_needs_no_socket() -> None:
    assert found(with_row(streams_data=False, feed=None)) == []


def test_a_platform_halt_is_red_and_can_be_released() -> None:
    halt = Halt(id=7, scope="platform", target="", level="halted", reason="drill", by="asha", at=NOW)

    (finding,) = findings.find(replace(SOUND, trading=replace(SOUND.trading, state="HALTED", halts=(halt,))))

    assert (finding.severity, finding.verb, finding.subject) == ("red", "resume", "7")


def test_an_unheard_process_is_red() -> None:
    silent = Process(name="worker:orders", word="unheard", tone="bad", detail="", heard_at=None, old=6, dead=12)

    (finding,) = findings.find(replace(SOUND, processes=(silent,)))

    assert (finding.severity, finding.code, finding.subject) == ("red", "process_unheard", "worker:orders")
    assert "worker's log" in finding.mend


def test_old_greeks_matter_only_while_the_exchange_trades() -> None:
    old = Chain(
        underlying="NIFTY",
        expiry="2026-11-26",
        forward=None,
        atm_iv=None,
        solved=0,
        contracts=0,
        oldest_input_at=None,
        computed_at=NOW - timedelta(minutes=1),
    )
    state = replace(SOUND, greeks=Greeks(chains=(old,), note=""))

    assert found(state) == [("amber", "chain_old")]
    assert found(replace(state, market=CLOSED)) == []


def test_red_stands_before_amber() -> None:
    state = with_row(state="degraded", state_reason="slow", orders=AccountOrders(unknown=1))

    assert [severity for severity, _ in found(state)] == ["red", "amber"]


def test_everything_found_says_what_mends_it() -> None:
    states = (with_row(token=DEAD), with_row(orders=AccountOrders(unknown=1)), with_row(state="cordoned"))

    assert all(finding.mend for state in states for finding in findings.find(state))


SILENT = replace(SOUND.feed, newest_at=NOW - timedelta(seconds=61))


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        (replace(SOUND, feed=SILENT), ("feed_silent", "red")),
        (replace(SOUND, feed=replace(SOUND.feed, newest_at=None)), ("feed_silent", "red")),
        (replace(SOUND, recorder_behind_seconds=31.0), ("recorder_behind", "amber")),
        (replace(SOUND, recorder_behind_seconds=301.0), ("recorder_behind", "red")),
        (replace(SOUND, clock_skew_seconds=-2.5), ("clock_skew", "amber")),
        (replace(SOUND, clock_skew_seconds=31.0), ("clock_skew", "red")),
        (replace(SOUND, overdue=(Overdue(name="sweep", due_at=NOW, last_run_at=NOW),)), ("task_overdue", "amber")),
        (with_row(feed=replace(FEED, lag_p99_ms=101.0)), ("feed_slow", "amber")),
        (with_row(feed=replace(FEED, lag_p99_ms=501.0)), ("feed_slow", "red")),
    ],
    ids=lambda value: value[0] + " " + value[1] if isinstance(value, tuple) else "",
)
def test_what_is_late_is_named(state: State, expected: tuple[str, str]) -> None:
    assert [(finding.code, finding.severity) for finding in findings.find(state)] == [expected]


@pytest.mark.parametrize(
    "state",
    [
        replace(SOUND, feed=SILENT, market=CLOSED),
        replace(SOUND, feed=replace(SILENT, wanted=0)),
        replace(SOUND, recorder_behind_seconds=29.0),
        replace(SOUND, clock_skew_seconds=1.9),
    ],
    ids=["market closed", "nothing wanted", "recorder keeps up", "clocks agree"],
)
def test_what_is_in_time_is_not_named(state: State) -> None:
    assert findings.find(state) == ()
