"""Price alerts: simple ones count, ATO ones also place the orders of their basket."""

from __future__ import annotations

import json
import operator
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from sandbox.clock import stamp
from sandbox.errors import KiteError, input_error
from sandbox.orders import number
from sandbox.params import choice, decimal, required

OPERATORS = {"<=": operator.le, ">=": operator.ge, "<": operator.lt, ">": operator.gt, "==": operator.eq}
MAX_ACTIVE = 500
ATTRIBUTE = "LastTradedPrice"

# What a basket's order has when its maker did not say; and what an index, in an alert's history, has as a share has.
ITEM_PARAMS: dict[str, object] = {
    "validity": "DAY", "validity_ttl": 0, "variety": "regular", "disclosed_quantity": 0, "price": 0, "trigger_price": 0,
    "squareoff": 0, "stoploss": 0, "trailing_stoploss": 0, "gtt": {"target": 0, "stoploss": 0}, "tags": [],
}  # fmt: skip
NOT_TRADED: dict[str, object] = {
    "last_trade_time": "0001-01-01 00:00:00", "last_quantity": 0, "buy_quantity": 0, "sell_quantity": 0, "volume": 0,
    "average_price": 0, "oi": 0, "oi_day_high": 0, "oi_day_low": 0, "lower_circuit_limit": 0, "upper_circuit_limit": 0,
}  # fmt: skip

PlaceItem = Callable[[str, dict[str, object]], str]
QuoteOf = Callable[[int], dict[str, object]]


@dataclass(frozen=True, slots=True)
class Side:
    """One side of a comparison: an instrument's last price."""

    exchange: str
    tradingsymbol: str
    row: int

    @property
    def label(self) -> str:
        return f'{ATTRIBUTE}("{self.exchange}:{self.tradingsymbol}")'


@dataclass(slots=True)
class Alert:
    """One alert of one user."""

    uuid: str
    user_id: str
    kind: str
    name: str
    left: Side
    operator: str
    right: Side | None
    constant: float
    basket: dict[str, object] | None
    created_at: datetime
    updated_at: datetime
    status: str = "enabled"
    count: int = 0
    history: list[dict[str, object]] = field(default_factory=list)

    def as_row(self) -> dict[str, object]:
        row: dict[str, object] = {
            "type": self.kind,
            "user_id": self.user_id,
            "uuid": self.uuid,
            "name": self.name,
            "status": self.status,
            "disabled_reason": "",
            "lhs_attribute": ATTRIBUTE,
            "lhs_exchange": self.left.exchange,
            "lhs_tradingsymbol": self.left.tradingsymbol,
            "operator": self.operator,
            "rhs_type": "instrument" if self.right else "constant",
            "rhs_attribute": ATTRIBUTE if self.right else "",
            "rhs_exchange": self.right.exchange if self.right else "",
            "rhs_tradingsymbol": self.right.tradingsymbol if self.right else "",
            "rhs_constant": number(self.constant),
            "alert_count": self.count,
            "created_at": stamp(self.created_at),
            "updated_at": stamp(self.updated_at),
        }
        if self.basket is not None:
            row["basket"] = self.basket
        return row

    @property
    def condition(self) -> str:
        right = self.right.label if self.right else str(number(self.constant))
        return f"{self.left.label} {self.operator} {right}"


