"""The same work in many threads at once."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from django.db import connection


def at_once(work: Callable[[int], Any], *, count: int = 32, threads: int = 32) -> list[Any]:
    """Call `work` with 0 … count - 1 in many threads and return what each call returned or raised."""

    def run(number: int) -> Any:
        try:
            return work(number)
        except Exception as error:  # noqa: BLE001 (handed to the test)
            return error
        finally:
            connection.close()

    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(run, range(count)))
