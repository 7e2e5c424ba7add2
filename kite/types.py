"""Values of Kite Connect in Kite's own words: enumerations, requests and rows."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum


class Exchange(StrEnum):
    """Exchanges an instrument can be listed on."""

    NSE = "NSE"
    BSE = "BSE"
    NFO = "NFO"
    BFO = "BFO"
    CDS = "CDS"
    BCD = "BCD"
    MCX = "MCX"
    NCO = "NCO"


class TransactionType(StrEnum):
    """Side of an order."""

    BUY = "BUY"
    SELL = "SELL"


class Product(StrEnum):
    """Margin product of an order or a position."""

    CNC = "CNC"
    NRML = "NRML"
    MIS = "MIS"
    MTF = "MTF"


class OrderType(StrEnum):
    """How an order is priced."""

    MARKET = "MARKET"
    LIMIT = "LIMIT"
    SL = "SL"
    SL_M = "SL-M"


class Variety(StrEnum):
    """Path an order takes to the exchange."""

    REGULAR = "regular"
    AMO = "amo"
    CO = "co"
    ICEBERG = "iceberg"
    AUCTION = "auction"


class Validity(StrEnum):
    """How long an order stays open."""

    DAY = "DAY"
    IOC = "IOC"
    TTL = "TTL"


class Mode(StrEnum):
    """Width of a streamed tick."""

    LTP = "ltp"
    QUOTE = "quote"
    FULL = "full"


class OrderStatus(StrEnum):
    """Statuses the platform acts on; Kite's list is open-ended, so rows carry plain text."""

    OPEN = "OPEN"
    TRIGGER_PENDING = "TRIGGER PENDING"
    COMPLETE = "COMPLETE"
    CANCELLED = "CANCELLED"
    REJECTED = "REJECTED"


@dataclass(frozen=True, slots=True)
class Login:
    """Everything needed to speak to Kite as one account; a new token is a new value.

    `version` is the credential's version, so that two logins differ even where the secret text is hidden.
    """

    account_id: str
    api_key: str
    access_token: str = field(repr=False)
    version: int
    rest_root: str
    ws_root: str
    source_address: str = ""
    order_proxy: str = ""


@dataclass(frozen=True, slots=True)
class KiteSession:
    """Answer of the request_token exchange."""

    user_id: str
    user_name: str
    api_key: str
    access_token: str = field(repr=False)
    login_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderRequest:
    """Parameters of POST /orders/{variety}; prices in rupees."""

    variety: Variety
    exchange: Exchange
    tradingsymbol: str
    transaction_type: TransactionType
    quantity: int
    product: Product
    order_type: OrderType
    tag: str
    price: Decimal | None = None
    trigger_price: Decimal | None = None
    validity: Validity = Validity.DAY
    validity_ttl: int | None = None
    disclosed_quantity: int | None = None
    iceberg_legs: int | None = None
    iceberg_quantity: int | None = None
    auction_number: str | None = None
    market_protection: Decimal | None = None
    algo_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderChange:
    """Parameters of PUT /orders/{variety}/{order_id}; None leaves a value as it is."""

    order_type: OrderType | None = None
    quantity: int | None = None
    price: Decimal | None = None
    trigger_price: Decimal | None = None
    disclosed_quantity: int | None = None
    validity: Validity | None = None
    market_protection: Decimal | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderRow:
    """One row of the order book, of an order's history or of an order update."""

    order_id: str
    exchange_order_id: str | None
    parent_order_id: str | None
    status: str
    status_message: str
    variety: str
    exchange: str
    tradingsymbol: str
    instrument_token: int
    transaction_type: str
    order_type: str
    product: str
    validity: str
    quantity: int
    price: Decimal
    trigger_price: Decimal
    average_price: Decimal
    filled_quantity: int
    pending_quantity: int
    cancelled_quantity: int
    tag: str
    order_at: datetime | None
    exchange_update_at: datetime | None
    raw: Mapping[str, object] = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class TradeRow:
    """One execution of an order."""

    trade_id: str
    order_id: str
    exchange_order_id: str | None
    exchange: str
    tradingsymbol: str
    instrument_token: int
    transaction_type: str
    product: str
    quantity: int
    average_price: Decimal
    filled_at: datetime | None
    raw: Mapping[str, object] = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class InstrumentRow:
    """One line of the instruments dump; strike and tick_size in rupees."""

    instrument_token: int
    exchange_token: int
    tradingsymbol: str
    name: str
    last_price: Decimal
    expiry: date | None
    strike: Decimal
    tick_size: Decimal
    lot_size: int
    instrument_type: str
    segment: str
    exchange: str


@dataclass(frozen=True, slots=True)
class Candle:
    """One historical candle; `start_at` is aware UTC, prices in rupees, oi None where not asked."""

    start_at: datetime
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: int
    oi: int | None
