"""Faults from the command line: at the start, and in an exchange that runs."""

import argparse
import json
import subprocess
import sys
from typing import Any

import pytest

from sandbox.fault_command import parse_fault
from sandbox.faults import KINDS
from tests.sandbox.conftest import connect
from tests.sandbox.orders import below, new_tag, order, place
from tests.sandbox_server import ROOT, SandboxServer, wait_for


def command(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "sandbox", *words], cwd=ROOT, capture_output=True, text=True, timeout=30, check=False
    )


def fault(server: SandboxServer, *words: str) -> list[Any]:
    done = command("fault", "--credentials-file", str(server.credentials_file), *words)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_every_word_of_a_fault_is_read() -> None:
    spec = parse_fault(
        "kind=http_5xx,account=SBX001,route=order.*,probability=0.5,from=10,until=60,status=503,body=html"
    )

    assert spec == {
        "kind": "http_5xx", "user": "SBX001", "route": "order.*", "probability": 0.5, "after": 10, "duration": 50.0,
        "status": 503, "body": "html",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("kind=gremlins", "known: "),
        ("route=order.place", "kind was None"),
        ("kind=hang,count", "'count' is not name=value"),
        ("kind=hang,probability=often", "'often' is not a number"),
        ("kind=hang,from=5,until=5", "until must be after from"),
    ],
)
def test_a_fault_that_cannot_be_read_is_named(text: str, words: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match=words):
        parse_fault(text)


@pytest.mark.parametrize("words", [("--help",), ("fault", "--help")], ids=["start", "running"])
def test_the_help_lists_every_fault(words: tuple[str, ...]) -> None:
    text = command(*words).stdout

    assert [kind for kind in KINDS if f"  {kind} " not in text] == []


def test_the_exchange_starts_with_its_faults() -> None:
    spec = "kind=http_403,account=SBX001,route=user.*,error_type=UserException,message=blocked"
    with SandboxServer("--no-limits", "--fault", spec, "--fault", "kind=latency,seconds=0,from=600") as server:
        ours, other = connect(server, 0), connect(server, 1)

        with pytest.raises(Exception, match="blocked"):
            ours.profile()
        assert other.profile()["user_id"] == server.users[1].user_id
        assert [row["kind"] for row in server.faults()] == ["http_403", "latency"]


def test_a_running_exchange_takes_shows_and_ends_faults(exchange: SandboxServer) -> None:
    started = fault(exchange, "kind=hang,route=order.place,count=2", "kind=socket_silent,account=SBX002")

    assert [row["kind"] for row in started] == ["hang", "socket_silent"]
    assert [row["kind"] for row in fault(exchange)[0]] == ["hang", "socket_silent"]
    assert fault(exchange, "--clear", str(started[0]["id"])) == [{"cleared": 1}]
    assert fault(exchange, "--clear") == [{"cleared": 1}]
    assert exchange.faults() == []


def test_an_exchange_that_does_not_run_is_an_error(exchange: SandboxServer) -> None:
    document = json.loads(exchange.credentials_file.read_text())
    elsewhere = exchange.folder / "elsewhere.json"
    elsewhere.write_text(json.dumps({**document, "control_url": "http://127.0.0.1:1/_control"}))

    done = command("fault", "--credentials-file", str(elsewhere))

    assert done.returncode == 1
    assert "GET /faults" in done.stderr


def test_an_order_is_hidden_for_six_hundred_seconds_and_not_one_more() -> None:
    with SandboxServer("--no-limits") as server:
        kite, tag = connect(server), new_tag()
        server.clock(pause=True)
        server.fault("visibility_lag", seconds=600)
        order_id = place(kite, price=below(server, "NSE:INFY"), tag=tag)

        server.clock(jump="+599.9")
        hidden = [row["order_id"] for row in kite.orders()]
        server.clock(jump="+0.1")

        assert order_id not in hidden
        assert wait_for(lambda: order(kite, order_id))["tag"] == tag
