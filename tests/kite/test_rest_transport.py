"""How a call leaves: verified, once, bounded, on the right connection, and telling nobody its secrets."""

import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from kite.errors import KiteError, OutcomeUnknown, SessionExpired, Unavailable
from kite.limits import CallClass
from kite.rest import Rest, open_session
from kite.types import Login
from tests.kite.certificates import server_context, write_certificate
from tests.kite.recorded import ORDER, error
from tests.kite.test_verdicts import login, order
from tests.kite.wire_server import Act, Trickle, WireServer, http
from tests.sandbox_server import wait_for

EMPTY_BOOK = http(200, b'{"status":"success","data":[]}')
DONE = http(200, b'{"status":"success","data":true}')

CALLS: dict[str, Callable[[Rest], object]] = {
    "order": lambda rest: rest.place_order(order()),
    "read": lambda rest: rest.orders(),
}
both = pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)


def failure(call: Callable[[Rest], object], rest: Rest) -> KiteError:
    with pytest.raises(KiteError) as caught:
        call(rest)
    return caught.value


@contextmanager
def deaf_port() -> Iterator[int]:
    """A port whose queue of connections is full, so that connecting hangs."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        port = listener.getsockname()[1]
        waiting = [socket.socket() for _ in range(3)]
        for each in waiting:
            each.setblocking(False)
            each.connect_ex(("127.0.0.1", port))
        yield port
        for each in waiting:
            each.close()


def closed_port() -> int:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        return int(unused.getsockname()[1])


@both
def test_a_refused_connection_means_nothing_was_sent(call: Callable[[Rest], object]) -> None:
    refused = failure(call, Rest(login(f"http://127.0.0.1:{closed_port()}")))

    assert type(refused) is Unavailable
    assert "was not sent" in refused.message
    assert "ConnectionRefusedError" in refused.message


@both
def test_an_unknown_host_means_nothing_was_sent(call: Callable[[Rest], object]) -> None:
    unknown = failure(call, Rest(login("http://no-such-host.invalid")))

    assert type(unknown) is Unavailable
    assert "was not sent" in unknown.message


@both
def test_a_self_signed_certificate_means_nothing_was_sent(call: Callable[[Rest], object], tmp_path: Path) -> None:
    with WireServer([http(200, ORDER)], context=server_context(write_certificate(tmp_path))) as server:
        unsafe = failure(call, Rest(login(server.root)))

    assert type(unsafe) is Unavailable
    assert "was not sent" in unsafe.message
    assert server.heard == []


@both
def test_a_handshake_that_never_ends_is_cut_by_the_connect_timeout(call: Callable[[Rest], object]) -> None:
    with WireServer(greets=False) as server:
        start = time.monotonic()
        stuck = failure(call, Rest(login(f"https://127.0.0.1:{server.port}"), connect_timeout=0.3))
        took = time.monotonic() - start

    assert type(stuck) is Unavailable
    assert took < 0.8


@both
def test_a_connection_that_never_opens_is_cut_by_the_connect_timeout(call: Callable[[Rest], object]) -> None:
    with deaf_port() as port:
        start = time.monotonic()
        deaf = failure(call, Rest(login(f"http://127.0.0.1:{port}"), connect_timeout=0.3))
        took = time.monotonic() - start

    assert type(deaf) is Unavailable
    assert "was not sent" in deaf.message
    assert took < 0.8


def test_orders_never_share_a_connection() -> None:
    with WireServer([http(200, ORDER)], keep=True) as server:
        rest = Rest(login(server.root))
        rest.place_order(order())
        rest.place_order(order())
        rest.close()

    assert server.connections == 2
    assert [heard.headers["connection"] for heard in server.heard] == ["close", "close"]


def test_reads_keep_their_connection() -> None:
    with WireServer([EMPTY_BOOK], keep=True) as server:
        rest = Rest(login(server.root))
        rest.orders()
        rest.orders()
        rest.close()

    assert server.connections == 1
    assert len(server.heard) == 2


def test_a_read_survives_a_connection_closed_while_idle() -> None:
    with WireServer([EMPTY_BOOK]) as server:
        rest = Rest(login(server.root))

        books = [rest.orders()]
        wait_for(lambda: server.closed == 1)
        books.append(rest.orders())
        rest.close()

    assert books == [[], []]
    assert server.connections == 2


def test_a_redirect_is_not_followed() -> None:
    with WireServer([http(200, ORDER)]) as elsewhere:
        moved = http(307, extra=f"Location: {elsewhere.root}/orders/regular\r\n")
        with WireServer([moved]) as server:
            failed = failure(CALLS["order"], Rest(login(server.root)))

    assert type(failed) is OutcomeUnknown
    assert elsewhere.heard == []


def test_calls_leave_from_the_address_of_the_login() -> None:
    with WireServer([http(200, ORDER)]) as server:
        Rest(login(server.root, source_address="127.0.0.9")).place_order(order())

    assert server.heard[0].peer[0] == "127.0.0.9"


def test_an_address_this_host_does_not_own_means_nothing_was_sent() -> None:
    with WireServer([http(200, ORDER)]) as server:
        failed = failure(CALLS["order"], Rest(login(server.root, source_address="203.0.113.7")))

    assert type(failed) is Unavailable
    assert server.heard == []


def test_the_environment_cannot_slip_in_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    with WireServer([http(200, ORDER)]) as proxy, WireServer([EMPTY_BOOK]) as server:
        monkeypatch.setenv("HTTP_PROXY", proxy.root)
        monkeypatch.setenv("http_proxy", proxy.root)

        Rest(login(server.root)).orders()

    assert proxy.heard == []


def test_headers_carry_version_and_login() -> None:
    with WireServer([EMPTY_BOOK]) as server:
        Rest(login(server.root)).orders()

    headers = server.heard[0].headers
    assert headers["x-kite-version"] == "3"
    assert headers["authorization"] == "token key:secret-access"


def test_a_slow_dump_may_take_longer_than_a_call() -> None:
    dump = http(200, b"a,b\n", content_type="text/csv")

    with WireServer([dump[:-4], Trickle(b"a,b\n", pause=0.1)]) as server:
        text = Rest(login(server.root), total_timeout=0.2).instruments()

    assert text == b"a,b\n"


def test_a_dump_cut_short_is_no_dump() -> None:
    dump = http(200, b"a,b\n", content_type="text/csv")

    with WireServer([dump[:-2]]) as server, pytest.raises(Unavailable):
        Rest(login(server.root)).instruments()


def test_a_dump_answered_by_an_error_is_no_dump() -> None:
    with WireServer([error(200, "GeneralException")]) as server, pytest.raises(Unavailable):
        Rest(login(server.root)).instruments()


def test_threads_share_a_client() -> None:
    with WireServer([EMPTY_BOOK], keep=True) as server:
        rest = Rest(login(server.root))
        books: list[object] = []
        threads = [threading.Thread(target=lambda: books.append(rest.orders())) for _ in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        rest.close()

    assert books == [[]] * 16


@pytest.mark.parametrize(
    ("call", "asked"),
    [
        (lambda rest: rest.orders(), [CallClass.OTHER]),
        (lambda rest: rest.ltp(["NSE:INFY"]), [CallClass.QUOTE]),
        (lambda rest: rest.place_order(order()), []),
    ],
    ids=["book", "quote", "order"],
)
def test_every_metered_call_asks_first(call: Callable[[Rest], object], asked: list[CallClass]) -> None:
    admitted: list[CallClass] = []

    with WireServer([Act.RESET]) as server, pytest.raises(KiteError):
        call(Rest(login(server.root), admit=admitted.append))

    assert admitted == asked


def test_a_call_that_is_not_admitted_is_not_sent() -> None:
    class Spent(Exception):
        pass

    def admit(_: CallClass) -> None:
        raise Spent

    with WireServer([EMPTY_BOOK]) as server, pytest.raises(Spent):
        Rest(login(server.root), admit=admit).orders()

    assert server.heard == []


@pytest.mark.parametrize("steps", [[DONE], [error(403, "TokenException")], [Act.RESET], [b"HTTP/1.1 200 OK\r\nX"]])
def test_ending_a_session_tells_no_log_its_token(steps: list[bytes | Act], caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)

    with WireServer(steps) as server:
        try:
            Rest(login(server.root)).close_session()
        except KiteError as failed:
            logging.getLogger("test").exception("failed", exc_info=failed)

    assert "secret-access" in server.heard[0].target
    assert "secret-access" not in caplog.text


def test_an_error_holds_no_exception_of_the_library() -> None:
    with WireServer([Act.RESET]) as server:
        failed = failure(CALLS["order"], Rest(login(server.root)))

    assert failed.__cause__ is None
    assert failed.__context__ is None


def test_a_granted_session_that_cannot_be_used_is_withheld_from_evidence() -> None:
    half = b'{"status":"success","data":{"access_token":"fresh-access"'

    with WireServer([http(200, half)]) as server, pytest.raises(OutcomeUnknown) as caught:
        open_session(rest_root=server.root, api_key="k", api_secret="s", request_token="r")

    assert "fresh-access" not in repr(caught.value.evidence)


def test_a_spent_request_token_asks_for_a_new_login() -> None:
    said = error(403, "TokenException", "Token is invalid or has expired.")

    with WireServer([said]) as server, pytest.raises(SessionExpired) as caught:
        open_session(rest_root=server.root, api_key="k", api_secret="s", request_token="r")

    assert caught.value.message == "Token is invalid or has expired."


def test_a_login_keeps_its_token_out_of_its_text() -> None:
    assert "secret-access" not in repr(Login("a", "k", "secret-access", 1, "http://x", "ws://x"))
