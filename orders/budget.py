"""How many order calls an account may make: a GCRA per second, a sliding minute, a count per day."""

from dataclasses import dataclass, replace
from datetime import date

BUCKET_SECONDS = 5
# Thirteen buckets cover at least the last sixty seconds whatever the phase.
BUCKETS = 13
BROKER_PER_MINUTE = 400
KEPT_FOR_CANCELS = 60


@dataclass(frozen=True, slots=True)
class Limits:
    """Allowed order calls; below the broker's 10 a second, 400 a minute and 5,000 a day."""

    per_second: int = 8
    burst: int = 2
    per_minute: int = 300
    per_day: int = 4000


def for_cancels(limits: Limits) -> Limits:
    """Return the limits that a cancellation meets: the last calls of a minute are kept for it, below the broker's."""
    most = max(limits.per_minute, BROKER_PER_MINUTE)
    return replace(limits, per_minute=min(limits.per_minute + KEPT_FOR_CANCELS, most))


@dataclass(frozen=True, slots=True)
class Spent:
    """What an account has used: next_at is the GCRA's theoretical arrival time in epoch seconds."""

    next_at: float = 0.0
    bucket: int = 0
    buckets: tuple[int, ...] = (0,) * BUCKETS
    day: date = date.min
    day_count: int = 0


@dataclass(frozen=True, slots=True)
class Wait:
    """The call is not allowed yet; seconds is None where it will not be allowed today."""

    scope: str
    seconds: float | None


def spend(*, spent: Spent, limits: Limits, at: float, day: date, counts_for_day: bool) -> Spent | Wait:
    """Return the account's books after one more call at epoch second `at`, or how long the call must wait.

    Modifications and cancellations do not count for the day: the broker does not count them, and they must always pass.
    """
    today = spent.day_count if spent.day == day else 0
    if counts_for_day and today >= limits.per_day:
        return Wait(scope="day", seconds=None)
    rolled = _roll(spent, at)
    if sum(rolled.buckets) >= limits.per_minute:
        return Wait(scope="minute", seconds=_until_a_bucket_leaves(rolled, at))
    interval = 1 / limits.per_second
    early = rolled.next_at - (limits.burst - 1) * interval - at
    if early > 0:
        return Wait(scope="second", seconds=early)
    buckets = (*rolled.buckets[:-1], rolled.buckets[-1] + 1)
    return replace(
        rolled,
        next_at=max(rolled.next_at, at) + interval,
        buckets=buckets,
        day=day,
        day_count=today + int(counts_for_day),
    )


def remaining(*, spent: Spent, limits: Limits, at: float, day: date) -> dict[str, int]:
    """Return what is left this second, minute and day."""
    interval = 1 / limits.per_second
    free = int((at - spent.next_at) / interval + limits.burst)
    today = spent.day_count if spent.day == day else 0
    return {
        "second": max(0, min(limits.burst, free)),
        "minute": max(0, limits.per_minute - sum(_roll(spent, at).buckets)),
        "day": max(0, limits.per_day - today),
    }


def _roll(spent: Spent, at: float) -> Spent:
    current = int(at // BUCKET_SECONDS)
    passed = current - spent.bucket
    # A clock that stepped back leaves the books as they are: never more calls than counted.
    if passed <= 0:
        return spent
    kept = spent.buckets[passed:] if passed < BUCKETS else ()
    return replace(spent, bucket=current, buckets=(*kept, *(0,) * (BUCKETS - len(kept))))


def _until_a_bucket_leaves(spent: Spent, at: float) -> float:
    oldest = next(place for place, count in enumerate(spent.buckets) if count)
    leaves_at = (spent.bucket + oldest + 1) * BUCKET_SECONDS
    return max(leaves_at - at, 0.001)
