"""What a trade costs: taxes, exchange fees and brokerage, from a table with dates."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from sandbox.instruments import Instrument

GST = 0.18
SEBI = 0.000001


@dataclass(frozen=True, slots=True)
class Rates:
    """Shares of turnover; `brokerage_share` 0 with a cap means the flat cap."""

    tax_buy: float
    tax_sell: float
    tax_type: str
    turnover: float
    stamp_buy: float
    brokerage_share: float
    brokerage_cap: float


BEFORE_APRIL_2026 = {
    "delivery": Rates(0.001, 0.001, "stt", 0.0000297, 0.00015, 0.0, 0.0),
    "intraday": Rates(0.0, 0.00025, "stt", 0.0000297, 0.00003, 0.0003, 20.0),
    "future": Rates(0.0, 0.0002, "stt", 0.0000173, 0.00002, 0.0003, 20.0),
    "option": Rates(0.0, 0.001, "stt", 0.0003503, 0.00003, 0.0, 20.0),
    "currency": Rates(0.0, 0.0, "stt", 0.0000035, 0.000001, 0.0003, 20.0),
    "commodity": Rates(0.0, 0.0001, "ctt", 0.000021, 0.00002, 0.0003, 20.0),
}
FROM_APRIL_2026 = {
    **BEFORE_APRIL_2026,
    "future": Rates(0.0, 0.0005, "stt", 0.0000173, 0.00002, 0.0003, 20.0),
    "option": Rates(0.0, 0.0015, "stt", 0.0003503, 0.00003, 0.0, 20.0),
}
TABLE = ((date(2026, 4, 1), FROM_APRIL_2026), (date.min, BEFORE_APRIL_2026))


def kind_of(*, instrument: Instrument, product: str) -> str:
    if instrument.exchange in {"MCX", "NCO"}:
        return "commodity"
    if instrument.exchange in {"CDS", "BCD"}:
        return "currency"
    if instrument.is_option:
        return "option"
    if instrument.is_future:
        return "future"
    return "delivery" if product in {"CNC", "MTF"} else "intraday"


def charges(
    *, instrument: Instrument, product: str, is_buy: bool, quantity: int, price: float, day: date
) -> dict[str, object]:
    """Return the charges object of Kite's margin and contract-note answers."""
    rates = next(table for since, table in TABLE if day >= since)[kind_of(instrument=instrument, product=product)]
    turnover = quantity * price * instrument.multiplier
    tax = turnover * (rates.tax_buy if is_buy else rates.tax_sell)
    exchange = turnover * rates.turnover
    sebi = turnover * SEBI
    stamp = turnover * rates.stamp_buy if is_buy else 0.0
    brokerage = (
        min(turnover * rates.brokerage_share, rates.brokerage_cap)
        if rates.brokerage_share
        else (rates.brokerage_cap if turnover else 0.0)
    )
    gst = GST * (brokerage + exchange + sebi)
    return {
        "transaction_tax": tax,
        "transaction_tax_type": rates.tax_type,
        "exchange_turnover_charge": exchange,
        "sebi_turnover_charge": sebi,
        "brokerage": brokerage,
        "stamp_duty": stamp,
        "gst": {"igst": gst, "cgst": 0, "sgst": 0, "total": gst},
        "total": tax + exchange + sebi + brokerage + stamp + gst,
    }


def no_charges() -> dict[str, object]:
    return {
        "transaction_tax": 0,
        "transaction_tax_type": "",
        "exchange_turnover_charge": 0,
        "sebi_turnover_charge": 0,
        "brokerage": 0,
        "stamp_duty": 0,
        "gst": {"igst": 0, "cgst": 0, "sgst": 0, "total": 0},
        "total": 0,
    }
