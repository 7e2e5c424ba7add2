"""States of an order and of a command, and the only transitions there are."""

from collections.abc import Mapping
from enum import StrEnum


class State(StrEnum):
    """Where an order stands, from intent to the end of its life at the broker."""

    AWAITING_APPROVAL = "AWAITING_APPROVAL"
    READY = "READY"
    CLAIMED = "CLAIMED"
    SENDING = "SENDING"
    UNKNOWN = "UNKNOWN"
    NOT_PLACED = "NOT_PLACED"
    ADOPTED_LATE = "ADOPTED_LATE"
    DENIED = "DENIED"
    WITHDRAWN = "WITHDRAWN"
    EXPIRED_LOCAL = "EXPIRED_LOCAL"
    REJECTED = "REJECTED"
    ACKED = "ACKED"
    OPEN = "OPEN"
    PARTIAL = "PARTIAL"
    COMPLETE = "COMPLETE"
    CANCELLED = "CANCELLED"
    REJECTED_RMS = "REJECTED_RMS"
    EXPIRED = "EXPIRED"


class CommandState(StrEnum):
    """Where a modification or a cancellation stands."""

    READY = "READY"
    CLAIMED = "CLAIMED"
    SENDING = "SENDING"
    UNKNOWN = "UNKNOWN"
    DONE = "DONE"
    REJECTED = "REJECTED"
    EXPIRED = "EXPIRED"


class Outcome(StrEnum):
    """What a caller may conclude about the broker having the order."""

    NOT_SENT = "not_sent"
    REJECTED = "rejected"
    UNKNOWN = "unknown"
    ACCEPTED = "accepted"


_BROKER_LIFE = frozenset(
    {State.OPEN, State.PARTIAL, State.COMPLETE, State.CANCELLED, State.REJECTED_RMS, State.EXPIRED}
)
_LATE = frozenset({State.ADOPTED_LATE})

# The fill can overtake the acknowledgement, and a row found by its tag proves a send: so READY may become ACKED.
# What we called over is adopted late when the book shows it after all.
TRANSITIONS: Mapping[State, frozenset[State]] = {
    State.AWAITING_APPROVAL: frozenset({State.READY, State.DENIED, State.WITHDRAWN, State.EXPIRED_LOCAL}),
    State.READY: frozenset({State.CLAIMED, State.DENIED, State.WITHDRAWN, State.EXPIRED_LOCAL, State.ACKED}),
    State.CLAIMED: frozenset({State.SENDING, State.READY, State.DENIED, State.EXPIRED_LOCAL, State.ACKED}),
    State.SENDING: frozenset({State.ACKED, State.REJECTED, State.READY, State.UNKNOWN}),
    State.UNKNOWN: frozenset({State.ACKED, State.NOT_PLACED}),
    State.NOT_PLACED: _LATE,
    State.DENIED: _LATE,
    State.WITHDRAWN: _LATE,
    State.EXPIRED_LOCAL: _LATE,
    State.REJECTED: _LATE,
    State.ADOPTED_LATE: _BROKER_LIFE,
    State.ACKED: _BROKER_LIFE,
    State.OPEN: _BROKER_LIFE - {State.OPEN},
    State.PARTIAL: _BROKER_LIFE - {State.OPEN, State.PARTIAL},
    State.COMPLETE: frozenset(),
    State.CANCELLED: frozenset(),
    State.REJECTED_RMS: frozenset(),
    # Our own day-end rule ends an order whose last word was lost; the broker's word corrects it.
    State.EXPIRED: frozenset({State.COMPLETE, State.CANCELLED, State.REJECTED_RMS}),
}

COMMAND_TRANSITIONS: Mapping[CommandState, frozenset[CommandState]] = {
    CommandState.READY: frozenset(
        {CommandState.CLAIMED, CommandState.DONE, CommandState.REJECTED, CommandState.EXPIRED}
    ),
    CommandState.CLAIMED: frozenset({CommandState.SENDING, CommandState.READY}),
    CommandState.SENDING: frozenset(
        {CommandState.DONE, CommandState.REJECTED, CommandState.READY, CommandState.UNKNOWN}
    ),
    # Absolute values and cancels may be sent again once the book shows that the first had no effect.
    CommandState.UNKNOWN: frozenset({CommandState.DONE, CommandState.REJECTED, CommandState.READY}),
    CommandState.DONE: frozenset(),
    CommandState.REJECTED: frozenset(),
    CommandState.EXPIRED: frozenset(),
}

WAITING = frozenset({State.AWAITING_APPROVAL, State.READY})
IN_FLIGHT = frozenset({State.CLAIMED, State.SENDING, State.UNKNOWN})
AT_BROKER = frozenset({State.ADOPTED_LATE, State.ACKED, State.OPEN, State.PARTIAL})
ENDED_AT_BROKER = frozenset({State.COMPLETE, State.CANCELLED, State.REJECTED_RMS, State.EXPIRED})
NEVER_SENT = frozenset({State.DENIED, State.WITHDRAWN, State.EXPIRED_LOCAL, State.NOT_PLACED})
FINAL = NEVER_SENT | ENDED_AT_BROKER | {State.REJECTED}
# May exist at the broker: counted by every limit.
LIVE = IN_FLIGHT | AT_BROKER

# How far a state is along the broker's life; news of a lower rank is old news.
RANKS: Mapping[State, int] = {
    State.ADOPTED_LATE: 1,
    State.ACKED: 1,
    State.OPEN: 2,
    State.PARTIAL: 3,
    State.EXPIRED: 4,
    State.COMPLETE: 5,
    State.CANCELLED: 5,
    State.REJECTED_RMS: 5,
}


class ForbiddenTransition(Exception):
    """Somebody asked for a transition that the table does not have."""


def check(*, before: State, after: State) -> None:
    """Raise ForbiddenTransition unless the table has the transition; staying is always allowed."""
    if after is not before and after not in TRANSITIONS[before]:
        raise ForbiddenTransition(f"an order cannot go from {before} to {after}")


def check_command(*, before: CommandState, after: CommandState) -> None:
    """Raise ForbiddenTransition unless the table of commands has the transition."""
    if after not in COMMAND_TRANSITIONS[before]:
        raise ForbiddenTransition(f"a command cannot go from {before} to {after}")


def outcome_of(state: State) -> Outcome:
    """Return what the state says about the broker having the order."""
    if state in WAITING or state in NEVER_SENT or state is State.CLAIMED:
        return Outcome.NOT_SENT
    if state in {State.REJECTED, State.REJECTED_RMS}:
        return Outcome.REJECTED
    if state in {State.SENDING, State.UNKNOWN}:
        return Outcome.UNKNOWN
    return Outcome.ACCEPTED


def broker_state(*, status: str, filled_quantity: int) -> State:
    """Return the state that a broker row's open-ended status text means."""
    ended = {"COMPLETE": State.COMPLETE, "CANCELLED": State.CANCELLED, "REJECTED": State.REJECTED_RMS}
    if status in ended:
        return ended[status]
    if filled_quantity > 0:
        return State.PARTIAL
    # Only these prove that the exchange holds it; the rest of the list is the broker still working.
    return State.OPEN if status in {"OPEN", "TRIGGER PENDING"} else State.ACKED
