"""Mutual funds: a small fund list, holdings, orders and SIPs of every user."""

from __future__ import annotations

import uuid
import zlib
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

from sandbox.clock import stamp
from sandbox.errors import KiteError, input_error
from sandbox.params import choice, decimal, required, whole

COLUMNS = (
    "tradingsymbol", "amc", "name", "purchase_allowed", "redemption_allowed", "minimum_purchase_amount",
    "purchase_amount_multiplier", "minimum_additional_purchase_amount", "minimum_redemption_quantity",
    "redemption_quantity_multiplier", "dividend_type", "scheme_type", "plan", "settlement_type", "last_price",
    "last_price_date",
)  # fmt: skip
HOUSES = ("Alpine", "Banyan", "Cedar", "Deccan", "Ember")
SCHEMES = (("Large Cap", "equity", 84.0), ("Flexi Cap", "equity", 61.0), ("Liquid", "liquid", 2_400.0),
           ("Short Duration", "debt", 38.0), ("Tax Saver", "elss", 112.0))  # fmt: skip
FREQUENCIES = {"weekly": 7, "monthly": 30, "quarterly": 91}
SIP_STATUSES = ("active", "paused")


@dataclass(frozen=True, slots=True)
class Fund:
    tradingsymbol: str
    amc: str
    name: str
    scheme_type: str
    price: float


def funds() -> list[Fund]:
    found = []
    for house in HOUSES:
        for scheme, kind, price in SCHEMES:
            name = f"{house} {scheme} Fund - Direct Plan"
            code = f"INF{zlib.crc32(name.encode()) % 1_000:03d}S01{zlib.crc32(scheme.encode()) % 1000:03d}"
            found.append(Fund(code, f"{house}MutualFund_MF", name, kind, price))
    return found


def funds_csv(today: date) -> bytes:
    day = (today - timedelta(days=1)).isoformat()
    lines = [",".join(COLUMNS)]
    lines += [
        f"{fund.tradingsymbol},{fund.amc},{fund.name},1,1,1000.0,1.0,1000.0,0.001,0.001,growth,{fund.scheme_type},"
        f"direct,T3,{fund.price},{day}"
        for fund in funds()
    ]
    return ("\n".join(lines) + "\n").encode()


