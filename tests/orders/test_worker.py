"""The whole walk with a real worker: request, queue, broker, fill."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.conf import settings as django_settings
from django.db import connection
from redis import Redis

from orders import tasks
from orders.models import Order, Trade
from orders.states import State
from tests.orders.conftest import Desk
from tests.proving import Numbers
from tests.sandbox_server import wait_for

COMMAND = [
    "celery",
    "-A",
    "ticker_site.celery",
    "worker",
    "-Q",
    "commands,orders",
    "--pool",
    "threads",
    "-c",
    "4",
    "-l",
    "ERROR",
]


def start_worker(desk: Desk) -> subprocess.Popen[bytes]:
    database = urlsplit(os.environ["DATABASE_URL"])._replace(path=f"/{connection.settings_dict['NAME']}")
    environment = {
        **os.environ,
        "DATABASE_URL": database.geturl(),
        "REDIS_URL": django_settings.REDIS_URL,
        "INSTALLATION_ID": django_settings.INSTALLATION_ID,
        "KITE_REST_ROOT": desk.sandbox.rest_root,
        "KITE_WS_ROOT": desk.sandbox.ws_root,
    }
    return subprocess.Popen([sys.executable, "-m", *COMMAND], env=environment, start_new_session=True)


def stop_worker(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(20)


@pytest.fixture
def worker(desk: Desk) -> Iterator[subprocess.Popen[bytes]]:
    """Return a real worker on the queue of orders."""
    process = start_worker(desk)
    yield process
    stop_worker(process)


def state_of(order: Order) -> str:
    order.refresh_from_db()
    return order.state


def test_an_order_is_filled_by_a_real_worker(desk: Desk, worker: Any) -> None:
    order = desk.place()

    def filled() -> bool:
        tasks.knock(tasks.reconcile_account, desk.account.pk)
        return state_of(order) == State.COMPLETE and Trade.objects.filter(order=order).exists()

    wait_for(filled, seconds=20, every=0.1)
    assert order.filled_quantity == sum(Trade.objects.filter(order=order).values_list("quantity", flat=True))
    assert len(desk.placed) == 1


@pytest.mark.proof(id="R06")
def test_a_message_delivered_three_times_sends_once(desk: Desk, worker: Any, numbers: Numbers) -> None:
    orders = [desk.place() for _ in range(3)]
    for order in [*orders, *orders[::-1]]:
        tasks.knock(tasks.submit_order, order.pk)

    wait_for(lambda: all(state_of(order) == State.ACKED for order in orders), seconds=20)
    numbers.add("extra sends", len(desk.placed) - 3)
    assert len(desk.placed) == 3
    assert {order.attempt for order in orders} == {1}


def test_orders_survive_the_loss_of_every_message(desk: Desk, clean_redis: Redis) -> None:
    order = desk.place()
    clean_redis.flushall()
    Order.objects.filter(pk=order.pk).update(woken_at=None)
    process = start_worker(desk)
    try:
        tasks.sweep()
        wait_for(lambda: state_of(order) == State.ACKED, seconds=20)
    finally:
        stop_worker(process)

    assert len(desk.placed) == 1
