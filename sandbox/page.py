"""The page to watch and drive the exchange: clock, users, books, last orders, faults, scenarios."""

from __future__ import annotations

import html
import json
from pathlib import Path

from aiohttp import web

from sandbox.pipeline import SITE
from sandbox.scenario import known_scenarios
from sandbox.site import Site
from sandbox.snapshot import last_orders, open_books, state_row

PAGES = Path(__file__).parent / "pages"
ORDER_COLUMNS = (
    "order_timestamp", "placed_by", "order_id", "exchange", "tradingsymbol", "transaction_type", "order_type",
    "quantity", "price", "average_price", "filled_quantity", "status", "tag",
)  # fmt: skip
USER_COLUMNS = ("user_id", "user_name", "sessions", "sockets", "orders", "open_orders", "cash", "available")
FAULT_COLUMNS = ("id", "kind", "user", "route", "seconds_left", "hits")
BOOK_COLUMNS = ("orders", "quantity", "bid", "ask", "quantity", "orders")
NUMBERS = frozenset(
    {"cash", "available", "price", "average_price", "filled_quantity", "quantity", "open_orders", "hits"}
)
JUMPS = ("06:00", "09:00", "09:15", "15:12", "15:30", "expiry")


async def show_page(request: web.Request) -> web.StreamResponse:
    site = request.app[SITE]
    state = state_row(site)
    faults = state["faults"]
    parts = {
        "now": html.escape(f"{site.clock.now():%a %d %b %Y  %H:%M:%S}"),
        "note": html.escape(_note(site)),
        "indices": _pairs(state["indices"]),
        "users": _table(USER_COLUMNS, [_user(site, row) for row in _rows(state["users"])]),
        "alarm": "alarm" if faults else "",
        "faults": _table(FAULT_COLUMNS, _rows(faults), name="fault"),
        "books": "".join(_book(name, quote) for name, quote in open_books(site)) or "<p class=note>none</p>",
        "orders": _table(ORDER_COLUMNS, last_orders(site)),
        "scenarios": "".join(
            f'<button data-path="/scenarios/{one.name}" data-label="{one.name}">{one.name}'
            f"<small>{html.escape(one.title)}</small></button>"
            for one in known_scenarios()
        ),
        "jumps": "".join(
            f"<button data-path=\"/clock\" data-body='{json.dumps({'jump': jump})}'>Jump to {jump}</button>"
            for jump in JUMPS
        ),
    }
    text = (PAGES / "status.html").read_text(encoding="utf-8")
    for name, value in parts.items():
        text = text.replace("{{" + name + "}}", value)
    return web.Response(text=text, content_type="text/html")


def _note(site: Site) -> str:
    """Say in one line what the exchange is doing."""
    clock, phases = site.clock, site.trading_day.phases
    shown = ", ".join(f"{name} {phases[name]}" for name in ("NSE", "NFO", "MCX") if name in phases)
    running = "paused" if clock.paused else f"running at {clock.speed:g}x"
    hours = "always open" if site.sessions.always else shown
    return f"IST, {running}; {hours}; {len(site.universe):,} instruments; seed {site.options.seed}"


def _rows(value: object) -> list[dict[str, object]]:
    return value if isinstance(value, list) else []


def _user(site: Site, row: dict[str, object]) -> dict[str, object]:
    """Return a user's row with one number in place of every nested value."""
    account = site.exchange.accounts[str(row["user_id"])]
    available = account.available(market=site.market, segment="equity")
    sockets = len(_rows(row["sockets"]))
    return {**row, "sockets": sockets, "cash": account.cash["equity"], "available": available}


def _pairs(values: object) -> str:
    if not isinstance(values, dict):
        return ""
    pairs = [(html.escape(str(name)), _text(float(value))) for name, value in values.items()]
    return "".join(f"<div><dt>{name}</dt><dd>{value}</dd></div>" for name, value in pairs)


def _book(name: str, levels: list[dict[str, object]]) -> str:
    head = "".join(f'<th class="right">{column}</th>' for column in BOOK_COLUMNS)
    body = "".join(
        "<tr>"
        + "".join(f'<td class="right {side}">{_text(level[column])}</td>' for column, side in _book_cells())
        + "</tr>"
        for level in levels
    )
    return f"<div><h3>{html.escape(name)}</h3><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"


def _book_cells() -> list[tuple[str, str]]:
    bids = [(f"bid_{column}", "buy") for column in ("orders", "quantity", "price")]
    return bids + [(f"ask_{column}", "sell") for column in ("price", "quantity", "orders")]


def _table(columns: tuple[str, ...], rows: list[dict[str, object]], *, name: str = "") -> str:
    if not rows:
        return '<p class="note">none</p>'
    head = "".join(f'<th class="{_align(column)}">{column.replace("_", " ")}</th>' for column in columns)
    cells = [[f'<td class="{_align(one)}{_side(row[one])}">{_text(row[one])}</td>' for one in columns] for row in rows]
    body = "".join(f"<tr>{''.join(row)}</tr>" for row in cells)
    return f'<table class="{name}"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'


def _align(column: str) -> str:
    return "right" if column in NUMBERS else ""


def _side(value: object) -> str:
    return {"BUY": " buy", "SELL": " sell"}.get(str(value), "")


def _text(value: object) -> str:
    if isinstance(value, float):
        return f"{value:,.2f}"
    return "" if value is None else html.escape(f"{value:,}" if type(value) is int else str(value))
