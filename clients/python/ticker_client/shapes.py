"""Shapes of the documents the platform answers with; it may add fields at any time."""

from typing import Any, Literal, NotRequired, TypedDict

Side = Literal["BUY", "SELL"]


class Principal(TypedDict):
    """Who a key belongs to and what it may do."""

    label: str
    scopes: list[str]


class Account(TypedDict):
    """One account at the broker."""

    label: str
    broker_user_id: str
    owner: str
    group: str | None
    streams_data: bool
    places_orders: bool
    state: str
    state_reason: str
    login: dict[str, Any]
    credential: dict[str, Any] | None


class Order(TypedDict):
    """An order; `state` is the platform's, `status` the broker's word, `outcome` what became of the request."""

    id: str
    sequence: int
    account: str
    state: str
    outcome: str
    reason_code: str
    reason: str
    variety: str
    exchange: str
    tradingsymbol: str
    instrument_token: int
    transaction_type: Side
    order_type: str
    product: str
    quantity: int
    price: float | None
    trigger_price: float | None
    tag: str
    order_id: str | None
    status: str
    status_message: str
    filled_quantity: int
    pending_quantity: int
    cancelled_quantity: int
    average_price: float
    created_at: str
    finished_at: str | None


class Instrument(TypedDict):
    """One contract; strike and tick_size in rupees."""

    key: str
    instrument_token: int
    exchange: str
    tradingsymbol: str
    name: str
    instrument_type: str
    segment: str
    expiry: str | None
    strike: float
    tick_size: float
    lot_size: int
    freeze_quantity: int | None


class Quote(TypedDict):
    """A last value; `age_seconds` counts from its receipt, `stale` says that it is too old for an open exchange."""

    instrument_token: int
    last_price: float
    received_at: float
    exchange_at: int | None
    age_seconds: float
    stale: bool
    ohlc: NotRequired[dict[str, float]]
    volume: NotRequired[int]
    oi: NotRequired[int]


class Quotes(TypedDict):
    """Last values by key, and the keys that are not streamed."""

    results: dict[str, Quote]
    missing: list[str]


class Candle(TypedDict):
    """One candle; prices in rupees, `source` is ticks, broker, or mixed."""

    start_at: str
    open: float
    high: float
    low: float
    close: float
    volume: int
    source: str
    oi: NotRequired[int | None]


class Candles(TypedDict):
    """Candles by time; where `complete` is false, `missing` names stretches that may lack some, and `reason` why."""

    instrument: str
    interval: str
    complete: bool
    missing: list[dict[str, str]]
    reason: str
    results: list[Candle]


class Subscription(TypedDict):
    """One wish for one instrument's ticks."""

    instrument: str
    instrument_token: int
    mode: str
    wanted_by: str
    reason: str
    created_at: str
    expires_at: str | None


class SavedList(TypedDict):
    """Instruments under a name; with a mode in `stream` the whole list is streamed."""

    name: str
    description: str
    stream: str
    saved_by: str
    saved_at: str
    size: int
    instruments: NotRequired[list[str]]


class Window(TypedDict):
    """The strikes around an underlying's price, wherever it goes."""

    underlying: str
    wanted_by: str
    strikes: int
    expiries: int
    mode: str
    hysteresis: float
    reason: str
    center: float | None
    moved_at: str | None
    fault: str


Document = dict[str, Any]
