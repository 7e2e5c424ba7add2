"""Checks before the wire: each looks at an order and at facts, and denies with a code or says nothing."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields
from decimal import Decimal

from accounts.models import BrokerAccount, TradingHalt
from market_data.models import Instrument
from orders import objections
from orders.models import Order, RiskLimit
from orders.objections import Denial, Margin, Market
from orders.queries import Exposure, Stake

MAX_PRICE_AGE_SECONDS = 5.0
MAX_REJECTIONS = 5
DERIVATIVE_EXCHANGES = frozenset({"NFO", "BFO", "CDS", "BCD", "MCX", "NCO"})
PRICED = frozenset({"LIMIT", "SL"})
TRIGGERED = frozenset({"SL", "SL-M"})
UNPRICED = frozenset({"MARKET", "SL-M"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """The bounds in force for one order; None bounds nothing."""

    max_quantity: int | None = None
    max_order_notional: Decimal | None = Decimal(1_000_000)
    max_day_notional: Decimal | None = Decimal(10_000_000)
    max_open_orders: int | None = 50
    max_position: int | None = None
    max_exposure: Decimal | None = None
    max_day_loss: Decimal | None = None
    max_margin_percent: Decimal | None = None
    collar_percent: Decimal | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How the account stands at this moment: what can change while an order waits."""

    account: BrokerAccount
    halts: tuple[TradingHalt, ...]
    bounds: Bounds
    exposure: Exposure
    stake: Stake | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts(Standing):
    """Everything the checks look at besides the order."""

    instrument: Instrument
    similar: bool = False
    last_price: Decimal | None = None
    price_age_seconds: float = 0.0
    band: tuple[Decimal, Decimal] | None = None
    market: Market = Market.UNCHECKED
    margin: Margin | None = None


StandingCheck = Callable[[Order, Standing], Denial | None]
Check = Callable[[Order, Facts], Denial | None]


def bounds_from(rows: Iterable[RiskLimit]) -> Bounds:
    """Return the tightest bound of the rows for each column, the default where no row names one."""
    rows = list(rows)
    default = Bounds()

    def tightest(name: str) -> object:
        named = [getattr(row, name) for row in rows if getattr(row, name) is not None]
        return min(named) if named else getattr(default, name)

    return Bounds(**{name: tightest(name) for name in Bounds.__slots__})  # type: ignore[arg-type]


def denial_at_intake(*, order: Order, facts: Facts, sliced: bool = False) -> Denial | None:
    """Return the first objection of all checks, None where the order may go; as a whole if it will be sliced."""
    checks = [_sliceable if sliced and check is _freeze_quantity else check for check in AT_INTAKE]
    return next((denial for check in checks if (denial := check(order, facts)) is not None), None)


def denial_at_claim(*, order: Order, standing: Standing) -> Denial | None:
    """Return the first objection of the checks that can change while an order waits."""
    return next((denial for check in AT_CLAIM if (denial := check(order, standing)) is not None), None)


def denial_at_change(*, order: Order, standing: Standing) -> Denial | None:
    """Return the objection to modifying an order, None where it may be modified."""
    if standing.account.egress_fault:
        return Denial("EGRESS_MISMATCH", standing.account.egress_fault, "account")
    return _halted(order, standing)


def denial_of_values(*, order: Order, instrument: Instrument, standing: Standing) -> Denial | None:
    """Return the objection to an order's changed values, None where it may take them."""
    facts = _facts_without_market(standing, instrument)
    return next((denial for check in AT_CHANGE if (denial := check(order, facts)) is not None), None)


def denial_of_trigger(*, order: Order, instrument: Instrument, standing: Standing) -> Denial | None:
    """Return the objection to an order that the broker would place by itself later, None where it may wait there."""
    if must_reduce(order=order, standing=standing):
        return Denial("REDUCING_ONLY", "only orders that reduce a position pass, and what a trigger does is not known")
    facts = _facts_without_market(standing, instrument)
    return next((denial for check in AT_TRIGGER if (denial := check(order, facts)) is not None), None)


