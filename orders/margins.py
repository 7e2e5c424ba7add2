"""What orders would cost before they are placed: the broker's own calculators, within the data budget."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from decimal import Decimal
from typing import Any

from accounts.models import BrokerAccount
from accounts.queries import login_for
from accounts.sessions import Sessions
from kite.answers import MarginRow
from market_data.queries import instrument_by_symbol
from orders import pricing
from orders.drafts import Source, Wanted, draft
from orders.parameters import margin_of


def order_margins(
    *, account: BrokerAccount, orders: Sequence[Wanted], sessions: Sessions, now: datetime
) -> list[dict[str, Any]]:
    """Return the margin of each order on its own."""
    client = sessions.client(login_for(account_id=account.pk, now=now))
    return [_document(row) for row in client.order_margins([_plain(each, account, now=now) for each in orders])]


def basket_margins(
    *,
    account: BrokerAccount,
    orders: Sequence[Wanted],
    consider_positions: bool,
    sessions: Sessions,
    now: datetime,
) -> dict[str, Any]:
    """Return the margin of orders together: without and with their benefit for each other."""
    client = sessions.client(login_for(account_id=account.pk, now=now))
    plain = [_plain(each, account, now=now) for each in orders]
    found = client.basket_margins(plain, consider_positions=consider_positions)
    return {
        "initial": _document(found.initial),
        "final": _document(found.final),
        "orders": [_document(row) for row in found.orders],
    }


def charges(
    *, account: BrokerAccount, orders: Sequence[Wanted], sessions: Sessions, now: datetime
) -> list[dict[str, Any]]:
    """Return the virtual contract note; an order without a price is taken to trade at the last one."""
    client = sessions.client(login_for(account_id=account.pk, now=now))
    rows = []
    for number, each in enumerate(orders):
        price = each.price or _last(each, account, sessions=sessions, now=now)
        row = _plain(each, account, now=now)
        row |= {"order_id": str(number), "average_price": price}
        rows.append({name: value for name, value in row.items() if name not in {"price", "trigger_price"}})
    return [dict(row) for row in client.charges(rows)]


def _plain(wanted: Wanted, account: BrokerAccount, *, now: datetime) -> dict[str, object]:
    source = Source(account=account, client="", endpoint="margins", key="")
    return margin_of(draft(wanted, source=source, now=now), price=wanted.price or Decimal(0))


def _last(wanted: Wanted, account: BrokerAccount, *, sessions: Sessions, now: datetime) -> Decimal:
    instrument = instrument_by_symbol(exchange=wanted.exchange, tradingsymbol=wanted.tradingsymbol)
    return pricing.last_price(instrument=instrument, account_id=account.pk, sessions=sessions, now=now).rupees


def _document(row: MarginRow) -> dict[str, Any]:
    shown = {name: value for name, value in asdict(row).items() if name != "raw"}
    numbers = {name: float(value) if isinstance(value, Decimal) else value for name, value in shown.items()}
    return {**numbers, "charges": row.raw.get("charges")}
