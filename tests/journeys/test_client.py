"""What a stranger does with nothing but the Python client."""

import asyncio
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests

from tests.journeys.platform import ROOT, Platform, eventually
from ticker_client import ApiError, ChainStream, OrderStream, Ticker, TickStream

EXAMPLES = ROOT / "clients" / "python" / "examples"
ORDER: dict[str, Any] = {
    "account": "sbx001",
    "exchange": "NSE",
    "transaction_type": "BUY",
    "quantity": 1,
    "product": "CNC",
}
SECONDS = 30.0


@pytest.fixture
def ticker(platform: Platform) -> Iterator[Ticker]:
    """Return a client with the key on the screen."""
    with Ticker(platform.url, platform.api_key) as client:
        yield client


def resting_price(ticker: Ticker, key: str) -> float:
    """Return a price that rests for a while, on the grid of the instrument."""
    last = eventually(lambda: ticker.quotes(key)["results"].get(key), within=SECONDS, what="a quote")["last_price"]
    return round(round(last * 0.97 / 0.05) * 0.05, 2)


def test_the_example_streams_orders_cancels_and_shows_the_position(platform: Platform) -> None:
    environment = {
        **os.environ,
        "TICKER_URL": platform.url,
        "TICKER_KEY": platform.api_key,
        "PYTHONPATH": str(EXAMPLES.parent),
    }

    done = subprocess.run(
        [sys.executable, str(EXAMPLES / "first_order.py"), "sbx001", "NSE:WIPRO"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert "resting: OPEN" in done.stdout
    assert "then: CANCELLED" in done.stdout
    assert "bought: COMPLETE" in done.stdout
    assert "WIPRO" in done.stdout.partition("positions:")[2]


def test_the_program_of_the_api_page_runs_as_it_stands_there(platform: Platform) -> None:
    (program,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs/api.md").read_text(), re.DOTALL)
    environment = {
        **os.environ,
        "TICKER_URL": platform.url,
        "TICKER_KEY": platform.api_key,
        "PYTHONPATH": str(EXAMPLES.parent),
    }

    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, timeout=90, check=False
    )

    assert done.returncode == 0, done.stderr
    assert "then CANCELLED" in done.stdout
    assert "position TCS" in done.stdout


def test_an_account_is_logged_in_with_the_client_alone(platform: Platform) -> None:
    known = next(user for user in platform.sandbox_users() if user["user_id"] == "SBX003")
    filled = {"user_id": known["user_id"], "password": known["password"]}

    with Ticker(platform.url, platform.new_key("ops:write", "accounts:read")) as operator:
        page = operator.accounts.login_url("sbx003")
        back = requests.post(page, data=filled, allow_redirects=False, timeout=10).headers["Location"]
        account = operator.accounts.log_in("sbx003", parse_qs(urlsplit(back).query)["request_token"][0])

    assert account["login"]["live"] is True


def test_orders_are_heard_from_placing_to_cancelling(platform: Platform, ticker: Ticker) -> None:
    async def live() -> list[str]:
        states: list[str] = []
        async with asyncio.timeout(SECONDS), OrderStream(platform.url, platform.api_key) as stream:
            placed = await asyncio.to_thread(
                ticker.orders.place,
                **ORDER,
                tradingsymbol="SBIN",
                order_type="LIMIT",
                price=resting_price(ticker, "NSE:SBIN"),
            )
            async for event in stream:
                if event.order is None or event.order["id"] != placed["id"]:
                    continue
                states.append(event.order["state"])
                if states.count("OPEN") == 1 and states[-1] == "OPEN":
                    await asyncio.to_thread(ticker.orders.cancel, placed["id"])
                if states[-1] == "CANCELLED":
                    return states
        raise AssertionError(states)

    states = asyncio.run(live())

    assert states.index("OPEN") < states.index("CANCELLED")


def test_an_order_that_is_sent_twice_under_one_key_exists_once(ticker: Ticker) -> None:
    order = {**ORDER, "tradingsymbol": "ITC", "order_type": "LIMIT", "price": resting_price(ticker, "NSE:ITC")}

    first = ticker.orders.place(**order, key="client-journey")
    again = ticker.orders.place(**order, key="client-journey")
    ticker.orders.cancel(first["id"])

    assert first["id"] == again["id"]


def test_a_fault_is_an_error_with_its_code_and_field(ticker: Ticker) -> None:
    with pytest.raises(ApiError) as refused:
        ticker.instruments.get("NSE:NOPE")

    assert (refused.value.status, refused.value.code) == (404, "instrument_unknown")


def test_a_chain_stays_whole_while_it_moves(platform: Platform, ticker: Ticker) -> None:
    name = next(row["chain"] for row in ticker.chains.list() if row["underlying"] == "NIFTY")

    async def watch() -> tuple[int, int]:
        async with asyncio.timeout(SECONDS), ChainStream(platform.url, platform.api_key, name) as stream:
            seen: list[int] = []
            async for update in stream:
                seen.append(update.sequence)
                assert len({len(values) for values in update.columns.values()}) == 1
                if len(seen) == 3:
                    return seen[0], seen[-1]
        raise AssertionError("the stream ended")

    first, last = asyncio.run(watch())

    assert first < last
    assert len(ticker.chains.get(name)["strikes"]) > 10


def test_what_is_newly_wanted_ticks_within_seconds_and_is_explained(platform: Platform, ticker: Ticker) -> None:
    wanted = {row["instrument"] for row in ticker.subscriptions.list(everyone=True)}
    key = next(row["key"] for row in ticker.instruments.search(exchange="BSE") if row["key"] not in wanted)

    async def first_tick() -> str:
        async with asyncio.timeout(SECONDS), TickStream(platform.url, platform.api_key) as stream:
            await stream.subscribe(key)
            async for tick in stream:
                return stream.symbols[tick.instrument_token]
        raise AssertionError("the stream ended")

    assert asyncio.run(first_tick()) == key
    assert [row["reason"] for row in ticker.subscriptions.list(instrument=key)] == ["tick socket"]


def test_lists_and_windows_are_saved_and_streamed(ticker: Ticker) -> None:
    saved = ticker.lists.save("journey", "INFY", "^NSEI", stream="ltp")
    window = ticker.windows.save("BANKNIFTY", strikes=2, reason="a journey")
    try:
        assert saved.get("instruments") == ["NSE:INFY", "NSE:NIFTY 50"]
        assert window["center"]
        why = {row["wanted_by"].partition(":")[0] for row in ticker.subscriptions.list(instrument="NIFTY BANK")}
        assert "window" in why
    finally:
        ticker.lists.delete("journey")
        ticker.windows.delete("BANKNIFTY")


def test_candles_of_yesterday_and_today_are_given(ticker: Ticker) -> None:
    now = datetime.now(UTC)

    minutes = ticker.candles("NSE:INFY", start=now - timedelta(days=5), end=now, interval="15minute", oi=True)
    days = ticker.candles("NSE:INFY", start=now - timedelta(days=60), end=now, interval="day")

    assert minutes["complete"] is True
    assert len(minutes["results"]) > 25
    assert len(days["results"]) > 30
    assert all(row["low"] <= row["close"] <= row["high"] for row in days["results"])
