"""Objections to an order from plain values; which order and which facts they come from is for `orders.risk`."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from kite.limits import SLICES_PER_ORDER
from orders.queries import Stake

OPTION_COLLAR_TICKS = 5


@dataclass(frozen=True, slots=True)
class Denial:
    """Why an order must not go to the broker."""

    code: str
    text: str
    field: str | None = None


class Market(StrEnum):
    """What an exchange does at a moment; unchecked where it keeps other hours than India's."""

    UNCHECKED = "unchecked"
    OPEN = "open"
    COLLECTING = "collecting"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class Margin:
    """What the broker would block for an order and what the account has left, in rupees."""

    needed: Decimal
    available: Decimal


def largest_slice(*, freeze: int, lot: int) -> int:
    """Return the largest quantity in whole lots that the exchange does not freeze."""
    return freeze // max(lot, 1) * max(lot, 1)


def slices_of(*, quantity: int, freeze: int | None, lot: int) -> list[int]:
    """Return the quantities an order is cut into: one where the exchange freezes nothing of this size."""
    largest = largest_slice(freeze=freeze, lot=lot) if freeze else 0
    if not largest or quantity <= largest:
        return [quantity]
    whole, rest = divmod(quantity, largest)
    return [largest] * whole + ([rest] if rest else [])


def too_many_slices(*, quantity: int, freeze: int | None, lot: int) -> Denial | None:
    """Object to an order that would need more slices than an order may have."""
    count = len(slices_of(quantity=quantity, freeze=freeze, lot=lot))
    if count <= SLICES_PER_ORDER:
        return None
    text = (
        f"quantity {quantity} would be {count} slices of the freeze quantity {freeze}, {SLICES_PER_ORDER} is the bound"
    )
    return Denial("TOO_MANY_SLICES", text, "quantity")


def frozen(*, quantity: int, freeze: int | None) -> Denial | None:
    """Object to a quantity the exchange would freeze."""
    if not freeze or quantity <= freeze:
        return None
    text = f"quantity was {quantity}, the exchange freezes above {freeze}; say autoslice to have it cut"
    return Denial("FREEZE_QUANTITY", text, "quantity")


def orphaned(*, label: str, orphans: int) -> Denial | None:
    """Object while the broker holds orders of ours that nobody here remembers."""
    if not orphans:
        return None
    text = (
        f"{orphans} orders of account {label} at the broker bear our tag and are in no record: acknowledge them first"
    )
    return Denial("ORPHANS_UNEXPLAINED", text, "account")


def out_of_hours(*, market: Market, variety: str, exchange: str) -> Denial | None:
    """Object to what the exchange does not take now."""
    if market is Market.UNCHECKED:
        return None
    if variety == "amo":
        text = f"{exchange} takes after-market orders only while it is closed"
        return None if market is Market.CLOSED else Denial("AMO_IN_SESSION", text, "variety")
    if market is Market.OPEN or (market is Market.COLLECTING and variety == "regular"):
        return None
    return Denial("MARKET_CLOSED", f"{exchange} is closed: variety amo waits for the next session", "variety")


def out_of_band(*, prices: Mapping[str, Decimal | None], band: tuple[Decimal, Decimal] | None) -> Denial | None:
    """Object to a price beyond today's circuit limits."""
    if band is None:
        return None
    low, high = band
    for name, value in prices.items():
        if value and not low <= value <= high:
            text = f"{name} was {value:f}, today's limits are {low:f} and {high:f}"
            return Denial("PRICE_BAND", text, name)
    return None


def collar_width(*, anchor: Decimal, percent: Decimal | None, tick: Decimal, option: bool) -> Decimal:
    """Return how far beyond the anchor a price may pay; an option's few rupees are given five ticks at least."""
    width = anchor * (percent or Decimal(10 if option else 3)) / 100
    return max(width, OPTION_COLLAR_TICKS * tick) if option else width


def overpaid(*, side: str, price: Decimal, anchor: Decimal, width: Decimal) -> Denial | None:
    """Object to a price that pays more than the collar allows."""
    beyond = price - anchor if side == "BUY" else anchor - price
    if beyond <= width:
        return None
    return Denial("PRICE_COLLAR", f"price was {price:f}, more than {width:f} beyond {anchor:f}", "price")


def position_beyond(*, side: str, quantity: int, stake: Stake | None, bound: int | None) -> Denial | None:
    """Object to a position that would be larger than its bound once everything on the way has filled."""
    if bound is None or stake is None:
        return None
    held = stake.net_quantity if side == "BUY" else -stake.net_quantity
    reached = held + stake.same_side + quantity
    if reached <= bound:
        return None
    return Denial("POSITION_LIMIT", f"the position would be {reached}, the bound is {bound}", "quantity")


def exposure_beyond(*, notional: Decimal, stake: Stake | None, bound: Decimal | None) -> Denial | None:
    """Object to more at stake in one underlying than its bound."""
    if bound is None or stake is None:
        return None
    reached = stake.underlying_value + notional
    if reached <= bound:
        return None
    text = f"{reached:.2f} would be at stake in {stake.underlying}, the bound is {bound:f}"
    return Denial("EXPOSURE_LIMIT", text, "quantity")


def margin_beyond(*, margin: Margin | None, percent: Decimal | None) -> Denial | None:
    """Object to an order that takes more of the available margin than its share."""
    if margin is None or percent is None or margin.needed * 100 <= margin.available * percent:
        return None
    text = f"the order needs a margin of {margin.needed:.2f}, {percent:f} % of {margin.available:.2f} may be taken"
    return Denial("MARGIN_LIMIT", text, "quantity")