def _facts_without_market(standing: Standing, instrument: Instrument) -> Facts:
    held = {field.name: getattr(standing, field.name) for field in fields(Standing)}
    return Facts(instrument=instrument, **held)


def reference_price(*, order: Order, last_price: Decimal | None) -> Decimal | None:
    """Return the price at which an order's notional is counted."""
    return order.price or order.trigger_price or last_price


def covers(*, halt: TradingHalt, order: Order, account: BrokerAccount) -> bool:
    """Say whether a halt's scope holds the order."""
    targets = {
        TradingHalt.Scope.PLATFORM: {""},
        TradingHalt.Scope.ACCOUNT: {account.label, str(account.pk)},
        TradingHalt.Scope.STRATEGY: {order.strategy},
        TradingHalt.Scope.SYMBOL: {f"{order.exchange}:{order.tradingsymbol}"},
    }
    return halt.target in targets[TradingHalt.Scope(halt.scope)]


def must_reduce(*, order: Order, standing: Standing) -> bool:
    """Say whether a halt lets the order pass only if it makes a position smaller."""
    return any(
        halt.level == TradingHalt.Level.REDUCING and covers(halt=halt, order=order, account=standing.account)
        for halt in standing.halts
    )


def reduces(*, order: Order, net_quantity: int, on_the_way: int) -> bool:
    """Say whether the order makes a position smaller, with `on_the_way` already being closed, and never turns it."""
    closing = -net_quantity if order.transaction_type == "BUY" else net_quantity
    return order.quantity <= closing - on_the_way


def _halted(order: Order, standing: Standing) -> Denial | None:
    for halt in standing.halts:
        if halt.level == TradingHalt.Level.HALTED and covers(halt=halt, order=order, account=standing.account):
            where = f"{halt.scope} {halt.target}".strip()
            return Denial("TRADING_HALTED", f"trading is halted for {where} by {halt.engaged_by}: {halt.reason}")
    return None


def _account_may_trade(order: Order, standing: Standing) -> Denial | None:
    account = standing.account
    if account.egress_fault:
        return Denial("EGRESS_MISMATCH", account.egress_fault, "account")
    if not account.places_orders:
        return Denial("ACCOUNT_PLACES_NO_ORDERS", f"account {account.label} is for data only", "account")
    if account.state in {BrokerAccount.State.CORDONED, BrokerAccount.State.RETIRED}:
        return Denial(
            "ACCOUNT_CLOSED", f"account {account.label} is {account.state}: {account.state_reason}", "account"
        )
    return None


def _rejected_too_often(order: Order, standing: Standing) -> Denial | None:
    if standing.exposure.rejections >= MAX_REJECTIONS:
        label, count = standing.account.label, standing.exposure.rejections
        return Denial("REPEATED_REJECTIONS", f"the broker rejected {count} orders of account {label} within 60 s")
    return None


def _tradable(order: Order, facts: Facts) -> Denial | None:
    instrument = facts.instrument
    if instrument.segment == "INDICES" or not instrument.lot_size or not instrument.tick_size:
        return Denial("INSTRUMENT_NOT_TRADABLE", f"{instrument} cannot be traded", "tradingsymbol")
    if not instrument.listed:
        return Denial("INSTRUMENT_NOT_LISTED", f"{instrument} is not listed any more", "tradingsymbol")
    if instrument.expiry is not None and instrument.expiry < order.trading_day:
        return Denial("INSTRUMENT_EXPIRED", f"{instrument} expired on {instrument.expiry}", "tradingsymbol")
    return None


def _product_fits(order: Order, facts: Facts) -> Denial | None:
    derivative = order.exchange in DERIVATIVE_EXCHANGES
    if (derivative and order.product in {"CNC", "MTF"}) or (not derivative and order.product == "NRML"):
        return Denial("PRODUCT_NOT_ALLOWED", f"product {order.product} is not traded on {order.exchange}", "product")
    return None


