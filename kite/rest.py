"""Kite Connect over HTTP: one class, one method an endpoint, errors by consequence."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from http import HTTPStatus
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

import requests
import urllib3

# Importing kiteconnect imports its ticker, and that picks Twisted's reactor for the process. It is harmless at the top
# of this module because of two facts the tests hold: under Daphne the reactor is chosen before any module of ours
# (its app imports daphne.server from INSTALLED_APPS, as its command does), so both share the asyncio reactor; in every
# other process the reactor is created and never run, because the ticker is not used.
from kiteconnect import KiteConnect
from requests.adapters import HTTPAdapter

from kite import readers
from kite.answers import (
    BasketMargin,
    GttRequest,
    GttRow,
    HoldingRow,
    Ltp,
    MarginRow,
    OhlcQuote,
    PositionRow,
    Positions,
    Profile,
    Quote,
    SegmentMargin,
)
from kite.calls import Call, PlainPool, SecurePool, cause_of, current_call, keep_tokens_out_of_logs
from kite.checksum import session_checksum
from kite.errors import KiteError, OutcomeUnknown, Unavailable
from kite.forms import conversion, form, gtt_form, indian, json_orders
from kite.funds import Funds, rows
from kite.limits import CallClass
from kite.rows import BrokenRow, Json, candle_row, order_row, session_row, trade_row
from kite.types import Candle, KiteSession, Login, OrderChange, OrderRequest, OrderRow, TradeRow, Variety
from kite.verdicts import Expected, answered, document, evidence, unanswered

CONNECT_TIMEOUT: Final = 3.0
TOTAL_TIMEOUT: Final = 7.0
DUMP_TIMEOUT: Final = 60.0

_ORDER_WRITE: Final = Expected(write=True, shape=dict, proof="order_id")
_WRITE: Final = Expected(write=True)
_SESSION: Final = Expected(write=True, shape=dict, proof="access_token")
_GTT_WRITE: Final = Expected(write=True, shape=dict, proof="trigger_id")
_ROWS: Final = Expected(shape=list)
_TABLE: Final = Expected(shape=dict)
_CANDLES: Final = Expected(shape=dict, proof="candles")

_Value = TypeVar("_Value")


class _Adapter(HTTPAdapter):
    """Connections bound to one local address, bounded in time, never retrying."""

    def __init__(self, source_address: str) -> None:
        self._source = (source_address, 0) if source_address else None
        super().__init__(pool_connections=1, pool_maxsize=16, max_retries=0)

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        super().init_poolmanager(*args, source_address=self._source, **options)
        self.poolmanager.pool_classes_by_scheme = {"http": PlainPool, "https": SecurePool}

    def proxy_manager_for(self, proxy: str, **options: Any) -> Any:
        manager = super().proxy_manager_for(proxy, source_address=self._source, **options)
        manager.pool_classes_by_scheme = {"http": PlainPool, "https": SecurePool}
        return manager


class _Session(requests.Session):
    """Sends once, keeps what came back and judges it before the library reads it."""

    def __init__(self, source_address: str, order_proxy: str = "") -> None:
        super().__init__()
        keep_tokens_out_of_logs()
        # The environment must not slip in a proxy, a .netrc password or another certificate store.
        self.trust_env = False
        self._source_address = source_address
        self._order_proxies = {"http": order_proxy, "https": order_proxy} if order_proxy else None
        self.mount("https://", _Adapter(source_address))
        self.mount("http://", _Adapter(source_address))

    def send(self, request: requests.PreparedRequest, **options: Any) -> requests.Response:
        call = current_call.get()
        path = urlsplit(request.url or "").path
        call.seen = evidence(method=request.method or "", path=path)
        response = self.carry(request, call, verify=options.get("verify", True))
        if isinstance(response, str):
            # Raised outside the handler: the library's exceptions hold the request with its secrets.
            raise unanswered(seen=call.seen, expected=call.expected, sent=call.sent, cause=response)
        call.seen = evidence(method=call.seen.method, path=path, status=response.status_code, body=response.content)
        self._judge(response, call)
        return response

    def carry(self, request: requests.PreparedRequest, call: Call, *, verify: bool) -> requests.Response | str:
        """Return the answer, or why there is none. An order leaves on a connection nobody used before."""
        adapter = _Adapter(self._source_address) if call.expected.write else self.get_adapter(request.url or "")
        if call.expected.write:
            request.headers["Connection"] = "close"
        try:
            proxies = self._order_proxies if call.expected.write else None
            response = adapter.send(request, timeout=TOTAL_TIMEOUT, verify=verify, proxies=proxies)
            response.content  # noqa: B018 - reads the body
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
            return cause_of(error)
        finally:
            if call.expected.write:
                adapter.close()
        return response

    def _judge(self, response: requests.Response, call: Call) -> None:
        parsed = document(response.content)
        if call.csv and response.status_code == HTTPStatus.OK and parsed is None:
            response.headers["content-type"] = "text/csv"
            return
        verdict = answered(seen=call.seen, expected=call.expected, parsed=parsed)
        if verdict is not None:
            raise verdict
        # The body was proved to be JSON; the library would refuse it without the header.
        response.headers["content-type"] = "application/json"


class _Client(KiteConnect):  # type: ignore[misc]
    """The official client with our session under it; its row formatting is replaced by `kite.rows`."""

    def __init__(self, *, login: Login, session: _Session) -> None:
        super().__init__(login.api_key, access_token=login.access_token or None, root=login.rest_root)
        self.reqsession = session

    def exchange(self, *, request_token: str, checksum: str) -> Json:
        params = {"api_key": self.api_key, "request_token": request_token, "checksum": checksum}
        return self._post("api.token", params=params)  # type: ignore[no-any-return]

    def _format_response(self, data: Any) -> Any:
        return data

    def _format_historical(self, data: Any) -> Any:
        return data["candles"]

    def _parse_instruments(self, data: Any) -> Any:
        return data

    def _parse_mf_instruments(self, data: Any) -> Any:
        return data


class Rest:
    """Everything Kite offers to one login. Safe to share between threads.

    `admit` is asked before every call the broker counts by API key; it may wait, or raise to leave the call unsent.
    Orders and logins are not asked about: the broker counts orders by client, over all its applications. `told` hears
    how every call that left ended, with its error or None; of logins it hears nothing.
    """

    def __init__(
        self,
        login: Login,
        *,
        connect_timeout: float = CONNECT_TIMEOUT,
        total_timeout: float = TOTAL_TIMEOUT,
        admit: Callable[[CallClass], None] | None = None,
        told: Callable[[CallClass, KiteError | None], None] | None = None,
    ) -> None:
        self._login = login
        self._admit = admit
        self._told = told
        self._connect_timeout = connect_timeout
        self._total_timeout = total_timeout
        self._session = _Session(login.source_address, login.order_proxy)
        self._client = _Client(login=login, session=self._session)
        self.funds = Funds(client=self._client, call=self._call)

    def close(self) -> None:
        """Drop idle connections."""
        self._session.close()

    def exchange_token(self, *, request_token: str, api_secret: str) -> KiteSession:
        """Return the day's session; the request token is spent whatever happens."""
        checksum = session_checksum(api_key=self._login.api_key, request_token=request_token, api_secret=api_secret)
        with self._call(_SESSION, None):
            return session_row(self._client.exchange(request_token=request_token, checksum=checksum))

    def close_session(self) -> None:
        with self._call(_WRITE, None):
            self._client.invalidate_access_token()

    def profile(self) -> Profile:
        with self._call():
            return readers.profile(self._client.profile())

    def margins(self) -> dict[str, SegmentMargin]:
        """Return the funds by segment, `equity` and `commodity`."""
        with self._call():
            return _by_key(readers.segment_margin, self._client.margins())

    def place_order(self, order: OrderRequest) -> str:
        """Send an order once and return the broker's order id."""
        with self._call(_ORDER_WRITE, CallClass.ORDER):
            return str(self._client.place_order(**form(order)))

    def modify_order(
        self, variety: Variety | str, order_id: str, change: OrderChange, *, parent_order_id: str | None = None
    ) -> str:
        with self._call(_ORDER_WRITE, CallClass.ORDER):
            changed = self._client.modify_order(variety, order_id, parent_order_id=parent_order_id, **form(change))
        return str(changed)

    def cancel_order(self, variety: Variety | str, order_id: str, *, parent_order_id: str | None = None) -> str:
        with self._call(_ORDER_WRITE, CallClass.ORDER):
            return str(self._client.cancel_order(variety, order_id, parent_order_id=parent_order_id))

    def orders(self) -> list[OrderRow]:
        with self._call(_ROWS):
            return [order_row(row) for row in rows(self._client.orders())]

    def order_history(self, order_id: str) -> list[OrderRow]:
        """Return the states the order went through, oldest first."""
        with self._call(_ROWS):
            return [order_row(row) for row in rows(self._client.order_history(order_id))]

    def trades(self) -> list[TradeRow]:
        with self._call(_ROWS):
            return [trade_row(row) for row in rows(self._client.trades())]

    def order_trades(self, order_id: str) -> list[TradeRow]:
        with self._call(_ROWS):
            return [trade_row(row) for row in rows(self._client.order_trades(order_id))]

    def positions(self) -> Positions:
        with self._call():
            return readers.positions(self._client.positions())

    def convert_position(self, position: PositionRow, *, quantity: int, new_product: str, day: bool) -> None:
        """Move part of a position to another product."""
        with self._call(_WRITE):
            self._client.convert_position(**conversion(position, quantity=quantity, new_product=new_product, day=day))

    def holdings(self) -> list[HoldingRow]:
        with self._call(_ROWS):
            return [readers.holding(row) for row in rows(self._client.holdings())]

    def quote(self, keys: Iterable[str]) -> dict[str, Quote]:
        """Return the quotes of `EXCHANGE:SYMBOL` keys; unknown keys are absent."""
        with self._call(_TABLE, CallClass.QUOTE):
            return _by_key(readers.quote, self._client.quote(list(keys)))

    def ohlc(self, keys: Iterable[str]) -> dict[str, OhlcQuote]:
        with self._call(_TABLE, CallClass.QUOTE):
            return _by_key(readers.ohlc, self._client.ohlc(list(keys)))

    def ltp(self, keys: Iterable[str]) -> dict[str, Ltp]:
        with self._call(_TABLE, CallClass.QUOTE):
            return _by_key(readers.ltp, self._client.ltp(list(keys)))

    def historical(
        self,
        instrument_token: int,
        interval: str,
        start: datetime,
        end: datetime,
        *,
        oi: bool = False,
        continuous: bool = False,
    ) -> list[Candle]:
        with self._call(_CANDLES, CallClass.HISTORICAL):
            candles = self._client.historical_data(
                instrument_token, indian(start), indian(end), interval, continuous=continuous, oi=oi
            )
            return [candle_row(row) for row in candles]

    def instruments(self, exchange: str | None = None) -> bytes:
        """Return the dump as CSV, for `kite.instruments.read`."""
        with self._call(csv=True, total_timeout=DUMP_TIMEOUT):
            return bytes(self._client.instruments(exchange))

    def order_margins(self, orders: Iterable[Mapping[str, object]]) -> list[MarginRow]:
        """Return the margin of each order on its own; orders are in Kite's words, without a tag."""
        with self._call(_ROWS):
            return [readers.margin(row) for row in rows(self._client.order_margins(json_orders(orders)))]

    def basket_margins(
        self, orders: Iterable[Mapping[str, object]], *, consider_positions: bool = True
    ) -> BasketMargin:
        with self._call():
            answer = self._client.basket_order_margins(json_orders(orders), consider_positions=consider_positions)
            return readers.basket_margin(answer)

    def charges(self, orders: Iterable[Mapping[str, object]]) -> list[Json]:
        """Return the virtual contract note, a row with `charges` an order."""
        with self._call(_ROWS):
            return rows(self._client.get_virtual_contract_note(json_orders(orders)))

    def gtts(self) -> list[GttRow]:
        with self._call(_ROWS):
            return [readers.gtt(row) for row in rows(self._client.get_gtts())]

    def gtt(self, trigger_id: int) -> GttRow:
        with self._call():
            return readers.gtt(self._client.get_gtt(trigger_id))

    def place_gtt(self, request: GttRequest) -> int:
        """Send a trigger once and return its id; Kite keeps no tag of it."""
        with self._call(_GTT_WRITE):
            return int(self._client.place_gtt(**gtt_form(request))["trigger_id"])

    def modify_gtt(self, trigger_id: int, request: GttRequest) -> int:
        with self._call(_GTT_WRITE):
            return int(self._client.modify_gtt(trigger_id, **gtt_form(request))["trigger_id"])

    def delete_gtt(self, trigger_id: int) -> int:
        with self._call(_GTT_WRITE):
            return int(self._client.delete_gtt(trigger_id)["trigger_id"])

    @contextmanager
    def _call(
        self,
        expected: Expected = _TABLE,
        call_class: CallClass | None = CallClass.OTHER,
        *,
        csv: bool = False,
        total_timeout: float | None = None,
    ) -> Iterator[None]:
        if self._admit is not None and call_class is not None and call_class is not CallClass.ORDER:
            self._admit(call_class)
        start = time.monotonic()
        call = Call(
            expected=expected,
            csv=csv,
            connect_by=start + self._connect_timeout,
            answer_by=start + (total_timeout or self._total_timeout),
        )
        before = current_call.set(call)
        try:
            yield
        except BrokenRow as error:
            failure = _unreadable(call, str(error))
            self._tell(call_class, failure)
            raise failure from error
        except KiteError as error:
            self._tell(call_class, error)
            raise
        else:
            self._tell(call_class, None)
        finally:
            current_call.reset(before)

    def _tell(self, call_class: CallClass | None, error: KiteError | None) -> None:
        if self._told is not None and call_class is not None:
            self._told(call_class, error)


