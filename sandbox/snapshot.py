"""The running exchange as one JSON object, for the control API and the page."""

from __future__ import annotations

from sandbox.clock import stamp
from sandbox.ledger import Account
from sandbox.market import LEVELS
from sandbox.orders import order_row
from sandbox.site import Site

LAST_ORDERS = 30
SHOWN_BOOKS = 6


def state_row(site: Site) -> dict[str, object]:
    clock, market = site.clock, site.market
    return {
        "clock": {
            "now": stamp(clock.now()),
            "date": clock.today().isoformat(),
            "paused": clock.paused,
            "speed": clock.speed,
            "sessions": "always" if site.sessions.always else "real",
        },
        "seed": site.options.seed,
        "step": market.step_number,
        "interval": site.options.interval,
        "instruments": len(site.universe),
        "orders_accepted": site.exchange.accepted,
        "requests_throttled": site.limits.refused,
        "journal": len(site.journal),
        "postbacks": {"sent": site.postbacks.sent, "failed": site.postbacks.failed, "url": site.options.postback},
        "faults": site.faults.rows(),
        "users": [user_row(site, account) for account in site.exchange.accounts.values()],
        "indices": {
            instrument.tradingsymbol: market.last_price(row)
            for row, instrument in enumerate(site.universe.instruments)
            if instrument.is_index
        },
    }


def user_row(site: Site, account: Account) -> dict[str, object]:
    user = account.user
    now = site.clock.now()
    sockets = site.streamer.of_user(user.user_id)
    return {
        "user_id": user.user_id,
        "user_name": user.user_name,
        "sessions": sum(session.dies_at > now for session in site.logins.sessions.get(user.user_id, ())),
        "sockets": [
            {
                "subscribed": socket.subscribed,
                "frames": socket.frames,
                "packets": socket.packets,
                "opened": socket.opened,
            }
            for socket in sockets
        ],
        "orders": len(account.orders),
        "open_orders": sum(order.is_open for order in account.orders.values()),
        "cash": account.cash,
        "available": {
            segment: round(account.available(market=site.market, segment=segment), 2) for segment in account.cash
        },
    }


def open_books(site: Site) -> list[tuple[str, list[dict[str, object]]]]:
    """Return the five levels of the books in which users' orders wait, newest first."""
    market, found = site.market, []
    for row in list(site.exchange.matcher.books)[: -SHOWN_BOOKS - 1 : -1]:
        levels: list[dict[str, object]] = [
            {
                "bid_orders": int(market.bid_orders[row, level]),
                "bid_quantity": int(market.bid_quantity[row, level]),
                "bid_price": market.rupees(row=row, units=int(market.bid_price[row, level])),
                "ask_price": market.rupees(row=row, units=int(market.ask_price[row, level])),
                "ask_quantity": int(market.ask_quantity[row, level]),
                "ask_orders": int(market.ask_orders[row, level]),
            }
            for level in range(LEVELS)
        ]
        found.append((f"{site.universe.instruments[row].key}  {market.last_price(row):,.2f}", levels))
    return found


def last_orders(site: Site) -> list[dict[str, object]]:
    orders = [order for account in site.exchange.accounts.values() for order in account.orders.values()]
    newest = sorted(orders, key=lambda order: order.sequence, reverse=True)[:LAST_ORDERS]
    return [order_row(order) for order in newest]
