"""What survives a restart: sessions, money, positions, today's orders and triggers, as one private JSON file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, fields
from datetime import datetime
from pathlib import Path
from typing import Any

from sandbox.accounts import Session, write_private
from sandbox.alerts import Alert, Side
from sandbox.clock import next_death
from sandbox.gtt import Gtt, GttStatus, Leg
from sandbox.ledger import Account
from sandbox.orders import TERMINAL, Order, Plan, Status, Trade
from sandbox.portfolio import Holding, Position
from sandbox.site import Site
from sandbox.varieties import watch_plan

TIMES = frozenset({"ordered_at", "updated_at", "exchanged_at", "at", "created_at", "expires_at", "login_at", "dies_at"})
SAVE_SECONDS = 2.0


def save(site: Site, path: Path) -> None:
    write_private(path, _document(site))


def _document(site: Site) -> dict[str, object]:
    return {
        "day": site.day.isoformat(),
        "now": site.clock.now().isoformat(),
        "accounts": _accounts(site),
        "gtts": _gtts(site),
        "alerts": [_plain(asdict(alert)) for alert in site.alerts.alerts.values()],
        "fund_orders": site.funds.orders,
        "fund_sips": site.funds.sips,
        "order_days": site.limits.order_days(),
    }


def load(site: Site, path: Path) -> bool:
    """Take over a saved state of the same date; older ones keep sessions out and orders away."""
    if not path.exists():
        return False
    document = json.loads(path.read_text())
    same_day = document["day"] == site.day.isoformat()
    if same_day and site.options.clock == "open" and "now" in document:
        site.clock.jump(max(site.clock.now(), datetime.fromisoformat(document["now"])))
    for user_id, saved in document["accounts"].items():
        if user_id in site.exchange.accounts:
            _restore(site, site.exchange.accounts[user_id], saved, same_day=same_day)
    for row in document["gtts"]:
        _restore_gtt(site, row)
    for row in document.get("alerts", ()):
        _restore_alert(site, row)
    site.funds.orders.update(document.get("fund_orders", {}))
    site.funds.sips.update(document.get("fund_sips", {}))
    if same_day:
        site.limits.resume_days(document.get("order_days", {}), today=site.day)
    return True


def _restore_alert(site: Site, saved: dict[str, Any]) -> None:
    """Take over an alert unless one of its instruments is no longer listed."""
    left, right = _restore_side(site, saved["left"]), _restore_side(site, saved["right"])
    if left is None or (saved["right"] is not None and right is None):
        return
    alert = Alert(**{**_timed(saved), "left": left, "right": right})
    site.alerts.alerts[alert.uuid] = alert


def _restore_side(site: Site, saved: dict[str, Any] | None) -> Side | None:
    if saved is None:
        return None
    row = site.alerts.find_row(saved["exchange"], saved["tradingsymbol"])
    return None if row is None else Side(saved["exchange"], saved["tradingsymbol"], row)


def _accounts(site: Site) -> dict[str, object]:
    return {user_id: _account(site, account) for user_id, account in site.exchange.accounts.items()}


def _account(site: Site, account: Account) -> dict[str, object]:
    keys = [instrument.key for instrument in site.universe.instruments]
    portfolio = account.portfolio
    return {
        "cash": account.cash,
        "sessions": [_plain(asdict(one)) for one in site.logins.sessions.get(account.user.user_id, ())],
        "positions": [{**asdict(one), "key": keys[one.row]} for one in portfolio.positions.values()],
        "holdings": [{**asdict(one), "key": keys[one.row]} for one in portfolio.holdings.values()],
        "orders": [_order(order) for order in account.orders.values()],
    }


def _order(order: Order) -> dict[str, object]:
    row = _flat(order)
    row["trades"] = [_plain(asdict(trade)) for trade in order.trades]
    row["history"] = [_flat(state) for state in order.history]
    row["plan"] = None if order.plan is None else asdict(order.plan)
    return row


def _flat(order: Order) -> dict[str, object]:
    names = [one.name for one in fields(order) if one.name not in {"history", "trades", "row", "plan"}]
    return _plain({name: getattr(order, name) for name in names})


def _plain(row: Mapping[str, object]) -> dict[str, object]:
    return {name: value.isoformat() if isinstance(value, datetime) else value for name, value in row.items()}


def _timed(row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: datetime.fromisoformat(value) if name in TIMES and isinstance(value, str) else value
        for name, value in row.items()
    }


def _restore(site: Site, account: Account, saved: dict[str, Any], *, same_day: bool) -> None:
    account.cash = saved["cash"]
    account.portfolio.holdings = {}
    for row in saved["holdings"]:
        _restore_line(site, account, row, Holding)
    for row in saved["positions"]:
        _restore_line(site, account, row, Position)
    now = site.clock.now()
    sessions = [Session(**_timed(row)) for row in saved["sessions"]]
    site.logins.sessions[account.user.user_id] = [one for one in sessions if next_death(one.login_at) > now]
    if not same_day:
        return
    for row in saved["orders"]:
        _restore_order(site, account, row)


def _restore_line(site: Site, account: Account, saved: dict[str, Any], kind: type[Holding] | type[Position]) -> None:
    row = site.universe.by_key.get(saved.pop("key"))
    if row is None:
        return
    line = kind(**{**saved, "row": row})
    if isinstance(line, Position):
        account.portfolio.positions[(row, line.product)] = line
    else:
        account.portfolio.holdings[row] = line


def _restore_order(site: Site, account: Account, saved: dict[str, Any]) -> None:
    row = site.universe.by_key.get(f"{saved['exchange']}:{saved['tradingsymbol']}")
    if row is None:
        return
    order = _read_order(saved, row)
    order.history = [_read_order(state, row) for state in saved["history"]]
    order.trades = [Trade(**_timed(trade)) for trade in saved["trades"]]
    order.plan = Plan(**saved["plan"]) if saved.get("plan") else None
    account.orders[order.order_id] = order
    if order.status in TERMINAL:
        return
    account.block(order, site.exchange.instrument(order))
    watch_plan(exchange=site.exchange, account=account, order=order)
    if order.status is Status.TRIGGER_PENDING:
        site.exchange.matcher.add_stop(order)
    elif order.status is not Status.AMO_RECEIVED:
        order.status = Status.OPEN
        site.exchange.matcher.place(order, rest=True)


def _read_order(saved: dict[str, Any], row: int) -> Order:
    values = {name: value for name, value in _timed(saved).items() if name not in {"history", "trades", "plan"}}
    return Order(**{**values, "row": row, "status": Status(values["status"])})


def _gtts(site: Site) -> list[dict[str, object]]:
    return [_plain(asdict(gtt)) for gtt in site.gtts.triggers.values()]


def _restore_gtt(site: Site, saved: dict[str, Any]) -> None:
    row = site.universe.by_key.get(f"{saved['exchange']}:{saved['tradingsymbol']}")
    if row is None:
        return
    legs = [Leg(**leg) for leg in saved["legs"]]
    gtt = Gtt(**{**_timed(saved), "row": row, "legs": legs, "status": GttStatus(saved["status"])})
    site.gtts.triggers[gtt.number] = gtt
    while next(site.gtts.numbers) < gtt.number:
        continue
