"""Good-till-triggered orders: conditions that watch the last price and place a limit order once."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from sandbox.clock import stamp
from sandbox.errors import KiteError, input_error
from sandbox.instruments import Instrument
from sandbox.orders import number

VALID_DAYS = 365
SHOWN_DAYS = 7
MAX_ACTIVE = 500
PRODUCTS = ("CNC", "NRML", "MTF")

PlaceLeg = Callable[[str, "Leg"], str]


class GttStatus(StrEnum):
    ACTIVE = "active"
    TRIGGERED = "triggered"
    DISABLED = "disabled"
    EXPIRED = "expired"
    CANCELLED = "cancelled"
    REJECTED = "rejected"
    DELETED = "deleted"


@dataclass(slots=True)
class Leg:
    """One order a trigger would place, and what became of it."""

    exchange: str
    tradingsymbol: str
    product: str
    order_type: str
    transaction_type: str
    quantity: int
    price: float
    result: dict[str, object] | None = None

    def row(self) -> dict[str, object]:
        return {
            "exchange": self.exchange,
            "tradingsymbol": self.tradingsymbol,
            "product": self.product,
            "order_type": self.order_type,
            "transaction_type": self.transaction_type,
            "quantity": self.quantity,
            "price": number(self.price),
            "result": self.result,
        }


@dataclass(slots=True)
class Gtt:
    """One trigger of one user."""

    number: int
    user_id: str
    kind: str
    row: int
    instrument_token: int
    exchange: str
    tradingsymbol: str
    trigger_values: list[float]
    last_price: float
    legs: list[Leg]
    created_at: datetime
    updated_at: datetime
    expires_at: datetime
    status: GttStatus = GttStatus.ACTIVE

    def due(self, last: float) -> int | None:
        """Return the position of the leg whose trigger `last` has reached."""
        if self.kind == "two-leg":
            low, high = self.trigger_values
            return 0 if last <= low else 1 if last >= high else None
        trigger = self.trigger_values[0]
        reached = last >= trigger if trigger > self.last_price else last <= trigger
        return 0 if reached else None

    def as_row(self) -> dict[str, object]:
        return {
            "id": self.number,
            "user_id": self.user_id,
            "parent_trigger": None,
            "type": self.kind,
            "created_at": stamp(self.created_at),
            "updated_at": stamp(self.updated_at),
            "expires_at": stamp(self.expires_at),
            "status": self.status.value,
            "condition": {
                "exchange": self.exchange,
                "last_price": number(self.last_price),
                "tradingsymbol": self.tradingsymbol,
                "trigger_values": [number(value) for value in self.trigger_values],
                "instrument_token": self.instrument_token,
            },
            "orders": [leg.row() for leg in self.legs],
            "meta": {},
        }


@dataclass(frozen=True, slots=True)
class GttRequest:
    """A checked trigger form."""

    kind: str
    exchange: str
    tradingsymbol: str
    trigger_values: list[float]
    last_price: float
    legs: list[Leg]


def parse_gtt(form: dict[str, str]) -> GttRequest:
    kind = form.get("type", "")
    if kind not in {"single", "two-leg"}:
        raise input_error("Invalid `type`.")
    condition, orders = _json(form, "condition"), _json(form, "orders")
    if not isinstance(condition, dict) or not isinstance(orders, list):
        raise input_error("Invalid `condition` or `orders`.")
    values = condition.get("trigger_values")
    wanted = 1 if kind == "single" else 2
    if not isinstance(values, list) or len(values) != wanted or len(orders) != wanted:
        raise input_error("Invalid `trigger_values`.")
    triggers = [_price(value, "trigger_values") for value in values]
    if triggers != sorted(triggers):
        raise input_error("`trigger_values` should be in ascending order.")
    exchange, symbol = str(condition.get("exchange", "")), str(condition.get("tradingsymbol", ""))
    return GttRequest(
        kind, exchange, symbol, triggers, _price(condition.get("last_price"), "last_price"),
        [_leg(order, exchange, symbol) for order in orders],
    )  # fmt: skip


def _leg(order: object, exchange: str, symbol: str) -> Leg:
    if not isinstance(order, dict):
        raise input_error("Invalid `orders`.")
    quantity, side, product = order.get("quantity"), order.get("transaction_type"), order.get("product")
    if not isinstance(quantity, int) or quantity < 1:
        raise input_error("Invalid `quantity`.")
    if side not in {"BUY", "SELL"} or product not in PRODUCTS or order.get("order_type") != "LIMIT":
        raise input_error("GTT orders are LIMIT orders in CNC, NRML or MTF.")
    return Leg(exchange, symbol, str(product), "LIMIT", str(side), quantity, _price(order.get("price"), "price"))


def _json(form: dict[str, str], name: str) -> object:
    try:
        return json.loads(form.get(name, ""))
    except ValueError:
        raise input_error(f"Invalid `{name}`.") from None


def _price(value: object, name: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 1e9:
        raise input_error(f"Invalid `{name}`.")
    return float(value)


@dataclass(slots=True)
class GttBook:
    """All triggers; `place_leg(user_id, leg)` returns an order id or raises the refusal."""

    place_leg: PlaceLeg
    triggers: dict[int, Gtt] = field(default_factory=dict)
    numbers: itertools.count[int] = field(default_factory=lambda: itertools.count(100_001))

    def place(self, *, user_id: str, request: GttRequest, instrument: Instrument, row: int, now: datetime) -> Gtt:
        active = sum(one.user_id == user_id and one.status is GttStatus.ACTIVE for one in self.triggers.values())
        if active >= MAX_ACTIVE:
            raise input_error(f"Maximum of {MAX_ACTIVE} active GTTs are allowed.")
        gtt = Gtt(
            next(self.numbers), user_id, request.kind, row, instrument.token, request.exchange, request.tradingsymbol,
            request.trigger_values, request.last_price, request.legs, now, now, now + timedelta(days=VALID_DAYS),
        )  # fmt: skip
        self.triggers[gtt.number] = gtt
        return gtt

    def find(self, *, user_id: str, number_text: str) -> Gtt:
        gtt = self.triggers.get(int(number_text)) if number_text.isascii() and number_text.isdigit() else None
        if gtt is None or gtt.user_id != user_id or gtt.status is GttStatus.DELETED:
            raise KiteError(404, "GeneralException", "Trigger not found")
        return gtt

    def modify(self, gtt: Gtt, *, request: GttRequest, now: datetime) -> None:
        if gtt.status is not GttStatus.ACTIVE:
            raise input_error("Only active GTTs can be modified.")
        if (request.exchange, request.tradingsymbol) != (gtt.exchange, gtt.tradingsymbol):
            raise input_error("Invalid `tradingsymbol`.")
        gtt.kind, gtt.trigger_values, gtt.legs = request.kind, request.trigger_values, request.legs
        gtt.last_price, gtt.updated_at = request.last_price, now

    def delete(self, gtt: Gtt, *, now: datetime) -> None:
        gtt.status, gtt.updated_at = GttStatus.DELETED, now

    def shown(self, *, user_id: str, now: datetime) -> list[Gtt]:
        recent = now - timedelta(days=SHOWN_DAYS)
        return [
            one
            for one in self.triggers.values()
            if one.user_id == user_id
            and one.status is not GttStatus.DELETED
            and (one.status is GttStatus.ACTIVE or one.updated_at >= recent)
        ]

    def watch(
        self, *, last_price: Callable[[int], float], now: datetime, trades: Callable[[int], bool] = lambda _row: True
    ) -> None:
        """Fire the triggers that the market has reached while it `trades`; expire old ones."""
        for gtt in list(self.triggers.values()):
            if gtt.status is not GttStatus.ACTIVE or not trades(gtt.row):
                continue
            last = last_price(gtt.row)
            position = gtt.due(last)
            if position is not None:
                self._fire(gtt, gtt.legs[position], last, now)
            elif now >= gtt.expires_at:
                gtt.status, gtt.updated_at = GttStatus.EXPIRED, now

    def _fire(self, gtt: Gtt, leg: Leg, last: float, now: datetime) -> None:
        gtt.status, gtt.updated_at = GttStatus.TRIGGERED, now
        outcome = {"status": "success", "order_id": "", "rejection_reason": ""}
        try:
            outcome["order_id"] = self.place_leg(gtt.user_id, leg)
        except KiteError as error:
            outcome.update(status="failed", rejection_reason=error.message)
        leg.result = {
            **{name: value for name, value in leg.row().items() if name != "result"},
            "account_id": gtt.user_id,
            "validity": "DAY",
            "meta": json.dumps({"gtt": gtt.number}),
            "timestamp": stamp(now),
            "triggered_at": number(last),
            "order_result": outcome,
        }
