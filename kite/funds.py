"""Mutual funds at Kite: orders, SIPs, holdings and the list of funds."""

import csv
import io
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Any, Final

from kite.limits import CallClass
from kite.rows import BrokenRow, Json
from kite.verdicts import Expected

_ROWS: Final = Expected(shape=list)
_FUNDS: Final = Expected(shape=bytes)
_ORDER: Final = Expected(write=True, shape=dict, proof="order_id")
_SIP: Final = Expected(write=True, shape=dict, proof="sip_id")

Calling = Callable[..., AbstractContextManager[None]]


class Funds:
    """The mutual-fund endpoints of one login; rows are in Kite's own words.

    Kite documents these as read-only today. Writes are carried all the same, and its refusal is raised as Refused.
    """

    def __init__(self, *, client: Any, call: Calling) -> None:
        self._client = client
        self._call = call

    def orders(self) -> list[Json]:
        with self._call(_ROWS):
            return rows(self._client.mf_orders())

    def sips(self) -> list[Json]:
        with self._call(_ROWS):
            return rows(self._client.mf_sips())

    def holdings(self) -> list[Json]:
        with self._call(_ROWS):
            return rows(self._client.mf_holdings())

    def instruments(self) -> list[Json]:
        """Return every fund of the dump, cells as the broker wrote them."""
        with self._call(_FUNDS, CallClass.OTHER, csv=True):
            return list(csv.DictReader(io.StringIO(self._client.mf_instruments().decode())))

    def place_order(self, **order: object) -> str:
        """Send tradingsymbol, transaction_type, amount or quantity, and tag; return the broker's order id."""
        with self._call(_ORDER):
            return str(self._client.place_mf_order(**order)["order_id"])

    def cancel_order(self, order_id: str) -> str:
        with self._call(_ORDER):
            return str(self._client.cancel_mf_order(order_id)["order_id"])

    def place_sip(self, **sip: object) -> str:
        """Send tradingsymbol, amount, instalments, frequency, instalment_day and tag; return the broker's SIP id."""
        with self._call(_SIP):
            return str(self._client.place_mf_sip(**sip)["sip_id"])

    def modify_sip(self, sip_id: str, **changes: object) -> str:
        with self._call(_SIP):
            return str(self._client.modify_mf_sip(sip_id, **changes)["sip_id"])

    def cancel_sip(self, sip_id: str) -> str:
        with self._call(_SIP):
            return str(self._client.cancel_mf_sip(sip_id)["sip_id"])


def rows(data: list[Any]) -> list[Json]:
    """Return the data as rows; raises BrokenRow where one is no object."""
    if not all(isinstance(row, Mapping) for row in data):
        raise BrokenRow("a row was not an object")
    return data
