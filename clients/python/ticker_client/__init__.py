"""Typed client of the ticker platform: `Ticker` asks over HTTP, the streams listen over WebSockets."""

from ticker_client.errors import ApiError, ConnectionLost, StreamClosed, TickerError
from ticker_client.rest import Ticker
from ticker_client.streams import ChainStream, ChainUpdate, OrderEvent, OrderStream, TickStream
from ticker_client.ticks import Level, Mode, Tick

__all__ = [
    "ApiError",
    "ChainStream",
    "ChainUpdate",
    "ConnectionLost",
    "Level",
    "Mode",
    "OrderEvent",
    "OrderStream",
    "StreamClosed",
    "Tick",
    "TickStream",
    "Ticker",
    "TickerError",
]
