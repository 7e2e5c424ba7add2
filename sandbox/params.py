"""Order parameters as they arrive: forms of text, checked word by word before anything else."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

from sandbox.errors import KiteError, input_error

VARIETIES = ("regular", "amo", "co", "iceberg", "auction")
TRANSACTION_TYPES = ("BUY", "SELL")
ORDER_TYPES = ("MARKET", "LIMIT", "SL", "SL-M")
PRODUCTS = ("CNC", "NRML", "MIS", "MTF", "CO")
VALIDITIES = ("DAY", "IOC", "TTL")
EXCHANGES = ("NSE", "BSE", "NFO", "BFO", "CDS", "BCD", "MCX", "NCO")
TAG = re.compile(r"[A-Za-z0-9]{1,20}")
MAX_QUANTITY = 10**9

Form = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class OrderParams:
    """A well-formed order request."""

    variety: str
    exchange: str
    tradingsymbol: str
    transaction_type: str
    order_type: str
    product: str
    quantity: int
    validity: str
    price: float
    trigger_price: float
    disclosed_quantity: int
    validity_ttl: int
    market_protection: float
    iceberg_legs: int
    iceberg_quantity: int
    auction_number: str | None
    algo_id: str | None
    tag: str | None
    autoslice: bool


def parse_order(form: Form, *, variety: str) -> OrderParams:
    order_type = choice(form, "order_type", ORDER_TYPES)
    return OrderParams(
        variety=variety,
        exchange=choice(form, "exchange", EXCHANGES),
        tradingsymbol=required(form, "tradingsymbol"),
        transaction_type=choice(form, "transaction_type", TRANSACTION_TYPES),
        order_type=order_type,
        product=choice(form, "product", PRODUCTS),
        quantity=whole(form, "quantity"),
        validity=choice(form, "validity", VALIDITIES, default="DAY"),
        price=decimal(form, "price") if order_type in {"LIMIT", "SL"} else 0.0,
        trigger_price=decimal(form, "trigger_price", default=0.0),
        disclosed_quantity=whole(form, "disclosed_quantity", default=0),
        validity_ttl=whole(form, "validity_ttl", default=0),
        market_protection=decimal(form, "market_protection", default=0.0, minimum=-1.0),
        iceberg_legs=whole(form, "iceberg_legs", default=0),
        iceberg_quantity=whole(form, "iceberg_quantity", default=0),
        auction_number=form.get("auction_number") or None,
        algo_id=form.get("algo_id") or None,
        tag=parse_tag(form),
        autoslice=form.get("autoslice", "").lower() in {"true", "1"},
    )


def parse_tag(form: Form) -> str | None:
    tag = form.get("tag") or None
    if tag is not None and not TAG.fullmatch(tag):
        raise input_error("Invalid `tag`. It should be alphanumeric and at most 20 characters.")
    return tag


def check_variety(variety: str) -> None:
    if variety not in VARIETIES:
        raise input_error("Invalid `variety`.")


def required(form: Form, name: str) -> str:
    value = form.get(name, "")
    if not value:
        raise input_error(f"Missing or empty field `{name}`")
    return value


def choice(form: Form, name: str, allowed: tuple[str, ...], *, default: str = "") -> str:
    value = form.get(name) or default
    if not value:
        raise input_error(f"Missing or empty field `{name}`")
    if value not in allowed:
        raise input_error(f"Invalid `{name}`.")
    return value


def whole(form: Form, name: str, *, default: int | None = None) -> int:
    text = form.get(name, "")
    if text == "" and default is not None:
        return default
    value = _number(required(form, name), name)
    if value != int(value) or value < 0 or value > MAX_QUANTITY:
        raise _malformed(name)
    return int(value)


def decimal(form: Form, name: str, *, default: float | None = None, minimum: float = 0.0) -> float:
    text = form.get(name, "")
    if text == "" and default is not None:
        return default
    value = _number(required(form, name), name)
    if value < minimum or value > MAX_QUANTITY:
        raise _malformed(name)
    return value


def _number(text: str, name: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise _malformed(name) from None
    if not math.isfinite(value) or "_" in text:
        raise _malformed(name)
    return value


def _malformed(name: str) -> KiteError:
    return input_error(f"Invalid `{name}`.")
