"""The platform over HTTP."""

import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date, datetime
from types import TracebackType
from typing import Any, cast

import httpx

from ticker_client.errors import ApiError, ConnectionLost
from ticker_client.shapes import (
    Account,
    Candles,
    Document,
    Instrument,
    Order,
    Principal,
    Quotes,
    SavedList,
    Subscription,
    Window,
)

RETRIES = 2
PAUSE_SECONDS = 0.5
# What the platform takes as final; every other state may still change.
FINAL_STATES = frozenset(
    {
        *("COMPLETE", "CANCELLED", "REJECTED", "REJECTED_RMS", "EXPIRED"),
        *("DENIED", "NOT_PLACED", "WITHDRAWN", "EXPIRED_LOCAL"),
    }
)


class Ticker:
    """A client with one key; use it as a context manager, or close it.

    Reads, and writes that carry an Idempotency-Key, are sent again where no answer came. Raises ApiError for a problem
    document and ConnectionLost where the platform cannot be reached.
    """

    def __init__(self, url: str, api_key: str, *, timeout: float = 15.0, retries: int = RETRIES) -> None:
        self.url = url.rstrip("/")
        self.api_key = api_key
        self._retries = retries
        self._http = httpx.Client(
            base_url=f"{self.url}/api/v1",
            headers={"Authorization": f"Bearer {api_key}", "User-Agent": "ticker-client/0.1"},
            timeout=timeout,
        )
        self.accounts = Accounts(self)
        self.orders = Orders(self)
        self.instruments = Instruments(self)
        self.subscriptions = Subscriptions(self)
        self.lists = Lists(self)
        self.windows = Windows(self)
        self.chains = Chains(self)
        self.portfolio = Portfolio(self)

    def __enter__(self) -> "Ticker":
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def me(self) -> Principal:
        """Return who the key belongs to."""
        return cast("Principal", self.request("GET", "/me"))

    def quotes(self, *keys: str) -> Quotes:
        """Return the last value of each instrument that is streamed, with its age."""
        return cast("Quotes", self.request("GET", "/quotes", params={"i": list(keys)}))

    def candles(
        self,
        instrument: str,
        *,
        start: datetime,
        end: datetime,
        interval: str = "minute",
        oi: bool = False,
        continuous: bool = False,
    ) -> Candles:
        """Return candles that start between two aware moments, the first included."""
        params = {"instrument": instrument, "from": start.isoformat(), "to": end.isoformat(), "interval": interval}
        params |= {name: "true" for name, wanted in (("oi", oi), ("continuous", continuous)) if wanted}
        return cast("Candles", self.request("GET", "/candles", params=params))

    def request(
        self, method: str, path: str, *, body: object = None, params: Mapping[str, Any] | None = None, key: str = ""
    ) -> Any:
        """Send one request below /api/v1 and return the document of its answer, None where it has none."""
        headers = {"Idempotency-Key": key} if key else {}
        again = self._retries if method in {"GET", "PUT", "DELETE"} or key else 0
        for attempt in range(again + 1):
            try:
                answer = self._http.request(method, path, json=body, params=params, headers=headers)
            except httpx.TransportError as error:
                if attempt == again:
                    raise ConnectionLost(f"{method} {path}: {str(error) or type(error).__name__}") from error
            else:
                if answer.status_code not in {502, 503, 504} or attempt == again:
                    return _document(answer)
            time.sleep(PAUSE_SECONDS * 2**attempt)
        raise AssertionError("the last attempt returns or raises")

    def pages(self, path: str, *, params: Mapping[str, Any]) -> Iterator[Any]:
        """Yield the rows of a list, page by page."""
        cursor: str | None = ""
        while cursor is not None:
            page = self.request("GET", path, params={**params, **({"cursor": cursor} if cursor else {})})
            yield from page["results"]
            cursor = page.get("next")


