"""Switches and corners: alerts that trade, scenarios step by step, both autoslice shapes, short ids."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests
from kiteconnect import KiteConnect
from kiteconnect import exceptions as kite_errors
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection
from websockets.sync.client import connect as open_socket

from sandbox.scenario import known_scenarios, read_scenario
from tests.sandbox.conftest import connect
from tests.sandbox.orders import below, new_tag, option_near, place, wait_status
from tests.sandbox_server import SandboxServer, wait_for

INFY = 408065


def test_an_ato_alert_places_its_basket(exchange: SandboxServer, kite: KiteConnect) -> None:
    tag = new_tag()
    params = {
        "validity": "DAY", "variety": "regular", "product": "CNC", "order_type": "LIMIT", "transaction_type": "BUY",
        "quantity": 1, "price": below(exchange, "NSE:INFY"), "tag": tag,
    }  # fmt: skip
    basket = {"items": [{"exchange": "NSE", "tradingsymbol": "INFY", "params": params}]}
    form = {
        "name": "buy", "type": "ato", "lhs_exchange": "NSE", "lhs_tradingsymbol": "INFY", "operator": ">",
        "lhs_attribute": "LastTradedPrice", "rhs_type": "instrument", "rhs_exchange": "NSE",
        "rhs_tradingsymbol": "SBIN", "basket": json.dumps(basket),
    }  # fmt: skip
    headers = exchange.headers(0, kite.access_token)

    created = requests.post(f"{exchange.rest_root}/alerts", headers=headers, data=form, timeout=5)

    assert created.status_code == 200
    row = wait_for(lambda: next((row for row in kite.orders() if row["tag"] == tag), None))
    assert row["tradingsymbol"] == "INFY"


def test_autoslice_can_answer_in_its_first_shape(exchange: SandboxServer, kite: KiteConnect) -> None:
    exchange.settings(autoslice_shape="v1")
    option = option_near(kite)

    answer = kite.place_autoslice_order(
        "regular", "NFO", option["tradingsymbol"], "BUY", option["lot_size"] * 40, "NRML", "LIMIT", price=5.0
    )

    assert [set(child) for child in answer] == [{"order_id"}, {"order_id"}]


def test_more_than_ten_slices_are_refused(kite: KiteConnect) -> None:
    option = option_near(kite)

    with pytest.raises(kite_errors.InputException, match="more than 10"):
        kite.place_autoslice_order(
            "regular", "NFO", option["tradingsymbol"], "BUY", option["lot_size"] * 400, "NRML", "LIMIT", price=5.0
        )


def test_one_slice_may_fail_for_want_of_money(exchange: SandboxServer) -> None:
    kite = connect(exchange, 2)
    option = option_near(kite, kind="PE")
    price = exchange.book(f"NFO:{option['tradingsymbol']}")["last_price"]
    exchange.control("POST", f"/users/{exchange.users[2].user_id}", {"cash": price * 1755 * 1.5})

    answer = kite.place_autoslice_order(
        "regular", "NFO", option["tradingsymbol"], "BUY", 1755 * 2, "NRML", "LIMIT", price=price
    )

    assert "order_id" in answer["children"][0]
    assert answer["children"][1]["error"]["error_type"] == "MarginException"
    exchange.control("POST", f"/users/{exchange.users[2].user_id}", {"cash": 1e7})


def test_order_ids_can_be_short() -> None:
    with SandboxServer("--order-ids", "15", "--no-limits") as server:
        kite = connect(server)

        ids = [place(kite, price=below(server, "NSE:INFY")) for _ in range(3)]

    assert len(set(ids)) == 3
    assert {len(order_id) for order_id in ids} == {15}


def test_order_ids_are_unique_text_of_nineteen_digits(exchange: SandboxServer, kite: KiteConnect) -> None:
    ids = [place(kite, price=below(exchange, "NSE:INFY")) for _ in range(5)]

    assert len(set(ids)) == 5
    assert {len(order_id) for order_id in ids} == {19}


def test_every_shipped_scenario_reads() -> None:
    assert all(scenario.title and scenario.steps for scenario in known_scenarios())


def test_a_scenario_step_that_does_nothing_is_named(tmp_path: Path) -> None:
    path = tmp_path / "odd.json"
    path.write_text(json.dumps({"title": "odd", "steps": [{"at": 0, "dance": {}}]}))

    with pytest.raises(ValueError, match="names none of fault"):
        read_scenario(path)


def test_a_scenario_carries_out_every_kind_of_step(tmp_path: Path) -> None:
    steps: list[dict[str, Any]] = [
        {"at": 0, "fault": {"kind": "latency", "seconds": 0}},
        {"at": 0.1, "clear": {}},
        {"at": 0.1, "price": {"instrument": "NSE:INFY", "price": 1550}},
        {"at": 0.1, "settings": {"exchange_latency": 0.0}},
        {"at": 0.2, "clock": {"jump": "2026-11-25T14:00:00"}},
        {"at": 0.2, "clock": {"speed": 3}},
        {"at": 0.3, "fault": {"kind": "cancel_refused"}},
    ]
    path = tmp_path / "all.json"
    path.write_text(json.dumps({"title": "all", "steps": steps}))

    with SandboxServer("--clock", "2026-11-25T10:00:00", "--scenario", str(path)) as server:
        wait_for(lambda: [row["kind"] for row in server.faults()] == ["cancel_refused"])

        assert server.book("NSE:INFY")["last_price"] == pytest.approx(1550, abs=5)
        assert server.state()["clock"]["now"] >= "2026-11-25 14:00:00"
        assert server.state()["clock"]["speed"] == 3
        assert server.control("GET", "/settings")["exchange_latency"] == 0


@contextmanager
def subscribed(server: SandboxServer, kite: KiteConnect) -> Iterator[ClientConnection]:
    with open_socket(server.ws_url(0, kite.access_token), compression=None) as link:
        link.send(json.dumps({"a": "subscribe", "v": [INFY]}))
        yield link


def frame(link: ClientConnection) -> bytes:
    """Return the next frame that is no heartbeat."""
    while True:
        message = link.recv(timeout=20)
        if isinstance(message, bytes) and len(message) > 1:
            return message


def test_a_truncated_frame_stops_in_a_packet(exchange: SandboxServer, kite: KiteConnect) -> None:
    exchange.fault("frame_truncated", count=1)

    with subscribed(exchange, kite) as link:
        assert len(frame(link)) == 24
        assert len(frame(link)) == 48


def test_a_slow_socket_sends_a_frame_in_its_own_time(exchange: SandboxServer, kite: KiteConnect) -> None:
    with subscribed(exchange, kite) as link:
        frame(link)
        exchange.fault("socket_slow", seconds=1.0)
        frame(link)
        begun = time.monotonic()
        frame(link)

        assert time.monotonic() - begun >= 0.9


def test_a_burst_repeats_a_frame(exchange: SandboxServer, kite: KiteConnect) -> None:
    exchange.fault("socket_burst", count=1, times=30)

    with subscribed(exchange, kite) as link:
        assert len({frame(link) for _ in range(30)}) == 1


def test_a_late_update_is_overtaken() -> None:
    """The late one waits for the end of its fault, not for a clock that a busy machine outruns."""
    with SandboxServer("--no-limits", "--interval", "0.2") as server:
        kite = connect(server)
        server.fault("update_late", count=1, seconds=600)
        with open_socket(server.ws_url(0, kite.access_token)) as link:
            order_id = place(kite, price=below(server, "NSE:INFY"))
            wait_status(kite, order_id, "OPEN", seconds=20)
            kite.cancel_order("regular", order_id)
            first = _update_of(link, order_id)["status"]
            server.clear_faults()

            assert [first, _update_of(link, order_id)["status"]] == ["CANCELLED", "OPEN"]


def _update_of(link: ClientConnection, order_id: str) -> dict[str, Any]:
    """Return the next update of one order."""
    while True:
        message = link.recv(timeout=20)
        update: dict[str, Any] = json.loads(message)["data"] if isinstance(message, str) else {}
        if update.get("order_id") == order_id:
            return update


def test_upgrades_can_be_refused(exchange: SandboxServer, kite: KiteConnect) -> None:
    exchange.fault("socket_refused")

    with pytest.raises(InvalidStatus), open_socket(exchange.ws_url(0, kite.access_token)):
        pass


def test_a_socket_can_be_closed_with_a_code(exchange: SandboxServer, kite: KiteConnect) -> None:
    with open_socket(exchange.ws_url(0, kite.access_token)) as link:
        link.recv(timeout=20)
        exchange.fault("socket_drop", code=1012)

        with pytest.raises(ConnectionClosed) as closed:
            _update_of(link, "never placed")

    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1012


def test_depository_authorisation_can_be_asked_for(exchange: SandboxServer) -> None:
    kite = connect(exchange, 1)
    exchange.settings(require_depository_authorisation=True)
    holding = next(row for row in kite.holdings() if row["authorised_quantity"] == 0)
    symbol = f"NSE:{holding['tradingsymbol']}"
    sell = {"order_type": "MARKET", "market_protection": -1, "quantity": 1}

    with pytest.raises(kite_errors.GeneralException, match="1 quantity needs authorisation at depository") as refused:
        place(kite, symbol, "SELL", **sell)
    requests.post(
        f"{exchange.rest_root}/portfolio/holdings/authorise", headers=exchange.headers(1, kite.access_token), timeout=5
    )

    assert refused.value.code == 428
    wait_status(kite, place(kite, symbol, "SELL", **sell), "COMPLETE")


def test_the_instruments_can_be_kept_behind_a_session(exchange: SandboxServer, kite: KiteConnect) -> None:
    exchange.settings(instruments_need_session=True)

    assert requests.get(f"{exchange.rest_root}/instruments", timeout=5).status_code == 403
    assert kite.instruments("NSE")


def test_head_is_answered_without_a_body(exchange: SandboxServer) -> None:
    answer = requests.head(f"{exchange.rest_root}/instruments", timeout=5)

    assert (answer.status_code, answer.content) == (200, b"")
