"""Positions and holdings of one account, and their rows."""

from __future__ import annotations

from dataclasses import dataclass, field

from sandbox.instruments import Instrument
from sandbox.orders import number


@dataclass(slots=True)
class Position:
    """One (instrument, product) line; quantities in units, values in rupees."""

    row: int
    product: str
    overnight_quantity: int = 0
    overnight_price: float = 0.0
    day_buy_quantity: int = 0
    day_buy_value: float = 0.0
    day_sell_quantity: int = 0
    day_sell_value: float = 0.0

    @property
    def quantity(self) -> int:
        return self.overnight_quantity + self.day_buy_quantity - self.day_sell_quantity

    @property
    def day_quantity(self) -> int:
        return self.day_buy_quantity - self.day_sell_quantity

    @property
    def is_day(self) -> bool:
        return bool(self.day_buy_quantity or self.day_sell_quantity)

    def trade(self, *, is_buy: bool, quantity: int, value: float) -> None:
        if is_buy:
            self.day_buy_quantity += quantity
            self.day_buy_value += value
        else:
            self.day_sell_quantity += quantity
            self.day_sell_value += value

    def carry_over(self, *, price: float) -> None:
        """Turn what is left at the end of the day into the overnight quantity."""
        self.overnight_quantity, self.overnight_price = self.quantity, price
        self.day_buy_quantity = self.day_sell_quantity = 0
        self.day_buy_value = self.day_sell_value = 0.0


@dataclass(slots=True)
class Holding:
    """Shares in the demat account."""

    row: int
    isin: str
    quantity: int
    average_price: float
    t1_quantity: int = 0
    used_quantity: int = 0
    authorised_quantity: int = 0

    @property
    def free_quantity(self) -> int:
        return self.quantity + self.t1_quantity - self.used_quantity


@dataclass(slots=True)
class Portfolio:
    """All lines of one account."""

    positions: dict[tuple[int, str], Position] = field(default_factory=dict)
    holdings: dict[int, Holding] = field(default_factory=dict)

    def position(self, *, row: int, product: str) -> Position:
        key = (row, product)
        if key not in self.positions:
            self.positions[key] = Position(row, product)
        return self.positions[key]

    def quantity(self, *, row: int, product: str) -> int:
        position = self.positions.get((row, product))
        return position.quantity if position else 0


@dataclass(frozen=True, slots=True)
class Sums:
    """Bought and sold sums of a line, from which every field of a row follows."""

    buy_quantity: int
    buy_value: float
    sell_quantity: int
    sell_value: float
    overnight: int


def net_row(position: Position, *, instrument: Instrument, last: float, close: float) -> dict[str, object]:
    overnight = position.overnight_quantity
    carried = abs(overnight) * position.overnight_price
    sums = Sums(
        buy_quantity=position.day_buy_quantity + max(overnight, 0),
        buy_value=position.day_buy_value + (carried if overnight > 0 else 0.0),
        sell_quantity=position.day_sell_quantity + max(-overnight, 0),
        sell_value=position.day_sell_value + (carried if overnight < 0 else 0.0),
        overnight=overnight,
    )
    return _position_row(position, sums, instrument=instrument, last=last, close=close)


def day_row(position: Position, *, instrument: Instrument, last: float, close: float) -> dict[str, object]:
    sums = Sums(
        buy_quantity=position.day_buy_quantity,
        buy_value=position.day_buy_value,
        sell_quantity=position.day_sell_quantity,
        sell_value=position.day_sell_value,
        overnight=0,
    )
    return _position_row(position, sums, instrument=instrument, last=last, close=close)


def _position_row(
    position: Position, sums: Sums, *, instrument: Instrument, last: float, close: float
) -> dict[str, object]:
    multiplier = instrument.multiplier
    quantity = sums.buy_quantity - sums.sell_quantity
    buy_price = _ratio(sums.buy_value, sums.buy_quantity)
    sell_price = _ratio(sums.sell_value, sums.sell_quantity)
    average = buy_price if quantity > 0 else sell_price if quantity < 0 else 0.0
    value = (sums.sell_value - sums.buy_value) * multiplier
    pnl = value + quantity * last * multiplier
    buy_m2m = position.day_buy_value + max(sums.overnight, 0) * close
    sell_m2m = position.day_sell_value + max(-sums.overnight, 0) * close
    m2m = (sell_m2m - buy_m2m + quantity * last) * multiplier
    row: dict[str, object] = {
        "tradingsymbol": instrument.tradingsymbol,
        "exchange": instrument.exchange,
        "instrument_token": instrument.token,
        "product": position.product,
        "quantity": quantity,
        "overnight_quantity": sums.overnight,
        "multiplier": multiplier,
    }
    prices: dict[str, float] = {
        "average_price": average,
        "close_price": close if sums.overnight else 0.0,
        "last_price": last,
        "value": value,
        "pnl": pnl,
        "m2m": m2m,
        "unrealised": pnl,
        "realised": 0.0,
        "buy_quantity": sums.buy_quantity,
        "buy_price": buy_price,
        "buy_value": sums.buy_value * multiplier,
        "buy_m2m": buy_m2m * multiplier,
        "sell_quantity": sums.sell_quantity,
        "sell_price": sell_price,
        "sell_value": sums.sell_value * multiplier,
        "sell_m2m": sell_m2m * multiplier,
        "day_buy_quantity": position.day_buy_quantity,
        "day_buy_price": _ratio(position.day_buy_value, position.day_buy_quantity),
        "day_buy_value": position.day_buy_value * multiplier,
        "day_sell_quantity": position.day_sell_quantity,
        "day_sell_price": _ratio(position.day_sell_value, position.day_sell_quantity),
        "day_sell_value": position.day_sell_value * multiplier,
    }
    return {**row, **{name: number(round(price, 6)) for name, price in prices.items()}}


def _ratio(value: float, quantity: int) -> float:
    return value / quantity if quantity else 0.0


def holding_row(
    holding: Holding, *, instrument: Instrument, last: float, close: float, today: str
) -> dict[str, object]:
    quantity = holding.quantity
    return {
        "tradingsymbol": instrument.tradingsymbol,
        "exchange": instrument.exchange,
        "instrument_token": instrument.token,
        "isin": holding.isin,
        "product": "CNC",
        "price": 0,
        "quantity": quantity,
        "used_quantity": holding.used_quantity,
        "t1_quantity": holding.t1_quantity,
        "realised_quantity": quantity,
        "authorised_quantity": holding.authorised_quantity,
        "authorised_date": f"{today} 00:00:00",
        "authorisation": {},
        "opening_quantity": quantity,
        "short_quantity": 0,
        "collateral_quantity": 0,
        "collateral_type": "",
        "discrepancy": False,
        "average_price": number(round(holding.average_price, 6)),
        "last_price": number(last),
        "close_price": number(close),
        "pnl": number(round((last - holding.average_price) * (quantity + holding.t1_quantity), 6)),
        "day_change": number(round(last - close, 6)),
        "day_change_percentage": number(round((last - close) / close * 100, 8)) if close else 0,
        "mtf": {"quantity": 0, "used_quantity": 0, "average_price": 0, "value": 0, "initial_margin": 0},
    }