def open_session(*, rest_root: str, api_key: str, api_secret: str, request_token: str) -> KiteSession:
    """Exchange the request token of a finished login for the day's session."""
    login = Login(account_id="", api_key=api_key, access_token="", version=0, rest_root=rest_root, ws_root="")
    client = Rest(login)
    try:
        return client.exchange_token(request_token=request_token, api_secret=api_secret)
    finally:
        client.close()


def observed_address(*, login: Login, echo_url: str) -> str:
    """Return the address from which a server that echoes it, as text or as JSON, sees this login's order calls."""
    session = _Session(login.source_address, login.order_proxy)
    deadline = time.monotonic() + CONNECT_TIMEOUT
    call = Call(expected=_WRITE, csv=False, connect_by=deadline, answer_by=deadline)
    before = current_call.set(call)
    try:
        answer = session.carry(session.prepare_request(requests.Request("GET", echo_url)), call, verify=True)
    finally:
        current_call.reset(before)
        session.close()
    told = answer if isinstance(answer, str) else f"it answered {answer.status_code}"
    if isinstance(answer, str) or answer.status_code != HTTPStatus.OK:
        raise Unavailable(f"The echo of addresses cannot be asked: {told}.", evidence=call.seen)
    echoed = document(answer.content)
    return (
        str(echoed.get("ip", ""))
        if isinstance(echoed, Mapping)
        else answer.content[:64].decode("ascii", "replace").strip()
    )


def _unreadable(call: Call, what: str) -> KiteError:
    kind = OutcomeUnknown if call.expected.write else Unavailable
    return kind(f"The broker's answer could not be read: {what}.", evidence=call.seen)


def _by_key(reader: Callable[[Json], _Value], answer: Mapping[str, Any]) -> dict[str, _Value]:
    return {key: reader(row) for key, row in zip(answer, rows(list(answer.values())), strict=True)}
