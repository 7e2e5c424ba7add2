"""The page to watch the exchange: clock, users, indices, last orders, faults."""

from __future__ import annotations

import html
from pathlib import Path

from aiohttp import web

from sandbox.pipeline import SITE
from sandbox.scenario import known_scenarios
from sandbox.snapshot import last_orders, state_row

PAGES = Path(__file__).parent / "pages"
ORDER_COLUMNS = (
    "order_timestamp", "placed_by", "order_id", "exchange", "tradingsymbol", "transaction_type", "order_type",
    "quantity", "price", "average_price", "filled_quantity", "status", "tag",
)  # fmt: skip
USER_COLUMNS = ("user_id", "user_name", "sessions", "orders", "open_orders", "available")
FAULT_COLUMNS = ("id", "kind", "user", "route", "count", "probability", "seconds_left", "hits")


async def show_page(request: web.Request) -> web.StreamResponse:
    site = request.app[SITE]
    state = state_row(site)
    text = (PAGES / "status.html").read_text(encoding="utf-8")
    parts = {
        "clock": _pairs(state["clock"]),
        "indices": _pairs(state["indices"]),
        "users": _table(USER_COLUMNS, state["users"]),
        "orders": _table(ORDER_COLUMNS, last_orders(site)),
        "faults": _table(FAULT_COLUMNS, state["faults"]),
        "scenarios": "".join(
            f'<button data-path="/scenarios/{one.name}">{html.escape(one.title)}</button>' for one in known_scenarios()
        ),
    }
    for name, value in parts.items():
        text = text.replace("{{" + name + "}}", value)
    return web.Response(text=text, content_type="text/html")


def _pairs(values: object) -> str:
    if not isinstance(values, dict):
        return ""
    pairs = [(html.escape(str(name)), html.escape(str(value))) for name, value in values.items()]
    return "".join(f"<dt>{name}</dt><dd>{value}</dd>" for name, value in pairs)


def _table(columns: tuple[str, ...], rows: object) -> str:
    if not isinstance(rows, list) or not rows:
        return "<p>none</p>"
    head = "".join(f"<th>{column.replace('_', ' ')}</th>" for column in columns)
    body = "".join(
        "<tr>" + "".join(f"<td>{html.escape(str(row[column]))}</td>" for column in columns) + "</tr>" for row in rows
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
