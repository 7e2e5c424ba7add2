"""Measure the sandbox exchange as a program: start, memory, orders and packets a second, per wall second and per CPU.

python -m benchmarks.sandbox [--seconds 8]

Needs Linux: CPU seconds and memory are read from /proc, so that a busy machine does not pass for a slow exchange. Exits
with 1 where a promise is broken: by CPU seconds anywhere, by wall seconds where the machine was quiet. Exits with 2
where only wall seconds were missed and the machine was busy before: nothing is proved, measure again.
"""

import argparse
import asyncio
import os
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from tests.sandbox_server import SandboxServer

CLIENTS = 8
TOKENS = 3_000
INTERVAL = "0.02"
TICKS_PER_SECOND = float(os.sysconf("SC_CLK_TCK"))
LEAST_ORDERS, LEAST_PACKETS, MOST_MEGABYTES, MOST_START = 500.0, 100_000.0, 300.0, 2.0


@dataclass(frozen=True, slots=True)
class Rate:
    """How much of something was done, in how many wall and exchange CPU seconds."""

    count: int
    wall: float
    cpu: float

    def text(self, what: str) -> str:
        return f"{what}: {self.count / self.wall:,.0f} a wall second, {self.count / self.cpu:,.0f} a CPU second"

    @property
    def a_cpu_second(self) -> float:
        return self.count / self.cpu

    @property
    def a_second(self) -> float:
        return self.count / self.wall


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_SECOND


def megabytes(pid: int, name: str = "VmRSS") -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(name)).split()[1]) / 1_024


def start_cost() -> tuple[float, float, float]:
    """Return wall and CPU seconds until the ready line, and megabytes then."""
    begun = time.perf_counter()
    with SandboxServer() as server:
        return time.perf_counter() - begun, cpu_seconds(server.process.pid), megabytes(server.process.pid)


async def measured(pid: int, seconds: float, work: Callable[[float], Awaitable[int]]) -> Rate:
    cpu, wall = cpu_seconds(pid), time.perf_counter()
    count = await work(wall + seconds)
    return Rate(count, time.perf_counter() - wall, cpu_seconds(pid) - cpu)


async def orders(server: SandboxServer, *, seconds: float, price: float) -> Rate:
    """Place one-share limit orders from several connections; every one is answered with its id."""
    tokens = [server.session(user) for user in server.users]
    form = {
        "exchange": "NSE", "tradingsymbol": "INFY", "transaction_type": "BUY", "order_type": "LIMIT", "product": "CNC",
        "quantity": "1", "price": str(price),
    }  # fmt: skip

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=CLIENTS)) as session:

        async def client(number: int, until: float) -> int:
            headers, placed = server.headers(number % len(tokens), tokens[number % len(tokens)]), 0
            while time.perf_counter() < until:
                async with session.post(f"{server.rest_root}/orders/regular", data=form, headers=headers) as answer:
                    placed += (await answer.json())["status"] == "success"
            return placed

        async def work(until: float) -> int:
            return sum(await asyncio.gather(*(client(number, until) for number in range(CLIENTS))))

        return await measured(server.process.pid, seconds, work)


async def packets(server: SandboxServer, *, seconds: float, connections: int) -> Rate:
    """Take full packets of 3,000 instruments on several connections as fast as the exchange sends them."""
    rows = await instrument_tokens(server)
    tokens = [server.session(user) for user in server.users]

    async with aiohttp.ClientSession() as session:

        async def client(number: int, until: float) -> int:
            user = number % len(tokens)
            link = await session.ws_connect(server.ws_url(user, tokens[user]), max_msg_size=0)
            await link.send_json({"a": "subscribe", "v": rows})
            await link.send_json({"a": "mode", "v": ["full", rows]})
            count = 0
            while time.perf_counter() < until:
                message = await link.receive()
                if message.type is aiohttp.WSMsgType.BINARY and len(message.data) > 1:
                    count += int.from_bytes(message.data[:2], "big")
            await link.close()
            return count

        async def work(until: float) -> int:
            return sum(await asyncio.gather(*(client(number, until) for number in range(connections))))

        return await measured(server.process.pid, seconds, work)


async def instrument_tokens(server: SandboxServer) -> list[int]:
    async with aiohttp.ClientSession() as session, session.get(f"{server.rest_root}/instruments/NFO") as answer:
        lines = (await answer.text()).splitlines()[1:]
    return [int(line.partition(",")[0]) for line in lines[:TOKENS]]


@dataclass(frozen=True, slots=True)
class Broken:
    """The promises that were not kept, by CPU seconds and by wall seconds."""

    cpu: list[str]
    wall: list[str]


def report(seconds: float) -> Broken:
    """Print every number and return the promises that were broken."""
    wall, cpu, memory = start_cost()
    print(f"start: {wall:.2f} wall seconds, {cpu:.2f} CPU seconds; memory {memory:.0f} MB")
    with SandboxServer("--no-limits", "--cash", "1e12") as server:
        print(f"instruments: {server.state()['instruments']:,}")
        price = round(server.book("NSE:INFY")["last_price"] * 0.95)
        placed = asyncio.run(orders(server, seconds=seconds, price=price))
        print(placed.text("orders accepted"), f"({CLIENTS} connections)")
        print(f"memory after {placed.count:,} orders: {megabytes(server.process.pid):.0f} MB")
    with SandboxServer("--no-limits", "--interval", INTERVAL) as server:
        sent = [asyncio.run(packets(server, seconds=seconds, connections=count)) for count in (1, 3, 6)]
        for count, rate in zip((1, 3, 6), sent, strict=True):
            print(rate.text(f"full packets, {count} connections of {TOKENS:,} tokens"))
    by_cpu = {
        f"start within {MOST_START} CPU seconds": cpu <= MOST_START,
        f"memory within {MOST_MEGABYTES} MB": memory <= MOST_MEGABYTES,
        f"{LEAST_ORDERS:.0f} orders a CPU second": placed.a_cpu_second >= LEAST_ORDERS,
        f"{LEAST_PACKETS:,.0f} full packets a CPU second": sent[-1].a_cpu_second >= LEAST_PACKETS,
    }
    by_wall = {
        f"start within {MOST_START} wall seconds": wall <= MOST_START,
        f"{LEAST_ORDERS:.0f} orders a wall second": placed.a_second >= LEAST_ORDERS,
        f"{LEAST_PACKETS:,.0f} full packets a wall second": max(rate.a_second for rate in sent) >= LEAST_PACKETS,
    }
    return Broken(*([name for name, kept in one.items() if not kept] for one in (by_cpu, by_wall)))


def judge(broken: Broken, *, load_before: float) -> int:
    """Print what was not kept and return the exit code; clients and exchange themselves keep two processors busy."""
    for name in (*broken.cpu, *broken.wall):
        print(f"NOT KEPT: {name}")
    if broken.cpu or not broken.wall:
        return int(bool(broken.cpu))
    crowded = load_before > (os.cpu_count() or 1) / 2
    print(f"load average before: {load_before:.1f}{', too busy to judge wall seconds' if crowded else ''}")
    return 2 if crowded else 1


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=8.0, help="how long each rate is measured")
    options = parser.parse_args()
    load_before = os.getloadavg()[0]
    return judge(report(options.seconds), load_before=load_before)


if __name__ == "__main__":
    sys.exit(main())