@dataclass(slots=True)
class FundBook:
    """Orders, SIPs and holdings by user."""

    orders: dict[str, dict[str, dict[str, object]]] = field(default_factory=dict)
    sips: dict[str, dict[str, dict[str, object]]] = field(default_factory=dict)
    catalogue: dict[str, Fund] = field(default_factory=lambda: {fund.tradingsymbol: fund for fund in funds()})

    def fund(self, form: dict[str, str]) -> Fund:
        fund = self.catalogue.get(required(form, "tradingsymbol"))
        if fund is None:
            raise input_error("Invalid `tradingsymbol`.")
        return fund

    def place(self, *, user_id: str, form: dict[str, str], now: datetime) -> str:
        fund = self.fund(form)
        side = choice(form, "transaction_type", ("BUY", "SELL"))
        amount = decimal(form, "amount", default=0.0)
        quantity = decimal(form, "quantity", default=0.0)
        if (amount if side == "BUY" else quantity) <= 0:
            raise input_error("Invalid `amount`." if side == "BUY" else "Invalid `quantity`.")
        order_id = str(uuid.uuid4())
        self.orders.setdefault(user_id, {})[order_id] = {
            "status": "OPEN", "purchase_type": "FRESH", "folio": None, "order_timestamp": stamp(now),
            "average_price": 0.0, "exchange_order_id": None, "last_price": fund.price,
            "tradingsymbol": fund.tradingsymbol, "settlement_id": None, "transaction_type": side,
            "order_id": order_id, "amount": amount, "tag": form.get("tag") or None, "placed_by": user_id,
            "exchange_timestamp": None, "variety": "regular",
            "last_price_date": (now.date() - timedelta(days=1)).isoformat(), "status_message": "",
            "fund": fund.name, "quantity": quantity,
        }  # fmt: skip
        return order_id

    def order(self, *, user_id: str, order_id: str) -> dict[str, object]:
        return _found(self.orders.get(user_id, {}), order_id, "order_id")

    def place_sip(self, *, user_id: str, form: dict[str, str], now: datetime) -> dict[str, str]:
        """Register a SIP; an `initial_amount` is paid by an order of its own, at once."""
        fund = self.fund(form)
        frequency = choice(form, "frequency", tuple(FREQUENCIES))
        instalments = -1 if form.get("instalments") == "-1" else whole(form, "instalments")
        sip_id = str(uuid.uuid4().int % 10**15).zfill(15)
        self.sips.setdefault(user_id, {})[sip_id] = {
            "status": "ACTIVE", "sip_reg_num": None, "created": stamp(now), "dividend_type": "growth",
            "instalment_amount": decimal(form, "amount"), "fund": fund.name, "instalments": instalments,
            "next_instalment": (now.date() + timedelta(days=FREQUENCIES[frequency])).isoformat(),
            "transaction_type": "BUY", "trigger_price": 0, "step_up": {}, "tradingsymbol": fund.tradingsymbol,
            "tag": form.get("tag") or None, "frequency": frequency, "last_instalment": stamp(now),
            "pending_instalments": instalments, "instalment_day": whole(form, "instalment_day", default=0),
            "sip_type": "sip", "completed_instalments": 0, "sip_id": sip_id, "fund_source": "pool",
        }  # fmt: skip
        first = decimal(form, "initial_amount", default=0.0)
        if first <= 0:
            return {"sip_id": sip_id}
        order = {"tradingsymbol": fund.tradingsymbol, "transaction_type": "BUY", "amount": str(first)}
        return {"order_id": self.place(user_id=user_id, form=order, now=now), "sip_id": sip_id}

    def sip(self, *, user_id: str, sip_id: str) -> dict[str, object]:
        return _found(self.sips.get(user_id, {}), sip_id, "sip_id")

    def modify_sip(self, sip: dict[str, object], form: dict[str, str]) -> None:
        if form.get("amount"):
            sip["instalment_amount"] = decimal(form, "amount")
        if form.get("status"):
            sip["status"] = choice(form, "status", SIP_STATUSES).upper()
        if form.get("instalments"):
            sip["instalments"] = -1 if form["instalments"] == "-1" else whole(form, "instalments")
        if form.get("frequency"):
            sip["frequency"] = choice(form, "frequency", tuple(FREQUENCIES))
        if form.get("instalment_day"):
            sip["instalment_day"] = whole(form, "instalment_day")

    def holdings(self, user_id: str) -> list[dict[str, object]]:
        offset = zlib.crc32(user_id.encode())
        chosen = [list(self.catalogue.values())[(offset + step * 7) % len(self.catalogue)] for step in range(3)]
        return [
            {
                "folio": str(3_100_000_000 + (offset + position) % 900_000_000),
                "average_price": round(fund.price * 0.93, 4),
                "last_price": fund.price,
                "last_price_date": "",
                "pledged_quantity": 0,
                "fund": fund.name,
                "tradingsymbol": fund.tradingsymbol,
                "pnl": 0,
                "quantity": round(40 + offset % 300 / 7 + position, 3),
            }
            for position, fund in enumerate(chosen)
        ]

    def trades(self, *, user_id: str, tradingsymbol: str, today: date) -> list[dict[str, object]]:
        """Return the purchases behind a holding: one, a quarter ago."""
        rows = {str(row["tradingsymbol"]): row for row in self.holdings(user_id)}
        row = _found(rows, tradingsymbol, "isin")
        quantity, price = float(str(row["quantity"])), float(str(row["average_price"]))
        return [
            {
                "fund": row["fund"], "tradingsymbol": tradingsymbol, "average_price": price, "variety": "regular",
                "exchange_timestamp": (today - timedelta(days=91)).isoformat(), "folio": row["folio"],
                "amount": round(quantity * price, 2), "quantity": quantity,
            }
        ]  # fmt: skip


def _found(rows: dict[str, dict[str, object]], key: str, name: str) -> dict[str, object]:
    if key not in rows:
        raise KiteError(404, "GeneralException", f"Couldn't find that `{name}`.")
    return rows[key]
