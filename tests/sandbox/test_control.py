"""The control API, the clock, the login page, restarts and the page to watch."""

import json
import stat
import time
from pathlib import Path

import pytest
import requests
from kiteconnect import KiteConnect
from kiteconnect import exceptions as kite_errors

from sandbox.accounts import totp_code
from sandbox.options import parser
from tests.sandbox.conftest import connect
from tests.sandbox.orders import below, order, place, wait_status
from tests.sandbox_server import SandboxServer, wait_for


def test_the_credentials_file_is_private(exchange: SandboxServer) -> None:
    assert stat.S_IMODE(exchange.credentials_file.stat().st_mode) == 0o600


def test_a_wrong_control_key_is_refused(exchange: SandboxServer) -> None:
    answer = requests.get(f"{exchange.control_url}/state", headers={"X-Control-Key": "wrong"}, timeout=5)

    assert answer.status_code == 403


def test_a_body_may_be_null_but_no_list(exchange: SandboxServer) -> None:
    answers = [
        requests.delete(
            f"{exchange.control_url}/faults", data=body, headers={"X-Control-Key": exchange.control_key}, timeout=5
        )
        for body in ("null", "[1]")
    ]

    assert [answer.status_code for answer in answers] == [200, 400]
    assert answers[1].json()["message"] == "the body is no JSON object"


def test_a_setting_that_does_not_exist_is_named(exchange: SandboxServer) -> None:
    with pytest.raises(RuntimeError, match="no setting nonsense"):
        exchange.settings(nonsense=1)
    with pytest.raises(RuntimeError, match="limits must be bool"):
        exchange.settings(limits=3)


def test_a_paused_clock_stands_and_can_be_stepped(exchange: SandboxServer) -> None:
    paused = exchange.clock(pause=True)["now"]
    step = exchange.state()["step"]

    exchange.step(5)

    assert exchange.state()["step"] == step + 5
    assert exchange.state()["clock"]["now"] >= paused


def test_a_spot_takes_its_derivatives_along(exchange: SandboxServer, kite: KiteConnect) -> None:
    exchange.clock(pause=True)
    future = next(
        row["tradingsymbol"]
        for row in kite.instruments("NFO")
        if row["name"] == "RELIANCE" and row["instrument_type"] == "FUT"
    )
    before = exchange.book(f"NFO:{future}")["last_price"]
    spot = exchange.book("NSE:RELIANCE")["last_price"]

    exchange.move("NSE:RELIANCE", spot * 1.05)

    assert exchange.book(f"NFO:{future}")["last_price"] == pytest.approx(before * 1.05, rel=0.01)
    exchange.move("NSE:RELIANCE", spot)


def test_the_page_shows_users_and_scenarios(exchange: SandboxServer) -> None:
    text = requests.get(exchange.rest_root, timeout=5).text

    assert all(user.user_id in text for user in exchange.users)
    assert "NIFTY 50" in text
    assert "/scenarios/lost-answers" in text
    assert not any(user.api_secret in text or user.password in text for user in exchange.users)


def test_every_scenario_can_be_started(exchange: SandboxServer) -> None:
    names = [row["name"] for row in exchange.control("GET", "/scenarios")]

    assert len(names) >= 5
    exchange.control("POST", "/scenarios/lost-answers")
    wait_for(lambda: {row["kind"] for row in exchange.faults()} == {"lost_answer", "visibility_lag", "update_lost"})


def test_unknown_routes_and_methods_answer_in_kites_envelope(exchange: SandboxServer) -> None:
    missing = requests.get(f"{exchange.rest_root}/nowhere", timeout=5)
    wrong = requests.delete(f"{exchange.rest_root}/quote", timeout=5)

    assert (missing.status_code, missing.json()["status"]) == (404, "error")
    assert (wrong.status_code, wrong.json()["error_type"]) == (405, "GeneralException")
    assert "GET" in wrong.headers["Allow"]


def test_a_call_without_a_session_is_refused(exchange: SandboxServer) -> None:
    answer = requests.get(f"{exchange.rest_root}/orders", timeout=5)

    assert answer.status_code == 403
    assert answer.json() == {
        "status": "error",
        "message": "Incorrect `api_key` or `access_token`.",
        "error_type": "TokenException",
        "data": None,
    }


