"""Log an account in if need be, stream a share, place an order below the market, cancel it, buy one, see the position.

TICKER_URL=http://127.0.0.1:8000 TICKER_KEY=tkr_… python first_order.py sbx001 NSE:INFY
"""

import asyncio
import os
import sys
from typing import Any

from ticker_client import Ticker, TickStream


async def first_price(url: str, key: str, instrument: str) -> float:
    """Return the first price the stream gives."""
    async with TickStream(url, key) as stream:
        await stream.subscribe(instrument)
        async for tick in stream:
            return tick.last_price
    raise SystemExit("the stream ended before its first tick")


def main(account: str, instrument: str) -> None:
    """Do it all, saying what happens."""
    url, key = os.environ["TICKER_URL"], os.environ["TICKER_KEY"]
    exchange, _, symbol = instrument.partition(":")
    order: dict[str, Any] = {
        "account": account,
        "exchange": exchange,
        "tradingsymbol": symbol,
        "transaction_type": "BUY",
        "quantity": 1,
        "product": "CNC",
    }
    with Ticker(url, key) as ticker:
        if not ticker.accounts.get(account)["login"]["live"]:
            print("log in at", ticker.accounts.login_url(account))
            ticker.accounts.log_in(account, input("request_token: ").strip())
        price = asyncio.run(first_price(url, key, instrument))
        print(f"{instrument} at {price}")

        tick_size = float(ticker.instruments.get(instrument)["tick_size"])
        low = round(price * 0.97 / tick_size) * tick_size
        resting = ticker.orders.place(**order, order_type="LIMIT", price=round(low, 2))
        resting = ticker.orders.wait(resting["id"], until=lambda row: row["state"] in {"OPEN", "COMPLETE"})
        print("resting:", resting["state"], resting["order_id"])
        ticker.orders.cancel(resting["id"])
        print("then:", ticker.orders.wait(resting["id"])["state"])

        bought = ticker.orders.place(**order, order_type="MARKET", market_protection=-1)
        bought = ticker.orders.wait(bought["id"])
        print("bought:", bought["state"], "at", bought["average_price"])
        print("positions:", ticker.portfolio.positions(account=account, max_age=0))


if __name__ == "__main__":
    main(*sys.argv[1:3])
