"""Market protection: the band that turns a market order into a limit order."""

from __future__ import annotations

from sandbox.instruments import Instrument

CASH_BANDS = ((100.0, 2.0), (500.0, 1.0), (float("inf"), 0.5))
OPTION_BANDS = ((10.0, 5.0), (100.0, 3.0), (500.0, 2.0), (float("inf"), 1.0))


def automatic_percent(*, instrument: Instrument, last: float) -> float:
    bands = OPTION_BANDS if instrument.is_option else CASH_BANDS
    return next(percent for limit, percent in bands if last < limit)


def protected_price(
    *, instrument: Instrument, last: float, is_buy: bool, protection: float, tick: int, band: tuple[int, int]
) -> tuple[float, float]:
    """Return (percent, limit price) for a market order; the price stays inside the day's band."""
    percent = protection if protection > 0 else automatic_percent(instrument=instrument, last=last)
    units = last * instrument.divisor * (1 + percent / 100 if is_buy else 1 - percent / 100)
    ticks = int(units // tick) if is_buy else -int(-units // tick)
    low, high = band
    return percent, min(max(ticks * tick, low, tick), high) / instrument.divisor