def _lot_multiple(order: Order, facts: Facts) -> Denial | None:
    lot = facts.instrument.lot_size
    # MCX and the currency exchanges take quantities in lots.
    if order.exchange in {"MCX", "CDS", "BCD", "NCO"} or order.quantity % lot == 0:
        return None
    return Denial("LOT_MULTIPLE", f"quantity was {order.quantity}, the lot is {lot}", "quantity")


def _quantity_bound(order: Order, facts: Facts) -> Denial | None:
    bound = facts.bounds.max_quantity
    if bound is not None and order.quantity > bound:
        return Denial("QUANTITY_LIMIT", f"quantity was {order.quantity}, the bound is {bound}", "quantity")
    return None


def _sliceable(order: Order, facts: Facts) -> Denial | None:
    return objections.too_many_slices(
        quantity=order.quantity, freeze=facts.instrument.freeze_quantity, lot=facts.instrument.lot_size
    )


def _freeze_quantity(order: Order, facts: Facts) -> Denial | None:
    quantity = order.iceberg_quantity or order.quantity
    return objections.frozen(quantity=quantity, freeze=facts.instrument.freeze_quantity)


def _orphaned(order: Order, standing: Standing) -> Denial | None:
    return objections.orphaned(label=standing.account.label, orphans=standing.exposure.orphans)


def _market_hours(order: Order, facts: Facts) -> Denial | None:
    return objections.out_of_hours(market=facts.market, variety=order.variety, exchange=order.exchange)


def _price_band(order: Order, facts: Facts) -> Denial | None:
    named = {name: getattr(order, name) for name in ("price", "trigger_price")}
    return objections.out_of_band(prices=named, band=facts.band)


def _position(order: Order, standing: Standing) -> Denial | None:
    return objections.position_beyond(
        side=order.transaction_type,
        quantity=order.quantity,
        stake=standing.stake,
        bound=standing.bounds.max_position,
    )


def _exposure(order: Order, standing: Standing) -> Denial | None:
    bound = standing.bounds.max_exposure
    return objections.exposure_beyond(notional=order.notional, stake=standing.stake, bound=bound)


def _margin(order: Order, facts: Facts) -> Denial | None:
    return objections.margin_beyond(margin=facts.margin, percent=facts.bounds.max_margin_percent)


def _disclosed_part(order: Order, facts: Facts) -> Denial | None:
    if order.disclosed_quantity and order.disclosed_quantity > order.quantity:
        return Denial("DISCLOSED_QUANTITY", "more would be disclosed than ordered", "disclosed_quantity")
    return None


def _tick_multiple(order: Order, facts: Facts) -> Denial | None:
    tick = facts.instrument.tick_size
    for name in ("price", "trigger_price"):
        value = getattr(order, name)
        if value and value % tick:
            return Denial("TICK_MULTIPLE", f"{name} was {value:f}, the tick is {tick.normalize():f}", name)
    return None


def _protected(order: Order, facts: Facts) -> Denial | None:
    if order.order_type in UNPRICED and order.variety != "co" and not order.market_protection:
        text = f"a {order.order_type} order needs market protection: -1 for the broker's own band, or a percentage"
        return Denial("MARKET_PROTECTION_REQUIRED", text, "market_protection")
    return None


def _no_ioc_on_mcx(order: Order, facts: Facts) -> Denial | None:
    if order.exchange == "MCX" and order.validity == "IOC":
        return Denial("MCX_IOC", "MCX takes no IOC orders from programs", "validity")
    return None


def _price_known(order: Order, facts: Facts) -> Denial | None:
    if facts.last_price is None and order.order_type == "MARKET":
        return Denial("PRICE_UNKNOWN", f"no last price of {facts.instrument} is known, so the order's value is not")
    if facts.last_price is not None and facts.price_age_seconds > MAX_PRICE_AGE_SECONDS:
        age = f"{facts.price_age_seconds:.1f} s old, {MAX_PRICE_AGE_SECONDS:g} s is the bound"
        text = f"the last price of {facts.instrument} is {age}"
        return Denial("STALE_PRICE", text)
    return None


