"""Market data endpoints: the dump, quotes, candles and trigger ranges."""

from __future__ import annotations

import gzip
from datetime import datetime

from aiohttp import web

from sandbox.call import Call, Route, authenticate
from sandbox.candles import INTERVALS, History
from sandbox.clock import IST
from sandbox.errors import input_error
from sandbox.instruments import SEGMENT_CODES
from sandbox.orders import number
from sandbox.quotes import ohlc_row, quote_row

MAX_KEYS = {"quote": 500, "ohlc": 1_000, "ltp": 1_000}


async def instruments(call: Call) -> object:
    if call.site.settings.instruments_need_session:
        authenticate(call)
    exchange = call.request.match_info.get("exchange", "")
    if exchange and exchange not in SEGMENT_CODES:
        raise input_error("Invalid `exchange`.")
    body = call.site.instruments_csv(exchange)
    response = web.Response(body=body, content_type="text/csv")
    if "gzip" in call.request.headers.get("Accept-Encoding", ""):
        response.body = gzip.compress(body, 1)
        response.headers["Content-Encoding"] = "gzip"
    return response


def _rows(call: Call, kind: str) -> list[tuple[str, int]]:
    """Return (requested key, row) of every known instrument asked for."""
    keys = call.query.getall("i", [])
    if not keys:
        raise input_error("Missing or empty field `i`")
    if len(keys) > MAX_KEYS[kind]:
        raise input_error(f"Too many tokens requested. Max permitted is {MAX_KEYS[kind]}.")
    universe = call.site.universe
    found = [(key, universe.find(key)) for key in keys]
    return [(key, row) for key, row in found if row is not None]


async def quote(call: Call) -> object:
    return {key: quote_row(call.site.market, row) for key, row in _rows(call, "quote")}


async def ohlc(call: Call) -> object:
    market = call.site.market
    return {
        key: {
            "instrument_token": int(market.token[row]),
            "last_price": number(market.last_price(row)),
            "ohlc": ohlc_row(market, row),
        }
        for key, row in _rows(call, "ohlc")
    }


async def ltp(call: Call) -> object:
    market = call.site.market
    return {
        key: {"instrument_token": int(market.token[row]), "last_price": number(market.last_price(row))}
        for key, row in _rows(call, "ltp")
    }


async def historical(call: Call) -> object:
    interval, token = call.arg("interval"), call.arg("token")
    if interval not in INTERVALS:
        raise input_error("Invalid `interval`.")
    row = call.site.universe.find(token)
    if row is None or not token.isdigit():
        raise input_error("Invalid `instrument_token`.")
    start, end = _moment(call, "from", end=False), _moment(call, "to", end=True)
    if start > end:
        raise input_error("`from` date cannot be after `to` date.")
    limit = INTERVALS[interval].max_days
    if (end - start).days > limit:
        raise input_error(f"interval exceeds max limit: {limit} days")
    history = History(market=call.site.market, sessions=call.site.sessions, row=row)
    found = history.candles(interval=interval, start=start, end=min(end, call.site.clock.now()))
    with_oi = call.query.get("oi") in {"1", "true", "True"}
    return {"candles": [history.row(candle, with_oi=with_oi) for candle in found]}


def _moment(call: Call, name: str, *, end: bool) -> datetime:
    text = call.query.get(name, "").replace("+", " ")
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise input_error(f"Invalid `{name}` date.") from None
    if len(text) == 10 and end:
        moment = moment.replace(hour=23, minute=59, second=59)
    return moment.replace(tzinfo=IST) if moment.tzinfo is None else moment.astimezone(IST)


async def trigger_range(call: Call) -> object:
    side = call.arg("side")
    if side not in {"buy", "sell"}:
        raise input_error("Invalid `transaction_type`.")
    market = call.site.market
    answer: dict[str, object] = {}
    for key, row in _rows(call, "ltp"):
        last = market.last_price(row)
        low, high = (last * 0.9, last) if side == "buy" else (last, last * 1.1)
        answer[key] = {"instrument_token": int(market.token[row]), "lower": round(low, 4), "upper": round(high, 4)}
    return answer


ROUTES = (
    Route("GET", "/instruments", "market.instruments", instruments, signed=False),
    Route("GET", "/instruments/{exchange}", "market.instruments.exchange", instruments, signed=False),
    Route("GET", "/instruments/historical/{token}/{interval}", "market.historical", historical, limit="historical"),
    Route("GET", "/instruments/trigger_range/{side}", "market.trigger_range", trigger_range),
    Route("GET", "/quote", "market.quote", quote, limit="quote"),
    Route("GET", "/quote/ohlc", "market.ohlc", ohlc, limit="quote"),
    Route("GET", "/quote/ltp", "market.ltp", ltp, limit="quote"),
)
