"""What a position or an order ties up: percent of notional in place of SPAN, plus premium."""

from __future__ import annotations

from dataclasses import dataclass

from sandbox.instruments import Instrument
from sandbox.orders import number

SPAN_INDEX, SPAN_STOCK, EXPOSURE = 0.09, 0.14, 0.02
MIS_SHARE, MTF_SHARE = 0.2, 0.5


@dataclass(frozen=True, slots=True)
class Margin:
    """The parts of a requirement, in rupees."""

    span: float = 0.0
    exposure: float = 0.0
    option_premium: float = 0.0
    delivery: float = 0.0

    @property
    def total(self) -> float:
        return self.span + self.exposure + self.option_premium + self.delivery

    def __add__(self, other: Margin) -> Margin:
        return Margin(
            self.span + other.span,
            self.exposure + other.exposure,
            self.option_premium + other.option_premium,
            self.delivery + other.delivery,
        )


def requirement(
    *, instrument: Instrument, product: str, is_buy: bool, quantity: int, price: float, spot: float
) -> Margin:
    """Return what opening `quantity` at `price` needs; `spot` is the underlying's level."""
    value = quantity * price * instrument.multiplier
    if instrument.is_equity:
        share = {"MIS": MIS_SHARE, "CO": MIS_SHARE, "MTF": MTF_SHARE}.get(product, 1.0)
        return Margin(delivery=value * share if is_buy or product in {"MIS", "CO"} else 0.0)
    if instrument.is_option and is_buy:
        return Margin(option_premium=value)
    notional = quantity * spot * instrument.multiplier
    share = SPAN_INDEX if instrument.freeze_quantity and instrument.lot_size < 150 else SPAN_STOCK
    return Margin(span=notional * share, exposure=notional * EXPOSURE)


def segment_of(instrument: Instrument) -> str:
    return "commodity" if instrument.exchange in {"MCX", "NCO"} else "equity"


def segment_row(*, cash: float, used: Margin, realised: float, unrealised: float) -> dict[str, object]:
    """Return one segment of /user/margins."""
    debits = used.total - realised
    return {
        "enabled": True,
        "net": cash - debits,
        "available": {
            "adhoc_margin": 0,
            "cash": number(cash),
            "opening_balance": number(cash),
            "live_balance": cash - debits,
            "collateral": 0,
            "intraday_payin": 0,
        },
        "utilised": {
            "debits": debits,
            "exposure": used.exposure,
            "m2m_realised": realised,
            "m2m_unrealised": unrealised,
            "option_premium": used.option_premium,
            "payout": 0,
            "span": used.span,
            "holding_sales": 0,
            "turnover": 0,
            "liquid_collateral": 0,
            "stock_collateral": 0,
            "delivery": used.delivery,
        },
    }
