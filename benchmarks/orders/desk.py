"""Twenty accounts at the exchange, and the programs that carry their orders."""

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from urllib.request import urlopen

from django.conf import settings
from django.db import connection

from accounts import credentials
from accounts.authentication import issue_api_key
from accounts.models import BrokerAccount
from accounts.queries import EVERY_SCOPE
from benchmarks.orders.costs import Costs, costs
from market_data.batches import Batch, BatchKind
from market_data.bus import AsyncBus
from orders.models import OrderBudget, RiskLimit
from tests.factories import BrokerAccountFactory, UserFactory
from tests.market_data.factories import InstrumentFactory, ticks
from tests.market_data.live import database_url
from tests.sandbox_server import SandboxServer

PORT = 8790
WORKER_THREADS = "8"


@dataclass(frozen=True, slots=True)
class Desk:
    """Accounts that are logged in, one instrument, and a key."""

    exchange: SandboxServer
    accounts: list[BrokerAccount]
    key: str
    token: int
    price: float

    @property
    def root(self) -> str:
        return f"http://127.0.0.1:{PORT}"

    def body(self, account: BrokerAccount) -> dict[str, object]:
        """Return an order that rests far below the market."""
        return {
            "account": account.label,
            "exchange": "NSE",
            "tradingsymbol": "INFY",
            "transaction_type": "BUY",
            "order_type": "LIMIT",
            "product": "CNC",
            "quantity": 1,
            "price": self.price,
            "allow_duplicate": True,
            "deadline_seconds": 600,
        }

    def log_in(self, number: int) -> None:
        """Give an account a fresh token: the exchange keeps one a user."""
        token = self.exchange.login(number)
        account_id = self.accounts[number].pk
        credentials.complete_login(account_id=account_id, request_token=token, actor="bench", now=datetime.now(UTC))

    def bound(self, *, per_minute: int) -> None:
        """Set every account's minute."""
        OrderBudget.objects.update(per_minute=per_minute)


def open_desk(exchange: SandboxServer) -> Desk:
    """Make an account of each user and log it in."""
    settings.KITE_REST_ROOT, settings.KITE_WS_ROOT = exchange.rest_root, exchange.ws_root
    now = datetime.now(UTC)
    owner = UserFactory(administrator=True)
    _, key = issue_api_key(
        user=owner, name="b", scopes=EVERY_SCOPE, accounts=None, expires_at=now + timedelta(days=9), now=now
    )
    book = exchange.book("NSE:INFY")
    InstrumentFactory(tradingsymbol="INFY", instrument_token=book["instrument_token"], tick_size="0.1")
    RiskLimit.objects.create(max_open_orders=1_000_000, max_day_notional=Decimal(10**12))
    accounts = [_account(user, now) for user in exchange.users]
    for account in accounts:
        OrderBudget.objects.create(account=account, per_minute=400, per_day=5000)
    price = round(book["last_price"] * 0.95, 1)
    desk = Desk(exchange, accounts, key, int(book["instrument_token"]), price)
    for number in range(len(accounts)):
        desk.log_in(number)
    return desk


def _account(user: Any, now: datetime) -> BrokerAccount:
    account: BrokerAccount = BrokerAccountFactory(label=user.user_id.lower(), broker_user_id=user.user_id)
    credentials.rotate(
        account_id=account.pk, api_key=user.api_key, api_secret=user.api_secret, actor="bench", reason="first", now=now
    )
    return account


class Programs:
    """A web process and a worker, as the platform starts them, and somebody who keeps the last price fresh."""

    def __init__(self, exchange: SandboxServer) -> None:
        self._environment = {
            **os.environ,
            "DATABASE_URL": database_url(connection),
            "REDIS_URL": settings.REDIS_URL,
            "KITE_REST_ROOT": exchange.rest_root,
            "KITE_WS_ROOT": exchange.ws_root,
            "LOG_LEVEL": "WARNING",
            "DATABASE_POOL": WORKER_THREADS,
            "API_WRITES_PER_SECOND": "1000000",
            "API_WRITES_AT_ONCE": "1000000",
            "PORT": str(PORT),
            "HOST": "127.0.0.1",
        }
        self._exchange = exchange
        self._price = float(exchange.book("NSE:INFY")["last_price"])
        self._token = int(exchange.book("NSE:INFY")["instrument_token"])
        self._ended = threading.Event()
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> "Programs":
        connection.close()
        celery = [
            "-m",
            "celery",
            "--quiet",
            "-A",
            "ticker_site.celery",
            "worker",
            "-Q",
            "commands,orders,default",
            "-l",
            "ERROR",
        ]
        pool = ["-P", "threads", "-c", WORKER_THREADS, "--without-gossip", "--without-mingle", "--without-heartbeat"]
        self._running["worker"] = self._start(*celery, *pool)
        self._running["web"] = self._start("-m", "ops.stack.serve")
        threading.Thread(target=self._keep_fresh, daemon=True).start()
        self._wait_for_web()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        for process in self._running.values():
            process.send_signal(signal.SIGTERM)
        for process in self._running.values():
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()

    def costs(self) -> Costs:
        """Return what the programs, the servers and the exchange have spent until now."""
        running = {name: process.pid for name, process in self._running.items()}
        return costs({**running, "exchange": self._exchange.process.pid})

    def _start(self, *words: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen([sys.executable, *words], env=self._environment)

    def _keep_fresh(self) -> None:
        """Publish the last price once a second, as the feed does."""
        while not self._ended.wait(1.0):
            asyncio.run(self._publish())

    async def _publish(self) -> None:
        rows = ticks({self._token: self._price}, received_at=time.time())
        bus = AsyncBus(url=settings.REDIS_URL)
        await bus.put_snapshot(
            Batch(kind=BatchKind.SNAPSHOT, shard=0, epoch=1, from_sequence=0, to_sequence=1, published_us=1, rows=rows)
        )
        await bus.close()

    def _wait_for_web(self) -> None:
        for _ in range(300):
            try:
                urlopen(f"http://127.0.0.1:{PORT}/healthz", timeout=1).close()
            except OSError:
                time.sleep(0.1)
            else:
                return
        raise SystemExit("the web process did not answer within 30 s")
