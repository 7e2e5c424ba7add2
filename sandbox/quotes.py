"""Rows of the quote endpoints."""

from __future__ import annotations

from sandbox.clock import ist_from_epoch, stamp
from sandbox.market import LEVELS, Market
from sandbox.orders import number


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