class Accounts:
    """Accounts at the broker."""

    def __init__(self, ticker: Ticker) -> None:
        self._ticker = ticker

    def list(self) -> list[Account]:
        """Return the accounts the key may see."""
        return cast("list[Account]", self._ticker.request("GET", "/accounts")["results"])

    def get(self, label: str) -> Account:
        """Return one account."""
        return cast("Account", self._ticker.request("GET", f"/accounts/{label}"))

    def login_url(self, label: str) -> str:
        """Return the broker's login page for an account; after it the browser's address holds the request_token."""
        return str(self._ticker.request("GET", f"/accounts/{label}/login")["url"])

    def log_in(self, label: str, request_token: str) -> Account:
        """Log an account in with the request_token its login page led to; a token works once."""
        body = {"request_token": request_token}
        return cast("Account", self._ticker.request("POST", f"/accounts/{label}/login", body=body))

    def probe(self, label: str) -> Document:
        """Ask the broker who the account's login belongs to."""
        return cast("Document", self._ticker.request("POST", f"/accounts/{label}/probe"))


class Orders:
    """Orders: placed once for each Idempotency-Key, whatever happens to the answer."""

    def __init__(self, ticker: Ticker) -> None:
        self._ticker = ticker

    def place(self, *, key: str | None = None, **order: Any) -> Order:
        """Place an order, fields as in the API: account, exchange, tradingsymbol, transaction_type, quantity and so on.

        `key` is the Idempotency-Key: give your own to be able to repeat the call after a crash of yours.
        """
        return cast("Order", self._ticker.request("POST", "/orders", body=order, key=key or uuid.uuid4().hex))

    def modify(self, order_id: str, *, key: str | None = None, **changes: Any) -> Order:
        """Give an order new values: quantity, price, trigger_price and so on."""
        path = f"/orders/{order_id}"
        return cast("Order", self._ticker.request("PATCH", path, body=changes, key=key or uuid.uuid4().hex))

    def cancel(self, order_id: str) -> Order:
        """Ask for an order's cancellation; doing it again changes nothing."""
        return cast("Order", self._ticker.request("DELETE", f"/orders/{order_id}"))

    def get(self, order_id: str) -> Order:
        """Return one order."""
        return cast("Order", self._ticker.request("GET", f"/orders/{order_id}"))

    def events(self, order_id: str) -> list[Document]:
        """Return an order's timeline."""
        return cast("list[Document]", self._ticker.request("GET", f"/orders/{order_id}/events")["results"])

    def list(self, *, account: str = "", state: str = "", day: date | None = None) -> Iterator[Order]:
        """Yield orders, newest first."""
        given = {"account": account, "state": state, "day": day.isoformat() if day else ""}
        yield from self._ticker.pages("/orders", params={name: value for name, value in given.items() if value})

    def trades(self, *, account: str = "") -> Iterator[Document]:
        """Yield executions."""
        yield from self._ticker.pages("/trades", params={"account": account} if account else {})

    def wait(self, order_id: str, *, until: Callable[[Order], bool] | None = None, seconds: float = 30.0) -> Order:
        """Return the order once it is as wanted, by default in a final state; raises TimeoutError."""
        wanted = until or (lambda order: order["state"] in FINAL_STATES)
        deadline = time.monotonic() + seconds
        while not wanted(order := self.get(order_id)):
            if time.monotonic() > deadline:
                raise TimeoutError(f"order {order_id} was {order['state']} after {seconds:g} s")
            time.sleep(0.1)
        return order


class Instruments:
    """Contracts that are listed today."""

    def __init__(self, ticker: Ticker) -> None:
        self._ticker = ticker

    def get(self, key: str) -> Instrument:
        """Return one contract by EXCHANGE:SYMBOL or an alias such as INFY, ^NSEI or NIFTY."""
        return cast("Instrument", self._ticker.request("GET", f"/instruments/{key}"))

    def search(self, words: str = "", **exactly: Any) -> Iterator[Instrument]:
        """Yield contracts whose symbol, name, strike or type begin with every word; `exactly` narrows by field."""
        wanted = {name: str(value) for name, value in exactly.items()}
        yield from self._ticker.pages("/instruments", params={**wanted, **({"q": words} if words else {})})