def test_large_answers_are_gzipped_when_asked(exchange: SandboxServer) -> None:
    plain = requests.get(f"{exchange.rest_root}/instruments", headers={"Accept-Encoding": "identity"}, timeout=5)
    packed = requests.get(f"{exchange.rest_root}/instruments", timeout=5)

    assert "Content-Encoding" not in plain.headers
    assert packed.headers["Content-Encoding"] == "gzip"
    assert packed.text == plain.text


def test_the_login_page_redirects_with_its_parameters(exchange: SandboxServer) -> None:
    location = exchange.login_redirect(0, redirect_params="account=7&next=desk")

    assert "status=success" in location
    assert "action=login" in location
    assert "account=7" in location


def test_a_wrong_password_shows_the_form_again(exchange: SandboxServer) -> None:
    user = exchange.users[0]
    answer = requests.post(
        exchange.login_url, params={"api_key": user.api_key}, data={"user_id": user.user_id, "password": "no"},
        timeout=5, allow_redirects=False,
    )  # fmt: skip

    assert answer.status_code == 403
    assert "Invalid username, password or code" in answer.text


def test_another_user_cannot_log_in_to_an_app(exchange: SandboxServer) -> None:
    app, stranger = exchange.users[0], exchange.users[1]
    answer = requests.post(
        exchange.login_url, params={"api_key": app.api_key}, allow_redirects=False, timeout=5,
        data={"user_id": stranger.user_id, "password": stranger.password},
    )  # fmt: skip

    assert answer.status_code == 403
    assert "not enabled for the app" in answer.text


def test_an_expired_request_token_is_refused(exchange: SandboxServer) -> None:
    exchange.settings()
    client = KiteConnect(exchange.users[0].api_key, root=exchange.rest_root)

    with pytest.raises(kite_errors.TokenException):
        client.generate_session("never-issued", exchange.users[0].api_secret)


def test_registered_addresses_bind_orders_only(exchange: SandboxServer, kite: KiteConnect) -> None:
    exchange.control("POST", f"/users/{exchange.users[0].user_id}", {"addresses": ["192.0.2.1"]})

    with pytest.raises(kite_errors.PermissionException, match="No IPs configured"):
        place(kite, price=below(exchange, "NSE:INFY"))
    assert kite.orders() is not None
    exchange.settings(registered_addresses={})


def test_a_token_dies_at_six_in_the_morning() -> None:
    with SandboxServer("--clock", "2026-11-24T21:00:00", "--no-limits") as server:
        client = connect(server)
        server.clock(jump="05:59:55", pause=True)
        assert client.profile()

        server.clock(jump="06:00:01")

        with pytest.raises(kite_errors.TokenException):
            client.profile()


def test_a_new_day_empties_the_book_and_delivers_shares() -> None:
    with SandboxServer("--clock", "2026-11-23T15:20:00", "--no-limits", "--interval", "0.1") as server:
        client = connect(server)
        open_order = place(client, price=below(server, "NSE:INFY"))
        wait_status(client, place(client, "NSE:ABB", order_type="MARKET", market_protection=-1), "COMPLETE")
        waiting = place(client, variety="amo", price=below(server, "NSE:INFY"))
        wait_status(client, open_order, "OPEN")

        server.clock(jump="2026-11-25T09:30:00")
        later = connect(server)

        assert [row["order_id"] for row in later.orders()] == [waiting]
        wait_status(later, waiting, "OPEN")
        assert "ABB" in {row["tradingsymbol"] for row in later.holdings()}
        assert later.positions()["net"] == []


def test_real_sessions_open_close_and_square_off() -> None:
    arguments = ("--clock", "2026-11-25T15:11:30", "--sessions", "real", "--no-limits", "--interval", "0.1")
    with SandboxServer(*arguments) as server:
        client = connect(server)
        price = below(server, "NSE:INFY")
        day_order = place(client, price=price)
        bought = place(client, "NSE:SBIN", order_type="MARKET", market_protection=-1, product="MIS")
        wait_status(client, bought, "COMPLETE")

        server.clock(jump="15:12:05")
        wait_for(lambda: all(row["quantity"] == 0 for row in client.positions()["net"]))
        with pytest.raises(kite_errors.InputException, match="only till 3:12 PM"):
            place(client, price=price, product="MIS")
        server.clock(jump="15:30:05")
        wait_status(client, day_order, "CANCELLED")
        with pytest.raises(kite_errors.InputException, match="Markets are closed"):
            place(client, price=price)
        server.clock(jump="16:05")
        waiting = place(client, variety="amo", price=price)
        assert order(client, waiting)["status"] == "AMO REQ RECEIVED"