def _collar(order: Order, facts: Facts) -> Denial | None:
    """Deny a price that would pay too much; a price far on the patient side harms nobody."""
    anchor = order.trigger_price if order.order_type == "SL" else facts.last_price
    if order.price is None or not anchor or order.order_type not in PRICED:
        return None
    width = objections.collar_width(
        anchor=anchor,
        percent=facts.bounds.collar_percent,
        tick=facts.instrument.tick_size,
        option=facts.instrument.instrument_type in {"CE", "PE"},
    )
    return objections.overpaid(side=order.transaction_type, price=order.price, anchor=anchor, width=width)


def _trigger_side(order: Order, facts: Facts) -> Denial | None:
    if order.order_type != "SL" or order.price is None or order.trigger_price is None:
        return None
    beyond = order.price < order.trigger_price if order.transaction_type == "BUY" else order.price > order.trigger_price
    if beyond:
        text = "a stop's price must lie beyond its trigger, or it cannot fill when triggered"
        return Denial("TRIGGER_SIDE", text, "trigger_price")
    return None


def _order_notional(order: Order, facts: Facts) -> Denial | None:
    bound = facts.bounds.max_order_notional
    if bound is not None and order.notional > bound:
        return Denial("ORDER_NOTIONAL", f"the order is worth {order.notional:f}, the bound is {bound:f}", "quantity")
    return None


def _day_notional(order: Order, standing: Standing) -> Denial | None:
    bound = standing.bounds.max_day_notional
    total = standing.exposure.day_notional + order.notional
    if bound is not None and total > bound:
        return Denial("DAY_NOTIONAL", f"the day's orders would be worth {total:f}, the bound is {bound:f}")
    return None


def _open_orders(order: Order, standing: Standing) -> Denial | None:
    bound = standing.bounds.max_open_orders
    if bound is not None and standing.exposure.open_orders >= bound:
        label = standing.account.label
        text = f"{standing.exposure.open_orders} orders of account {label} are open, the bound is {bound}"
        return Denial("OPEN_ORDERS", text)
    return None


def _not_said_twice(order: Order, facts: Facts) -> Denial | None:
    if facts.similar:
        text = "the same order was made within 2 s; say allow_duplicate if both are meant"
        return Denial("DUPLICATE_SUSPECT", text, "allow_duplicate")
    return None


# What can change while an order waits in the queue is checked again in the claim, under the account's lock.
AT_CLAIM: tuple[StandingCheck, ...] = (
    _halted,
    _account_may_trade,
    _orphaned,
    _rejected_too_often,
    _open_orders,
    _day_notional,
    _position,
    _exposure,
)
AT_INTAKE: tuple[Check, ...] = (
    _halted,
    _account_may_trade,
    _orphaned,
    _rejected_too_often,
    _tradable,
    _market_hours,
    _product_fits,
    _lot_multiple,
    _quantity_bound,
    _freeze_quantity,
    _disclosed_part,
    _tick_multiple,
    _trigger_side,
    _protected,
    _no_ioc_on_mcx,
    _price_band,
    _price_known,
    _collar,
    _order_notional,
    _day_notional,
    _open_orders,
    _position,
    _exposure,
    _margin,
    _not_said_twice,
)
AT_CHANGE: tuple[Check, ...] = (
    _halted,
    _lot_multiple,
    _quantity_bound,
    _freeze_quantity,
    _disclosed_part,
    _tick_multiple,
    _trigger_side,
    _order_notional,
)
AT_TRIGGER: tuple[Check, ...] = (
    _halted,
    _account_may_trade,
    _orphaned,
    _tradable,
    _product_fits,
    _lot_multiple,
    _quantity_bound,
    _freeze_quantity,
    _tick_multiple,
    _order_notional,
)
