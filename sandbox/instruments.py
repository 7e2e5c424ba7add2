"""What can be traded: one row of Kite's instruments dump, and how it is written."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date

HEADER = (
    "instrument_token", "exchange_token", "tradingsymbol", "name", "last_price", "expiry", "strike", "tick_size",
    "lot_size", "instrument_type", "segment", "exchange",
)  # fmt: skip

SEGMENT_CODES = {
    "NSE": 1, "NFO": 2, "CDS": 3, "BSE": 4, "BFO": 5, "BCD": 6, "MCX": 7, "MCXSX": 8, "INDICES": 9, "NCO": 12,
}  # fmt: skip
INDEX_CODE = SEGMENT_CODES["INDICES"]


def divisor_of(token: int) -> int:
    """Return what a price is multiplied with on the wire."""
    return {3: 10_000_000, 6: 10_000, 12: 10_000}.get(token & 0xFF, 100)


@dataclass(frozen=True, slots=True)
class Instrument:
    """One instrument; prices in rupees, `underlying` is the symbol whose spot drives it."""

    token: int
    tradingsymbol: str
    name: str
    exchange: str
    segment: str
    instrument_type: str
    tick_size: float
    lot_size: int
    price: float
    underlying: str
    expiry: date | None = None
    strike: float = 0.0
    multiplier: int = 1
    freeze_quantity: int = 0

    @property
    def key(self) -> str:
        return f"{self.exchange}:{self.tradingsymbol}"

    @property
    def is_index(self) -> bool:
        return self.segment == "INDICES"

    @property
    def is_option(self) -> bool:
        return self.instrument_type in {"CE", "PE"}

    @property
    def is_future(self) -> bool:
        return self.instrument_type == "FUT"

    @property
    def is_equity(self) -> bool:
        return self.instrument_type == "EQ" and not self.is_index

    @property
    def divisor(self) -> int:
        return divisor_of(self.token)


def make_token(*, exchange_token: int, code: int) -> int:
    return exchange_token << 8 | code


def plain(value: float) -> str:
    """Write a number as Kite does: no trailing `.0`."""
    text = f"{value:.4f}".rstrip("0").rstrip(".")
    return text or "0"


def dump_csv(instruments: Iterable[Instrument]) -> bytes:
    lines = [",".join(HEADER) + "\n", *(_line(instrument) for instrument in instruments)]
    return "".join(lines).encode()


def _line(instrument: Instrument) -> str:
    name = instrument.name.replace('"', '""')
    expiry = instrument.expiry.isoformat() if instrument.expiry else ""
    fields = (
        str(instrument.token), str(instrument.token >> 8), instrument.tradingsymbol, f'"{name}"', "0", expiry,
        plain(instrument.strike), plain(instrument.tick_size), str(instrument.lot_size), instrument.instrument_type,
        instrument.segment, instrument.exchange,
    )  # fmt: skip
    return ",".join(fields) + "\n"