class Subscriptions:
    """What is streamed for this key, whoever listens."""

    def __init__(self, ticker: Ticker) -> None:
        self._ticker = ticker

    def list(self, **query: Any) -> Iterator[Subscription]:
        """Yield this key's wishes; with instrument="NSE:INFY" everybody's for it, with everyone=True all."""
        yield from self._ticker.pages("/subscriptions", params={name: str(value) for name, value in query.items()})

    def add(self, *instruments: str, mode: str = "quote", reason: str = "", **named: Sequence[str]) -> int:
        """Want instruments, lists=[…] and chains=[…] streamed and return how many were new."""
        return int(self._send("POST", instruments, mode=mode, reason=reason, **named)["created"])

    def replace(self, *instruments: str, mode: str = "quote", reason: str = "", **named: Sequence[str]) -> None:
        """Want exactly these, and nothing this key wanted before."""
        self._send("PUT", instruments, mode=mode, reason=reason, **named)

    def remove(self, *instruments: str, everything: bool = False, **named: Sequence[str]) -> int:
        """Want these, or everything, no more and return how many were wanted."""
        return int(self._send("DELETE", instruments, everything=everything, **named)["deleted"])

    def _send(self, method: str, instruments: Sequence[str], **rest: Any) -> Document:
        body = {"instruments": list(instruments), **rest}
        return cast("Document", self._ticker.request(method, "/subscriptions", body=body))


class Lists:
    """Saved lists of instruments."""

    def __init__(self, ticker: Ticker) -> None:
        self._ticker = ticker

    def list(self) -> list[SavedList]:
        """Return every list, without its instruments."""
        return cast("list[SavedList]", self._ticker.request("GET", "/lists")["results"])

    def get(self, name: str) -> SavedList:
        """Return one list with its instruments."""
        return cast("SavedList", self._ticker.request("GET", f"/lists/{name}"))

    def save(self, name: str, *instruments: str, stream: str = "", description: str = "") -> SavedList:
        """Save instruments under a name; with a mode in `stream` the whole list is streamed."""
        body = {"instruments": list(instruments), "stream": stream, "description": description}
        return cast("SavedList", self._ticker.request("PUT", f"/lists/{name}", body=body))

    def delete(self, name: str) -> None:
        """Forget a list."""
        self._ticker.request("DELETE", f"/lists/{name}")


class Windows:
    """Chain windows: strikes around a price, wherever it goes."""

    def __init__(self, ticker: Ticker) -> None:
        self._ticker = ticker

    def list(self) -> list[Window]:
        """Return everybody's windows."""
        return cast("list[Window]", self._ticker.request("GET", "/windows")["results"])

    def save(self, underlying: str, **terms: Any) -> Window:
        """Make or change this key's window: strikes, expiries, mode, hysteresis, reason."""
        return cast("Window", self._ticker.request("PUT", f"/windows/{underlying}", body=terms))

    def delete(self, underlying: str) -> None:
        """End this key's window."""
        self._ticker.request("DELETE", f"/windows/{underlying}")


class Chains:
    """Option chains with their Greeks."""

    def __init__(self, ticker: Ticker) -> None:
        self._ticker = ticker

    def list(self) -> list[Document]:
        """Return the live chains with their forwards and ages."""
        return cast("list[Document]", self._ticker.request("GET", "/chains")["results"])

    def get(self, chain: str) -> Document:
        """Return one chain by its name, such as NIFTY:2026-11-26."""
        underlying, _, expiry = chain.partition(":")
        return cast("Document", self._ticker.request("GET", f"/chains/{underlying}/{expiry}"))


class Portfolio:
    """What the accounts hold; every answer says how old it is."""

    def __init__(self, ticker: Ticker) -> None:
        self._ticker = ticker

    def positions(self, **scope: Any) -> Document:
        """Return positions: of account="…", group="…", or of every account the key may see."""
        return self._get("/positions", scope)

    def holdings(self, **scope: Any) -> Document:
        """Return holdings."""
        return self._get("/holdings", scope)

    def margins(self, **scope: Any) -> Document:
        """Return margins."""
        return self._get("/margins", scope)

    def _get(self, path: str, scope: Mapping[str, Any]) -> Document:
        return cast("Document", self._ticker.request("GET", path, params=dict(scope)))


def _document(answer: httpx.Response) -> Any:
    if answer.is_success:
        return answer.json() if answer.content else None
    try:
        problem = answer.json()
    except ValueError:
        problem = {"code": "no_problem_document", "detail": answer.text[:200]}
    raise ApiError(answer.status_code, problem if isinstance(problem, dict) else {"detail": str(problem)})
