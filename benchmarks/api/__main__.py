"""Measure the REST API: ten representative reads and writes under fifty clients, and lists over growing tables.

python -m ops.stack exec -- python -m benchmarks.api [--clients 50] [--requests 1000] [--rows 1000000]

The web process runs beside the load on the same machine. Its peer in the same run is /healthz, which passes the same
middleware and answers from memory: the ratio says what authentication, database and rendering cost above the frame.
Exits with 1 where a list over a large table costs more than 1.5 times the same list over a small one.
"""

import argparse
import contextlib
import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.request import urlopen

from tests.environment import follow_environment, prepare

prepare()

import django  # noqa: E402

django.setup()
follow_environment()

from django.conf import settings  # noqa: E402
from django.db import connection  # noqa: E402
from rest_framework.test import APIClient  # noqa: E402

from accounts.authentication import issue_api_key  # noqa: E402
from accounts.models import BrokerAccount  # noqa: E402
from accounts.queries import EVERY_SCOPE  # noqa: E402
from accounts.rates import Allowance  # noqa: E402
from benchmarks.api.growth import steps  # noqa: E402
from benchmarks.api.load import Ask, Times, measure  # noqa: E402
from tests.factories import BrokerAccountFactory, CredentialFactory, UserFactory  # noqa: E402
from tests.market_data.factories import InstrumentFactory  # noqa: E402
from tests.market_data.live import database_url, store_prices  # noqa: E402
from tests.orders.factories import OrderFactory  # noqa: E402

SMALL = 1_000
SHARES = 100
# An order is priced from the stream while its last value is younger than this.
REFRESH_SECONDS = 2.0
GROWTH = 1.5
NOW = datetime.now(UTC)


def asks(*, account: BrokerAccount, order_id: str) -> list[Ask]:
    """Return the floor and what is measured against it."""
    order = {
        "account": account.label,
        "exchange": "NSE",
        "tradingsymbol": "SH1",
        "transaction_type": "BUY",
        "order_type": "LIMIT",
        "price": 100,
        "product": "CNC",
        "quantity": 1,
        "allow_duplicate": True,
    }
    wish = {"instruments": ["NSE:SH1", "NSE:SH2"], "mode": "quote"}
    return [
        Ask("GET /healthz", "GET", "/healthz", 200),
        Ask("GET /me", "GET", "/api/v1/me", 200),
        Ask("GET /accounts", "GET", "/api/v1/accounts", 200),
        Ask("GET /orders", "GET", "/api/v1/orders?limit=100", 200),
        Ask("GET /orders/{id}", "GET", f"/api/v1/orders/{order_id}", 200),
        Ask("GET /trades", "GET", "/api/v1/trades", 200),
        Ask("GET /instruments?q=", "GET", "/api/v1/instruments?q=sh1", 200),
        Ask("GET /subscriptions", "GET", "/api/v1/subscriptions", 200),
        Ask("GET /instructions", "GET", "/api/v1/instructions", 200),
        Ask("POST /orders", "POST", "/api/v1/orders", 202, order),
        Ask("POST /subscriptions", "POST", "/api/v1/subscriptions", 200, wish),
    ]


def desk() -> tuple[str, BrokerAccount, str]:
    """Fill a small desk and return a key, an account and an order."""
    owner = UserFactory(administrator=True)
    _, key = issue_api_key(
        user=owner, name="b", scopes=EVERY_SCOPE, accounts=None, expires_at=NOW + timedelta(days=9), now=NOW
    )
    for _ in range(20):
        CredentialFactory(live=True)
    account = BrokerAccountFactory()
    CredentialFactory(account=account, live=True)
    for number in range(SHARES):
        InstrumentFactory(tradingsymbol=f"SH{number}", instrument_token=1000 + number, tick_size="0.05")
    for _ in range(200):
        order = OrderFactory(account=account)
    return key, account, str(order.pk)


def serve(port: int) -> subprocess.Popen[bytes]:
    """Start the web process and return when it answers."""
    environment = {
        **os.environ,
        "PORT": str(port),
        "HOST": "127.0.0.1",
        "LOG_LEVEL": "WARNING",
        "API_READS_PER_SECOND": "1000000",
        "API_READS_AT_ONCE": "1000000",
        "API_WRITES_PER_SECOND": "1000000",
        "API_WRITES_AT_ONCE": "1000000",
        "KITE_REST_ROOT": "http://127.0.0.1:1",
    }
    web = subprocess.Popen([sys.executable, "-m", "ops.stack.serve"], env=environment)
    for _ in range(200):
        try:
            urlopen(f"http://127.0.0.1:{port}/healthz", timeout=1).close()  # our own process on this machine
        except OSError:
            time.sleep(0.1)
        else:
            return web
    web.kill()
    raise SystemExit("the web process did not answer within 20 s")


@contextlib.contextmanager
def streaming() -> Iterator[None]:
    """Keep the last values young, as a feed does."""
    over = threading.Event()

    def stream() -> None:
        while not over.wait(REFRESH_SECONDS):
            store_prices(dict.fromkeys(range(1000, 1000 + SHARES), 100.0))

    store_prices(dict.fromkeys(range(1000, 1000 + SHARES), 100.0))
    thread = threading.Thread(target=stream)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(10)


def show(found: list[Times]) -> None:
    """Print one line an endpoint, with its ratio to the floor."""
    floor = found[0].p50
    print(f"{'':24}{'p50':>8}{'p95':>8}{'p99':>8}  ms{'per s':>9}{'x /healthz':>12}")
    for each in found:
        ratio = each.p50 / floor
        print(f"{each.name:24}{each.p50:8.1f}{each.p95:8.1f}{each.p99:8.1f}{each.per_second:13.0f}{ratio:12.1f}")


def judge_growth(*, account: BrokerAccount, client: APIClient, rows: int) -> bool:
    """Print the cost of pages over both tables and say whether each stayed within its bound."""
    small, large = steps(account=account, client=client, sizes=[SMALL, rows], times=40)
    kept = True
    for name, took in small.items():
        ratio = large[name] / took
        kept &= ratio <= GROWTH
        print(f"orders, {name}: {took:.1f} ms at {SMALL} rows, {large[name]:.1f} ms at {rows}: ratio {ratio:.2f}")
    return kept


def main() -> int:
    """Measure, print and judge."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clients", type=int, default=50)
    parser.add_argument("--requests", type=int, default=1000)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--port", type=int, default=18_231)
    options = parser.parse_args()
    logging.disable(logging.INFO)
    connection.creation.create_test_db(verbosity=0, autoclobber=True)
    os.environ["DATABASE_URL"] = database_url(connection)
    key, account, order_id = desk()
    web: Any = serve(options.port)
    try:
        root = f"http://127.0.0.1:{options.port}"
        wanted = asks(account=account, order_id=order_id)
        with streaming():
            found = measure(root=root, key=key, asks=wanted, clients=options.clients, requests=options.requests)
        show(found)
    finally:
        web.terminate()
        web.wait(20)
    settings.REQUEST_RATES = dict.fromkeys(("read", "write"), Allowance(per_second=1e6, burst=10**6))
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {key}")
    print(f"load average {os.getloadavg()[0]:.1f} of {os.cpu_count()} processors")
    return 0 if judge_growth(account=account, client=client, rows=options.rows) else 1


if __name__ == "__main__":
    sys.exit(main())
