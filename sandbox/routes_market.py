"""Market data endpoints: the dump, quotes, candles and trigger ranges."""

from __future__ import annotations

import gzip
from datetime import datetime

from aiohttp import web

from sandbox.call import Call, Route
from sandbox.candles import INTERVALS, History
from sandbox.clock import IST, ist_from_epoch, stamp
from sandbox.errors import input_error, token_error
from sandbox.instruments import SEGMENT_CODES
from sandbox.market import LEVELS, Market
from sandbox.orders import number

MAX_KEYS = {"quote": 500, "ohlc": 1_000, "ltp": 1_000}


async def instruments(call: Call) -> object:
    if call.site.settings.instruments_need_session and call.session is None:
        raise token_error()
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
        raise input_error(f"Maximum of {MAX_KEYS[kind]} instruments are allowed.")
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


def ohlc_row(market: Market, row: int) -> dict[str, float | int]:
    columns = {"open": market.open, "high": market.high, "low": market.low, "close": market.close}
    return {name: _price(market, row, int(column[row])) for name, column in columns.items()}


def quote_row(market: Market, row: int) -> dict[str, object]:
    low, high = market.circuit(row)
    answer: dict[str, object] = {
        "instrument_token": int(market.token[row]),
        "timestamp": stamp(ist_from_epoch(int(market.stamp[row]))),
        "last_trade_time": stamp(ist_from_epoch(int(market.last_trade[row]))),
        "last_price": _price(market, row, int(market.last[row])),
        "last_quantity": int(market.last_quantity[row]),
        "buy_quantity": int(market.buy_total[row]),
        "sell_quantity": int(market.sell_total[row]),
        "volume": int(market.volume[row]),
        "average_price": _average(market, row),
        "oi": int(market.oi[row]),
        "oi_day_high": int(market.oi_high[row]),
        "oi_day_low": int(market.oi_low[row]),
        "net_change": _price(market, row, int(market.last[row]) - int(market.close[row]))
        if market.is_index[row]
        else 0,
        "lower_circuit_limit": _price(market, row, low),
        "upper_circuit_limit": _price(market, row, high),
        "ohlc": ohlc_row(market, row),
    }
    if market.is_index[row]:
        return {name: answer[name] for name in ("instrument_token", "timestamp", "last_price", "net_change", "ohlc")}
    answer["depth"] = {"buy": _depth(market, row, is_buy=True), "sell": _depth(market, row, is_buy=False)}
    return answer


def _depth(market: Market, row: int, *, is_buy: bool) -> list[dict[str, float | int]]:
    prices, quantities, orders = (
        (market.bid_price, market.bid_quantity, market.bid_orders)
        if is_buy
        else (market.ask_price, market.ask_quantity, market.ask_orders)
    )
    return [
        {
            "price": _price(market, row, int(prices[row, level])),
            "quantity": int(quantities[row, level]),
            "orders": int(orders[row, level]),
        }
        for level in range(LEVELS)
    ]


def _average(market: Market, row: int) -> float | int:
    volume = int(market.volume[row])
    return number(round(float(market.turnover[row]) / volume / int(market.divisor[row]), 6)) if volume else 0


def _price(market: Market, row: int, units: int) -> float | int:
    return number(market.rupees(row=row, units=units))


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