@dataclass(slots=True)
class AlertBook:
    """All alerts of all users."""

    find_row: Callable[[str, str], int | None]
    last_price: Callable[[int], float]
    token_of: Callable[[int], int]
    quote_of: QuoteOf
    place_item: PlaceItem
    alerts: dict[str, Alert] = field(default_factory=dict)

    def create(self, *, user_id: str, form: dict[str, str], now: datetime) -> Alert:
        if sum(one.user_id == user_id and one.status == "enabled" for one in self.alerts.values()) >= MAX_ACTIVE:
            raise input_error(f"Maximum of {MAX_ACTIVE} active alerts are allowed.")
        alert = self._parse(str(uuid.uuid4()), user_id, form, now)
        self.alerts[alert.uuid] = alert
        return alert

    def modify(self, alert: Alert, *, form: dict[str, str], now: datetime) -> Alert:
        changed = self._parse(alert.uuid, alert.user_id, form, now)
        changed.created_at, changed.count, changed.history = alert.created_at, alert.count, alert.history
        self.alerts[alert.uuid] = changed
        return changed

    def find(self, *, user_id: str, name: str) -> Alert:
        alert = self.alerts.get(name)
        if alert is None or alert.user_id != user_id or alert.status == "deleted":
            raise KiteError(404, "GeneralException", "Alert not found")
        return alert

    def shown(self, *, user_id: str) -> list[Alert]:
        return [one for one in self.alerts.values() if one.user_id == user_id and one.status != "deleted"]

    def watch(self, *, now: datetime) -> None:
        """Fire the enabled alerts whose condition holds; each fires once and is then disabled."""
        for alert in self.alerts.values():
            if alert.status != "enabled":
                continue
            right = self.last_price(alert.right.row) if alert.right else alert.constant
            if OPERATORS[alert.operator](self.last_price(alert.left.row), right):
                self._fire(alert, now)

    def _fire(self, alert: Alert, now: datetime) -> None:
        alert.count += 1
        alert.status, alert.updated_at = "disabled", now
        quote = {**NOT_TRADED, **self.quote_of(alert.left.row), "exchange": alert.left.exchange, "volume_tick": 0}
        quote.pop("depth", None)
        quote["tradingsymbol"] = alert.left.tradingsymbol
        alert.history.append(
            {
                "uuid": alert.uuid,
                "type": alert.kind,
                "meta": [quote],
                "condition": alert.condition,
                "created_at": stamp(now),
                "order_meta": self._place_basket(alert),
            }
        )

    def _place_basket(self, alert: Alert) -> list[dict[str, object]] | None:
        items = alert.basket.get("items") if alert.basket else None
        if not isinstance(items, list):
            return None
        outcomes: list[dict[str, object]] = []
        for item in items:
            try:
                outcomes.append({"order_id": self.place_item(alert.user_id, item), "status": "success"})
            except KiteError as error:
                outcomes.append({"order_id": "", "status": "failed", "rejection_reason": error.message})
        return outcomes

    def _parse(self, name: str, user_id: str, form: dict[str, str], now: datetime) -> Alert:
        kind = choice(form, "type", ("simple", "ato"))
        compare = choice(form, "operator", tuple(OPERATORS))
        right_kind = choice(form, "rhs_type", ("constant", "instrument"))
        choice(form, "lhs_attribute", (ATTRIBUTE,))
        return Alert(
            name, user_id, kind, required(form, "name"), self._side(form, "lhs"), compare,
            self._side(form, "rhs") if right_kind == "instrument" else None,
            decimal(form, "rhs_constant") if right_kind == "constant" else 0.0,
            self._basket(form) if kind == "ato" else None, now, now,
        )  # fmt: skip

    def _side(self, form: dict[str, str], side: str) -> Side:
        exchange, symbol = required(form, f"{side}_exchange"), required(form, f"{side}_tradingsymbol")
        row = self.find_row(exchange, symbol)
        if row is None:
            raise input_error(f"Invalid `{side}_tradingsymbol`.")
        return Side(exchange, symbol, row)

    def _basket(self, form: dict[str, str]) -> dict[str, object]:
        """Return the basket with what its maker left out of each order."""
        try:
            basket = json.loads(required(form, "basket"))
        except ValueError:
            raise input_error("Invalid `basket`.") from None
        items = basket.get("items") if isinstance(basket, dict) else None
        if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
            raise input_error("Invalid `basket`.")
        return {**basket, "items": [self._complete(item, number) for number, item in enumerate(items, start=1)]}

    def _complete(self, item: dict[str, object], number: int) -> dict[str, object]:
        row = self.find_row(str(item.get("exchange")), str(item.get("tradingsymbol")))
        known = {"id": number, "instrument_token": 0 if row is None else self.token_of(row), "weight": 10_000}
        params = item.get("params")
        return {**known, **item, "params": {**ITEM_PARAMS, **(params if isinstance(params, dict) else {})}}
