"""Values of Kite's portfolio, margin, quote and GTT answers, in Kite's own words; money in rupees."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """Who the login is and what it may trade."""

    user_id: str
    user_name: str
    user_shortname: str
    user_type: str
    email: str
    broker: str
    exchanges: tuple[str, ...]
    products: tuple[str, ...]
    order_types: tuple[str, ...]
    raw: Mapping[str, object] = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class AvailableMargin:
    """What a segment may use."""

    adhoc_margin: Decimal
    cash: Decimal
    opening_balance: Decimal
    live_balance: Decimal
    collateral: Decimal
    intraday_payin: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class UtilisedMargin:
    """What a segment has used."""

    debits: Decimal
    exposure: Decimal
    m2m_realised: Decimal
    m2m_unrealised: Decimal
    option_premium: Decimal
    payout: Decimal
    span: Decimal
    holding_sales: Decimal
    turnover: Decimal
    liquid_collateral: Decimal
    stock_collateral: Decimal
    delivery: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentMargin:
    """Funds of one segment, equity or commodity."""

    enabled: bool
    net: Decimal
    available: AvailableMargin
    utilised: UtilisedMargin


@dataclass(frozen=True, slots=True, kw_only=True)
class PositionRow:
    """One net or day position."""

    tradingsymbol: str
    exchange: str
    instrument_token: int
    product: str
    quantity: int
    overnight_quantity: int
    multiplier: Decimal
    average_price: Decimal
    close_price: Decimal
    last_price: Decimal
    value: Decimal
    pnl: Decimal
    m2m: Decimal
    unrealised: Decimal
    realised: Decimal
    buy_quantity: int
    buy_price: Decimal
    buy_value: Decimal
    buy_m2m: Decimal
    sell_quantity: int
    sell_price: Decimal
    sell_value: Decimal
    sell_m2m: Decimal
    day_buy_quantity: int
    day_buy_price: Decimal
    day_buy_value: Decimal
    day_sell_quantity: int
    day_sell_price: Decimal
    day_sell_value: Decimal
    raw: Mapping[str, object] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Positions:
    """Both views of the same trading: net over days, and today's alone."""

    net: tuple[PositionRow, ...]
    day: tuple[PositionRow, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class HoldingRow:
    """One holding of the demat account."""

    tradingsymbol: str
    exchange: str
    instrument_token: int
    isin: str
    product: str
    quantity: int
    used_quantity: int
    t1_quantity: int
    realised_quantity: int
    authorised_quantity: int
    opening_quantity: int
    short_quantity: int
    collateral_quantity: int
    collateral_type: str
    discrepancy: bool
    average_price: Decimal
    last_price: Decimal
    close_price: Decimal
    pnl: Decimal
    day_change: Decimal
    day_change_percentage: Decimal
    raw: Mapping[str, object] = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ohlc:
    """Day's prices; `close` is the previous day's close."""

    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class DepthLevel:
    """One price of the book."""

    price: Decimal
    quantity: int
    orders: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Ltp:
    """Answer of /quote/ltp for one key."""

    instrument_token: int
    last_price: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class OhlcQuote:
    """Answer of /quote/ohlc for one key."""

    instrument_token: int
    last_price: Decimal
    ohlc: Ohlc


@dataclass(frozen=True, slots=True, kw_only=True)
class Quote:
    """Answer of /quote for one key; an index has neither depth nor quantities."""

    instrument_token: int
    timestamp: datetime | None
    last_trade_time: datetime | None
    last_price: Decimal
    last_quantity: int
    average_price: Decimal
    volume: int
    buy_quantity: int
    sell_quantity: int
    oi: int
    oi_day_high: int
    oi_day_low: int
    net_change: Decimal
    lower_circuit_limit: Decimal
    upper_circuit_limit: Decimal
    ohlc: Ohlc
    bids: tuple[DepthLevel, ...]
    asks: tuple[DepthLevel, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class MarginRow:
    """Margin of one order, or of a basket before and after its benefits."""

    type: str
    tradingsymbol: str
    exchange: str
    span: Decimal
    exposure: Decimal
    option_premium: Decimal
    additional: Decimal
    bo: Decimal
    cash: Decimal
    var: Decimal
    leverage: Decimal
    total: Decimal
    raw: Mapping[str, object] = field(repr=False)


@dataclass(frozen=True, slots=True)
class BasketMargin:
    """Margin of a basket: without and with the benefit of its legs for each other."""

    initial: MarginRow
    final: MarginRow
    orders: tuple[MarginRow, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class GttLeg:
    """Order a trigger places; Kite takes LIMIT alone."""

    transaction_type: str
    quantity: int
    product: str
    order_type: str
    price: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class GttRequest:
    """A trigger to place: `single` has one value and leg, `two-leg` two of each, values ascending."""

    type: str
    exchange: str
    tradingsymbol: str
    trigger_values: tuple[Decimal, ...]
    last_price: Decimal
    legs: tuple[GttLeg, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class GttRow:
    """A trigger as the broker keeps it. Triggered is not filled: the outcome of each leg is in `raw`."""

    trigger_id: int
    type: str
    status: str
    exchange: str
    tradingsymbol: str
    trigger_values: tuple[Decimal, ...]
    last_price: Decimal
    legs: tuple[GttLeg, ...]
    created_at: datetime | None
    updated_at: datetime | None
    expires_at: datetime | None
    raw: Mapping[str, object] = field(repr=False)
