"""Whether a page of a list costs the same however many rows the table has."""

import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any

from django.db import connection
from rest_framework.test import APIClient

from accounts.models import BrokerAccount
from orders.models import Order
from tests.orders.factories import OrderFactory

PAGE = {"limit": "100"}
COPY = """
INSERT INTO orders_order ({columns})
SELECT {values} FROM orders_order template, generate_series(%s, %s) n WHERE template.id = %s
"""


def grow(*, account: BrokerAccount, rows: int) -> None:
    """Fill the table up to so many orders, a second between two of them."""
    template = OrderFactory(account=account)
    own = {
        "id": "gen_random_uuid()",
        "number": "n * -1",
        "idempotency_key": "'copy-' || n",
        "tag": "NULL",
        "broker_order_id": "'B' || n",
        "created_at": "template.created_at - n * interval '1 second'",
    }
    fields = Order._meta.concrete_fields  # noqa: SLF001 (Django documents it)
    names = [str(field.column) for field in fields if not getattr(field, "generated", False)]
    values = [own.get(name, f"template.{name}") for name in names]
    statement = COPY.format(columns=", ".join(names), values=", ".join(values))
    have = Order.objects.count()
    with connection.cursor() as cursor:
        cursor.execute("SET statement_timeout = 0")
        cursor.execute(statement, [have + 1, rows, template.pk])
        cursor.execute("ANALYZE orders_order")


def pages(client: APIClient, *, account: BrokerAccount) -> dict[str, Callable[[], Any]]:
    """Return what is asked: the newest page, a page of one account, a page further down."""
    further = client.get("/api/v1/orders", PAGE).json()["next"]
    return {
        "newest": lambda: client.get("/api/v1/orders", PAGE),
        "of one account": lambda: client.get("/api/v1/orders", {**PAGE, "account": account.label}),
        "next page": lambda: client.get("/api/v1/orders", {**PAGE, "cursor": further}),
        "by day": lambda: client.get("/api/v1/orders", {**PAGE, "day": f"{account.created_at:%Y-%m-%d}"}),
    }


def medians(client: APIClient, *, account: BrokerAccount, times: int) -> dict[str, float]:
    """Return the median milliseconds of each page."""
    return {
        name: statistics.median(_milliseconds(ask) for _ in range(times))
        for name, ask in pages(client, account=account).items()
    }


def _milliseconds(ask: Callable[[], Any]) -> float:
    begun = time.perf_counter()
    answer = ask()
    took = (time.perf_counter() - begun) * 1000
    assert answer.status_code == 200, answer.content
    return took


def steps(*, account: BrokerAccount, client: APIClient, sizes: list[int], times: int) -> Iterator[dict[str, float]]:
    """Yield the medians at each size of the table."""
    for rows in sizes:
        grow(account=account, rows=rows)
        medians(client, account=account, times=5)
        yield medians(client, account=account, times=times)
