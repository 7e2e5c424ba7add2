"""Strikes around a price. Pure."""

from bisect import bisect_left
from collections.abc import Sequence
from decimal import Decimal
from itertools import pairwise


def nearest(strikes: Sequence[Decimal], price: Decimal) -> Decimal:
    """Return the strike nearest to the price, the lower of two; `strikes` ascend and are not empty."""
    place = bisect_left(strikes, price)
    around = strikes[max(place - 1, 0) : place + 1]
    return min(around, key=lambda strike: (abs(strike - price), strike))


def step_at(strikes: Sequence[Decimal], strike: Decimal) -> Decimal:
    """Return the smaller distance from a strike to its neighbours, 0 where it has none."""
    place = bisect_left(strikes, strike)
    near = [*strikes[max(place - 1, 0) : place], *strikes[place : place + 1], *strikes[place + 1 : place + 2]]
    gaps = [upper - lower for lower, upper in pairwise(near)]
    return min(gaps, default=Decimal(0))


def around(strikes: Sequence[Decimal], *, center: Decimal, count: int) -> Sequence[Decimal]:
    """Return the strike nearest to the center and `count` on each side of it, fewer at the ends."""
    if not strikes:
        return []
    place = bisect_left(strikes, nearest(strikes, center))
    return strikes[max(place - count, 0) : place + count + 1]


def follow(strikes: Sequence[Decimal], *, center: Decimal | None, price: Decimal, hysteresis: Decimal) -> Decimal:
    """Return where a window stands: its center, or the strike nearest to a price that has gone too far from it."""
    if center is None or center not in strikes:
        return nearest(strikes, price)
    reach = step_at(strikes, center) * (Decimal("0.5") + hysteresis)
    return nearest(strikes, price) if abs(price - center) > reach else center