def test_expired_contracts_leave_the_dump_and_the_market() -> None:
    with SandboxServer("--clock", "2026-12-01T15:00:00", "--no-limits") as server:
        symbol = "NIFTY26D0126000CE"
        before = [row["tradingsymbol"] for row in connect(server).instruments("NFO")]

        server.clock(jump="2026-12-02T09:30:00")

        later = connect(server)
        assert symbol in before
        assert symbol not in {row["tradingsymbol"] for row in later.instruments("NFO")}
        with pytest.raises(kite_errors.InputException, match="expired or does not exist"):
            place(later, f"NFO:{symbol}", price=5, quantity=65)


def test_the_published_dump_can_be_changed(exchange: SandboxServer, kite: KiteConnect) -> None:
    exchange.control("POST", "/dump", {"NSE:RITES": {"lot_size": 7}, "NSE:IRCON": {"removed": True}})

    rows = {row["tradingsymbol"]: row for row in kite.instruments("NSE")}
    assert rows["RITES"]["lot_size"] == 7
    assert "IRCON" not in rows


def test_a_holiday_is_closed() -> None:
    with SandboxServer("--clock", "2026-11-24T10:00:00", "--sessions", "real", "--no-limits") as server:
        client = connect(server)

        with pytest.raises(kite_errors.InputException, match="Markets are closed"):
            place(client, price=below(server, "NSE:INFY"))


def test_credentials_and_state_survive_a_restart(tmp_path: Path) -> None:
    state = ("--state", str(tmp_path / "state.json"), "--no-limits")
    with SandboxServer(*state, folder=tmp_path) as server:
        client = connect(server)
        filled = place(client, order_type="MARKET", market_protection=-1)
        wait_status(client, filled, "COMPLETE")
        resting = place(client, price=below(server, "NSE:INFY"))
        wait_status(client, resting, "OPEN")
        users = server.users

    with SandboxServer(*state, folder=tmp_path) as again:
        client.root = again.rest_root

        assert again.users == users
        assert {row["order_id"]: row["status"] for row in client.orders()} == {filled: "COMPLETE", resting: "OPEN"}
        assert len(client.order_history(filled)) == 5
        assert client.positions()["net"][0]["quantity"] == 1
        client.cancel_order("regular", resting)
        wait_status(client, resting, "CANCELLED")


def test_a_totp_code_is_asked_for_when_wanted() -> None:
    with SandboxServer("--totp") as server:
        user = server.users[0]
        form = {"user_id": user.user_id, "password": user.password}
        query = {"api_key": user.api_key}
        without = requests.post(server.login_url, params=query, data=form, allow_redirects=False, timeout=5)
        form["totp"] = totp_code(secret=user.totp_secret, epoch=time.time())

        with_code = requests.post(server.login_url, params=query, data=form, allow_redirects=False, timeout=5)

        assert without.status_code == 403
        assert with_code.status_code == 302


def test_the_rfc_6238_vectors_hold() -> None:
    secret = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"

    assert [totp_code(secret=secret, epoch=at) for at in (59, 1111111109, 20000000000)] == [
        "287082",
        "081804",
        "353130",
    ]


def test_a_tied_exchange_does_not_outlive_its_starter() -> None:
    with SandboxServer() as server:
        assert server.process.stdin is not None
        server.process.stdin.close()

        assert server.process.wait(10) == 0


def test_the_journal_can_be_kept_on_disk(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    with SandboxServer("--journal", str(path)) as server:
        connect(server)

    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert {"login", "http"} <= {line["kind"] for line in lines}


def test_the_help_names_every_option() -> None:
    text = parser().format_help()
    for option in ("--instruments", "--chain", "--clock", "--seed", "--state", "--scenario", "--totp"):
        assert option in text
