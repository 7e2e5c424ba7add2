"""Short ways to place orders with the official client."""

import itertools
from typing import Any

from kiteconnect import KiteConnect

from tests.sandbox_server import SandboxServer, wait_for

NUMBERS = itertools.count(1)


def new_tag() -> str:
    return f"t{next(NUMBERS)}"


def place(kite: KiteConnect, symbol: str = "NSE:INFY", side: str = "BUY", **changes: Any) -> str:
    """Place an order; by default one INFY share, delivery, a limit far below the market."""
    exchange, tradingsymbol = symbol.split(":")
    params = {
        "variety": "regular",
        "exchange": exchange,
        "tradingsymbol": tradingsymbol,
        "transaction_type": side,
        "quantity": 1,
        "product": "CNC" if exchange in {"NSE", "BSE"} else "NRML",
        "order_type": "LIMIT",
        **changes,
    }
    return str(kite.place_order(**params))


def order(kite: KiteConnect, order_id: str) -> dict[str, Any]:
    return next(row for row in kite.orders() if row["order_id"] == order_id)


def wait_status(kite: KiteConnect, order_id: str, status: str, *, seconds: float = 20.0) -> dict[str, Any]:
    """Return the order's row once it has a status."""
    found: dict[str, Any] = wait_for(
        lambda: (row := order(kite, order_id))["status"] == status and row, seconds=seconds
    )
    return found


def statuses(kite: KiteConnect, order_id: str) -> list[str]:
    return [row["status"] for row in kite.order_history(order_id)]


def below(server: SandboxServer, symbol: str, share: float = 0.97) -> float:
    """Return a price on the tick that far below the market."""
    return on_tick(server, symbol, server.book(symbol)["last_price"] * share)


def on_tick(server: SandboxServer, symbol: str, price: float) -> float:
    """Round a price to a tick that all bands of cash and derivative instruments accept."""
    return round(round(price / 5.0) * 5.0, 2) if price > 50 else round(round(price / 0.05) * 0.05, 2)


def option_near(kite: KiteConnect, name: str = "NIFTY", kind: str = "CE") -> dict[str, Any]:
    """Return the option nearest the money of the first expiry of an underlying."""
    rows = [row for row in kite.instruments("NFO") if row["name"] == name and row["instrument_type"] == kind]
    first = min(row["expiry"] for row in rows)
    spot = kite.ltp("NSE:NIFTY 50")["NSE:NIFTY 50"]["last_price"]
    return min((row for row in rows if row["expiry"] == first), key=lambda row: abs(row["strike"] - spot))
