"""What a stranger does in the first minutes, with nothing but the printed lines."""

import json
import subprocess
import time
from typing import Any

from tests.journeys.platform import ROOT, Platform, eventually

ORDER = {
    "exchange": "NSE",
    "tradingsymbol": "INFY",
    "transaction_type": "BUY",
    "quantity": 1,
    "product": "CNC",
    "order_type": "MARKET",
    "market_protection": -1,
}


def order_of(platform: Platform, order_id: str) -> dict[str, Any]:
    return platform.api("GET", f"/orders/{order_id}").json()


def place(platform: Platform, key: str, **changes: object) -> Any:
    return platform.api("POST", "/orders", {"account": "sbx001", **ORDER, **changes}, **{"Idempotency-Key": key})


def test_the_printed_order_is_filled_and_seen_on_the_order_socket(platform: Platform) -> None:
    with platform.socket("/ws/v1/orders") as socket:
        answer = subprocess.run(
            platform.order_command, shell=True, cwd=ROOT, capture_output=True, text=True, check=True, timeout=20
        )
        order_id = json.loads(answer.stdout)["id"]

        seen = ""
        while not (order_id in seen and "COMPLETE" in seen):
            seen = str(socket.recv(timeout=20))
    assert order_of(platform, order_id)["state"] == "COMPLETE"


def test_the_printed_stream_prints_ticks(platform: Platform) -> None:
    client = subprocess.Popen(
        f"exec {platform.stream_command}",
        shell=True,
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        bufsize=1,
        env={"PYTHONUNBUFFERED": "1", "PATH": "/usr/bin:/bin"},
    )
    try:
        assert client.stdout is not None
        lines = [client.stdout.readline() for _ in range(4)]
    finally:
        client.kill()
        client.wait()

    assert any('"snap"' in line or '"d"' in line for line in lines)


def test_ticks_for_five_hundred_instruments_arrive(platform: Platform) -> None:
    keys = streamed_keys(platform)[:500]
    assert len(keys) == 500

    with platform.socket("/ws/v1/ticks") as socket:
        socket.send(json.dumps({"op": "sub", "id": 1, "mode": "quote", "symbols": keys}))
        seen: set[int] = set()
        deadline = time.monotonic() + 60
        while len(seen) < 500 and time.monotonic() < deadline:
            message = json.loads(socket.recv(timeout=20))
            if message["t"] in {"snap", "d"}:
                seen |= {row[0] for row in message["d"]}

    assert len(seen) == 500


def streamed_keys(platform: Platform) -> list[str]:
    keys: list[str] = []
    for query in ("exchange=NSE&instrument_type=EQ", "exchange=NFO&name=NIFTY&instrument_type=CE"):
        page = platform.api("GET", f"/instruments?{query}&limit=500").json()
        keys += [row["key"] for row in page["results"]]
    return keys


def test_the_greeks_of_a_nifty_chain_move_with_the_ticks(platform: Platform) -> None:
    chains = platform.api("GET", "/chains").json()["results"]
    chain = next(row["chain"] for row in chains if row["underlying"] == "NIFTY")

    with platform.socket("/ws/v1/chains") as socket:
        socket.send(json.dumps({"op": "sub", "id": 1, "chain": chain}))
        forwards: set[float] = set()
        deadline = time.monotonic() + 60
        while len(forwards) < 2 and time.monotonic() < deadline:
            message = json.loads(socket.recv(timeout=20))
            if message["t"] in {"snap", "d"}:
                forwards.add(message["head"]["forward"]["value"])

    assert len(forwards) == 2
    underlying, expiry = chain.split(":")
    served = platform.api("GET", f"/chains/{underlying}/{expiry}").json()
    assert any(row["call"]["iv"] and row["put"]["delta"] for row in served["strikes"])


def settled(platform: Platform) -> dict[str, Any]:
    return eventually(platform.settled, within=30.0, what="a full stream")


def streaming_label(desk: dict[str, Any]) -> str:
    """Return an account that may lose its socket: it streams, and it is not the one the orders go through."""
    return next(
        label
        for label, row in desk["accounts"].items()
        if label != "sbx001" and row["state"] == "active" and row["feed"]["tokens"] > 0
    )


def test_a_killed_socket_moves_its_instruments(platform: Platform) -> None:
    before = settled(platform)
    lost = streaming_label(before)

    platform.exchange("POST", "/faults", {"kind": "socket_drop", "user": lost.upper(), "duration": 20})

    def moved() -> bool:
        desk = platform.desk()
        others = sum(
            row["feed"]["tokens"] for label, row in desk["accounts"].items() if label != lost and "feed" in row
        )
        return bool(desk["accounts"][lost]["state"] == "degraded" and others >= before["feed"]["wanted"])

    eventually(moved, within=30.0, what="the move")


def test_rotating_in_the_admin_reopens_the_feed_and_loses_no_subscription(platform: Platform) -> None:
    before = settled(platform)
    label = streaming_label(before)
    account = before["accounts"][label]
    users = json.loads((platform.folder / "sandbox" / "credentials.json").read_text())["users"]
    known = next(user for user in users if user["user_id"] == label.upper())

    answer = platform.post_form(
        account["rotate_url"], api_key=known["api_key"], api_secret=known["api_secret"], reason="a journey"
    )

    assert answer.status_code == 200
    version = account["token"]["version"] + 1
    after = eventually(lambda: reopened(platform, label=label, version=version), within=30.0, what="the reopening")
    assert after["feed"]["wanted"] >= before["feed"]["wanted"]
    assert after["feed"]["live"] == after["feed"]["wanted"]


def reopened(platform: Platform, *, label: str, version: int) -> dict[str, Any] | None:
    desk = platform.settled()
    if desk is None:
        return None
    row = desk["accounts"][label]
    streaming = row["feed"]["state"] == "open" and row["feed"]["tokens"] > 0
    return desk if row["token"]["version"] == version and streaming else None


def test_a_halt_stops_the_next_order_with_a_clear_answer(platform: Platform) -> None:
    platform.post_form("/admin/desk/verbs/halt", scope="platform", target="", reason="a journey")

    answer = place(platform, "halted-order")

    assert answer.status_code in {409, 422, 423}
    problem = answer.json()
    assert problem["outcome"] == "not_sent"
    assert "halt" in problem["detail"].lower()


def test_an_answer_lost_after_acceptance_leaves_one_order_at_the_exchange(platform: Platform) -> None:
    platform.exchange("POST", "/faults", {"kind": "lost_answer", "user": "SBX001", "count": 1})

    answer = place(platform, "lost-answer-order", tradingsymbol="TCS")
    assert answer.status_code == 202, answer.text
    placed = answer.json()

    final = eventually(
        lambda: acknowledged(platform, placed["id"]),
        within=30.0,
        what="the resolution",
    )
    assert final["outcome"] == "accepted"
    accepted = platform.exchange("GET", "/journal", route="order.place", verdict="accepted", tag=final["tag"])
    assert [row["order_ids"] for row in accepted] == [[final["order_id"]]]


def acknowledged(platform: Platform, order_id: str) -> dict[str, Any] | None:
    order = order_of(platform, order_id)
    return order if order["order_id"] else None
