"""The state of the floor as the Desk shows it: frozen values; every number stands beside the moment it is from."""

from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import TypeAlias

from ops.standing import Address, Holding, Money, Rest, Shard, SlowClient, Trouble

Json: TypeAlias = bool | int | float | str | list["Json"] | dict[str, "Json"] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Halt:
    """A halt in force."""

    id: int
    scope: str
    target: str
    level: str
    reason: str
    by: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Trading:
    """Whether orders may leave; `platform_halt` is the id to release."""

    state: str
    note: str
    halts: tuple[Halt, ...]
    platform_halt: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Market:
    """The exchange's session now, and when it changes."""

    state: str
    label: str
    change: str = ""
    changes_at: datetime | None = None
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Broker:
    """Where orders go: the name is what an operator must know at a glance; `practice` where no money is at stake."""

    name: str
    root: str
    practice: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """An account's access token; `note` says what is wrong with it."""

    live: bool
    note: str
    version: int | None
    expires_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountFeed:
    """What the feed reports of an account's sockets."""

    state: str
    open: int
    tokens: int
    capacity: int
    ticks_per_second: float
    last_frame_at: datetime | None
    lag_p50_ms: float | None
    lag_p99_ms: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountOrders:
    """Orders of one account that are not at their end."""

    open: int = 0
    in_flight: int = 0
    unknown: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetPart:
    """Order calls used of those allowed in one window."""

    window: str
    used: int
    limit: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountRow:
    """One row of the matrix."""

    id: str
    label: str
    broker_user_id: str
    state: str
    state_reason: str
    recovers_at: datetime | None
    streams_data: bool
    places_orders: bool
    token: Token
    feed: AccountFeed | None
    orders: AccountOrders
    budget: tuple[BudgetPart, ...]
    halt: Halt | None
    verbs: tuple[str, ...]
    login_url: str
    rotate_url: str
    egress_fault: str = ""
    group: str = ""
    money: Money | None = None
    address: Address | None = None
    data_budget: tuple[BudgetPart, ...] = ()
    rests: tuple[Rest, ...] = ()
    trouble: Trouble | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """One stage of the order funnel; `recent` came in the last minutes, `seconds` is the median on the way here."""

    name: str
    count: int
    hint: str
    tone: str = "quiet"
    recent: int = 0
    seconds: float | None = None
    since: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecentOrder:
    """One of the latest orders."""

    id: str
    url: str
    account: str
    exchange: str
    tradingsymbol: str
    transaction_type: str
    quantity: int
    filled_quantity: int
    price: str | None
    average_price: str | None
    state: str
    tone: str
    detail: str
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Objection:
    """Why orders of today were refused, and how many were."""

    text: str
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Latency:
    """From the receipt of an order to the broker's answer, over the orders of the last minute."""

    p50_ms: float | None = None
    p99_ms: float | None = None
    orders: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Orders:
    """Today's orders."""

    funnel: tuple[Stage, ...]
    recent: tuple[RecentOrder, ...]
    unknown: int
    total: int
    objections: tuple[Objection, ...] = ()
    latency: Latency = Latency()


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """One named number, or one named moment whose age is the number."""

    name: str
    value: float | None = None
    unit: str = ""
    at: datetime | None = None
    old: float | None = None
    dead: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Feed:
    """The stream of ticks over all shards; `trouble` says why nothing is known of it."""

    ticks_per_second: float
    wanted: int
    live: int
    newest_at: datetime | None
    facts: tuple[Fact, ...]
    trouble: str = ""
    shards: tuple[Shard, ...] = ()
    slowest: tuple[SlowClient, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Instruments:
    """The list of instruments."""

    listed: int
    synced_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """One of the platform's processes, by what it was last heard to say."""

    name: str
    word: str
    tone: str
    detail: str
    heard_at: datetime | None
    old: float
    dead: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Chain:
    """One live option chain."""

    underlying: str
    expiry: str
    forward: float | None
    atm_iv: float | None
    solved: int
    contracts: int
    oldest_input_at: datetime | None
    computed_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Greeks:
    """The live chains and what the accounts hold; `note` says how the last beat went."""

    chains: tuple[Chain, ...]
    note: str
    facts: tuple[Fact, ...] = ()
    book: tuple[Holding, ...] = ()
    book_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Tile:
    """One big number of the readiness strip."""

    name: str
    value: float
    tone: str = "quiet"
    of: int | None = None
    unit: str = ""
    note: str = ""
    at: datetime | None = None
    old: float | None = None
    dead: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Overdue:
    """A periodic task that should have run and did not."""

    name: str
    due_at: datetime
    last_run_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class InHand:
    """The alert of a finding: whether somebody has it in hand."""

    id: int
    opened_at: datetime
    owner: str
    acknowledged_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something wrong and what mends it: either a page to open, a verb of the Desk, or words."""

    code: str
    severity: str
    subject: str
    text: str
    mend: str
    url: str = ""
    url_text: str = ""
    verb: str = ""
    alert: InHand | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One entry of the timeline; `account` is the label of the account it is about."""

    id: int
    account: str
    at: datetime
    words: str
    subject: str
    reason: str
    actor: str


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """The whole Desk at one moment."""

    at: datetime
    trading: Trading
    market: Market
    broker: Broker
    instruments: Instruments
    accounts: Mapping[str, AccountRow]
    orders: Orders
    feed: Feed
    processes: tuple[Process, ...]
    greeks: Greeks
    timeline: tuple[Event, ...]
    tiles: tuple[Tile, ...] = ()
    findings: tuple[Finding, ...] = ()
    overdue: tuple[Overdue, ...] = ()
    clock_skew_seconds: float = 0.0
    recorder_behind_seconds: float = 0.0
    reconciled_at: datetime | None = None


def to_json(value: object) -> Json:
    """Return the value in JSON's terms; a field that is None is left out, so that a merge patch can take it away."""
    if is_dataclass(value) and not isinstance(value, type):
        pairs = {part.name: getattr(value, part.name) for part in fields(value)}
        return {name: to_json(part) for name, part in pairs.items() if part is not None}
    if isinstance(value, Mapping):
        return {str(name): to_json(part) for name, part in value.items()}
    if isinstance(value, tuple | list):
        return [to_json(part) for part in value]
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, Decimal):
        return str(value)
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise TypeError(f"{type(value).__name__} has no place in the Desk's JSON")


def difference(*, before: Json, after: Json) -> Json:
    """Return the RFC 7386 merge patch that turns one object into the other."""
    if not isinstance(before, dict) or not isinstance(after, dict):
        return after
    patch: dict[str, Json] = {name: None for name in before if name not in after}
    for name, value in after.items():
        if name not in before:
            patch[name] = value
        elif before[name] != value:
            patch[name] = difference(before=before[name], after=value)
    return patch
