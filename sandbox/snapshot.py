"""The running exchange as one JSON object, for the control API and the page."""

from __future__ import annotations

from sandbox.clock import stamp
from sandbox.ledger import Account
from sandbox.orders import order_row
from sandbox.site import Site

LAST_ORDERS = 30


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


def last_orders(site: Site) -> list[dict[str, object]]:
    orders = [order for account in site.exchange.accounts.values() for order in account.orders.values()]
    newest = sorted(orders, key=lambda order: order.sequence, reverse=True)[:LAST_ORDERS]
    return [order_row(order) for order in newest]
