"""How an account stands with its broker, as the Desk shows it: money, address, what it may still ask, what failed."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Money:
    """Rupees of one account as the broker last said them; `result` is today's, of positions and holdings."""

    used: float | None = None
    free: float | None = None
    margin_at: datetime | None = None
    result: float | None = None
    result_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Where the account's orders were last seen to leave from, against what is registered at the broker."""

    registered: tuple[str, ...]
    observed: str = ""
    verdict: str = ""
    at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rest:
    """A breaker that is open: nobody makes this class of call until then."""

    calls: str
    until: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """The last thing that went wrong with the account, and when."""

    text: str
    at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Shard:
    """One shard of the feed; the lag is from a frame's arrival to its publication."""

    name: str
    ticks_per_second: float
    lag_p50_ms: float | None
    lag_p99_ms: float | None
    heard_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SlowClient:
    """A client of the tick socket that keeps its server waiting, or for which frames had to be left out."""

    label: str
    waits_seconds: float
    skipped: int
    heard_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Holding:
    """What one account's positions do: rupees for the underlyings doubling, and for a point of volatility."""

    account: str
    delta_rupees: float
    vega: float
    legs: int
    unpriced: int
