"""Print ticks of symbols, and of every chain named UNDERLYING:YYYY-MM-DD, until Ctrl-C.

TICKER_URL=http://127.0.0.1:8000 TICKER_KEY=tkr_… python watch.py NSE:INFY NIFTY
"""

import asyncio
import contextlib
import os
import sys

from ticker_client import TickStream


async def main(*symbols: str) -> None:
    """Subscribe and print."""
    async with TickStream(os.environ["TICKER_URL"], os.environ["TICKER_KEY"], max_hz=5) as stream:
        await stream.subscribe(*symbols, mode="quote")
        async for tick in stream:
            name = stream.symbols.get(tick.instrument_token, str(tick.instrument_token))
            print(f"{name:<28} {tick.last_price:>12.2f} {'stale' if tick.stale else ''}", flush=True)


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(main(*sys.argv[1:]))
