"""What is refused before an order reaches the book: lots, ticks, bands, products, sessions."""

from __future__ import annotations

from datetime import datetime

from sandbox.errors import holding_error, input_error
from sandbox.instruments import Instrument, plain
from sandbox.ledger import Account
from sandbox.market import Market
from sandbox.params import OrderParams
from sandbox.sessions import Phase, Sessions
from sandbox.settings import Settings

MAX_ICEBERG_LEGS = 50


def find_instrument(*, market: Market, exchange: str, tradingsymbol: str) -> int:
    row = market.universe.by_key.get(f"{exchange}:{tradingsymbol}")
    if row is None or market.universe.instruments[row].is_index or market.has_expired(row):
        raise input_error("The instrument you are placing an order for has either expired or does not exist.")
    return row


def check_order(
    *, params: OrderParams, row: int, market: Market, sessions: Sessions, settings: Settings, moment: datetime
) -> None:
    instrument = market.universe.instruments[row]
    check_product(params=params, instrument=instrument)
    check_quantity(quantity=params.quantity, instrument=instrument)
    check_price_shape(params=params, settings=settings)
    check_prices(market=market, row=row, price=params.price, trigger=params.trigger_price)
    check_trigger(params=params, market=market, row=row)
    check_validity(params=params, instrument=instrument)
    check_session(params=params, sessions=sessions, moment=moment)


def check_product(*, params: OrderParams, instrument: Instrument) -> None:
    cash = instrument.is_equity
    if cash and params.product == "NRML":
        raise input_error("NRML product is not allowed for equity. Use CNC or MIS.")
    if not cash and params.product in {"CNC", "MTF"}:
        raise input_error(f"{params.product} product is allowed for equity only.")
    if params.product == "CO" and params.variety != "co":
        raise input_error("Invalid `product`.")


def check_quantity(*, quantity: int, instrument: Instrument) -> None:
    if quantity < 1:
        raise input_error("Invalid `quantity`.")
    if quantity % max(instrument.lot_size, 1):
        raise input_error(f"Quantity should be a multiple of {instrument.lot_size}.")


def check_freeze(*, quantity: int, instrument: Instrument) -> None:
    if instrument.freeze_quantity and quantity > instrument.freeze_quantity:
        raise input_error(
            f"Quantity exceeds the freeze quantity of {instrument.freeze_quantity}. Place the order in smaller slices."
        )


def check_price_shape(*, params: OrderParams, settings: Settings) -> None:
    if params.order_type in {"LIMIT", "SL"} and params.price <= 0:
        raise input_error("Invalid `price`.")
    if params.order_type in {"SL", "SL-M"} and params.trigger_price <= 0:
        raise input_error("Trigger price is required for SL orders.")
    unprotected = params.order_type in {"MARKET", "SL-M"} and params.market_protection == 0
    if unprotected and settings.require_protection:
        raise input_error("Market orders without market protection are not allowed via API.")
    if params.market_protection > 100 or -1 < params.market_protection < 0:
        raise input_error("Invalid `market_protection`.")


def check_prices(*, market: Market, row: int, price: float, trigger: float) -> None:
    for value in (price, trigger):
        if value > 0:
            check_price(market=market, row=row, value=value)


def check_price(*, market: Market, row: int, value: float) -> None:
    """Refuse a price off the tick or outside the day's band."""
    instrument = market.universe.instruments[row]
    low, high = market.circuit(row)
    ticks = value * instrument.divisor / int(market.tick[row])
    if abs(ticks - round(ticks)) > 1e-6:
        raise input_error(
            f"Tick size for this script is {plain(instrument.tick_size)}. "
            "Kindly enter price in the multiple of tick size for this script."
        )
    units = round(value * instrument.divisor)
    if low <= units <= high:
        return
    word, side, limit = ("higher", "upper", high) if units > high else ("lower", "lower", low)
    raise input_error(
        f"Your order price is {word} than the current {side} circuit limit of {plain(limit / instrument.divisor)}. "
        "Place an order within the daily range."
    )


def check_trigger(*, params: OrderParams, market: Market, row: int) -> None:
    if params.order_type not in {"SL", "SL-M"}:
        return
    last = market.last_price(row)
    is_buy = params.transaction_type == "BUY"
    if is_buy and params.trigger_price <= last:
        raise input_error("Trigger price for stoploss buy orders should be higher than the last traded price.")
    if not is_buy and params.trigger_price >= last:
        raise input_error("Trigger price for stoploss sell orders should be lower than the last traded price.")
    if params.order_type == "SL":
        wrong = params.price < params.trigger_price if is_buy else params.price > params.trigger_price
        if wrong:
            side, word = ("buy", "lower") if is_buy else ("sell", "higher")
            raise input_error(f"Limit price of a stoploss {side} order cannot be {word} than its trigger price.")


def check_validity(*, params: OrderParams, instrument: Instrument) -> None:
    if params.validity == "TTL" and not 1 <= params.validity_ttl <= 360:
        raise input_error("Invalid `validity_ttl`.")
    if params.validity == "IOC" and instrument.exchange in {"MCX", "NCO"}:
        raise input_error("IOC orders are not allowed for MCX via API.")
    if params.disclosed_quantity and not instrument.is_equity:
        raise input_error("Disclosed quantity is allowed for equity only.")
    if params.disclosed_quantity > params.quantity:
        raise input_error("Disclosed quantity cannot be higher than the order quantity.")


def check_session(*, params: OrderParams, sessions: Sessions, moment: datetime) -> None:
    if params.variety == "amo":
        if not sessions.accepts_amo(exchange=params.exchange, moment=moment):
            raise input_error("After market orders (AMO) cannot be placed during market hours.")
        return
    phase = sessions.phase(exchange=params.exchange, moment=moment)
    if phase is Phase.COLLECTING:
        check_pre_open(params)
    elif phase is not Phase.OPEN:
        raise input_error("Markets are closed right now. Use AMO to place an order for the next session.")
    if params.product == "MIS" and sessions.past_mis_cutoff(exchange=params.exchange, moment=moment):
        raise input_error("Intraday orders (MIS) are allowed only till 3:12 PM. Try placing a CNC or NRML order.")


def check_pre_open(params: OrderParams) -> None:
    """The opening auction takes plain limit and market orders only."""
    plain_order = (
        params.order_type in {"LIMIT", "MARKET"} and params.validity == "DAY" and not params.disclosed_quantity
    )
    if not plain_order or params.variety != "regular":
        raise input_error("Only LIMIT and MARKET orders with DAY validity are allowed in the pre-open session.")


def check_holdings(*, params: OrderParams, row: int, account: Account, settings: Settings) -> None:
    """Refuse delivery sells of shares the account does not have."""
    if params.product != "CNC" or params.transaction_type != "SELL":
        return
    holding = account.portfolio.holdings.get(row)
    held = holding.free_quantity if holding else 0
    selling = sum(
        order.pending
        for order in account.orders.values()
        if order.row == row and order.product == "CNC" and order.is_open and not order.is_buy
    )
    free = held + account.portfolio.quantity(row=row, product="CNC") - selling
    if params.quantity > free:
        raise holding_error(
            f"Insufficient holding quantity. Required quantity is {params.quantity} "
            f"but available quantity is {max(free, 0)}."
        )
    if settings.require_depository_authorisation and holding and holding.authorised_quantity < params.quantity:
        raise holding_error(f"{params.quantity} quantity needs authorisation at depository.", status=428)
