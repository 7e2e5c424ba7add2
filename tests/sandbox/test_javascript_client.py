"""The official JavaScript client, unmodified, runs REST and ticker against the exchange; needs node and the package."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from tests.sandbox_server import SandboxServer

SCRIPT = Path(__file__).parent / "clients" / "javascript.js"
MODULES = os.environ.get("KITECONNECT_NODE_MODULES", "")
NODE = shutil.which("node")
pytestmark = pytest.mark.skipif(
    NODE is None or not (Path(MODULES) / "kiteconnect").is_dir() or not MODULES,
    reason="needs node, and KITECONNECT_NODE_MODULES naming a node_modules with the package kiteconnect",
)


@pytest.fixture(scope="module")
def run() -> Iterator[dict[str, Any]]:
    """Let the script do its round against an exchange of its own and return what it saw."""
    with SandboxServer("--no-limits", "--interval", "0.2") as server:
        user = server.users[0]
        told = {"user": asdict(user), "rest_root": server.rest_root, "ws_root": server.ws_root}
        told |= {"control_url": server.control_url, "control_key": server.control_key}
        done = subprocess.run(
            [str(NODE), str(SCRIPT)],
            input=json.dumps({**told, "request_token": server.login(user)}),
            env={**os.environ, "NODE_PATH": MODULES},
            capture_output=True,
            text=True,
            timeout=90,
            check=False,
        )
        assert done.returncode == 0, done.stderr[-3_000:]
        assert "Traceback" not in server.errors()
        yield {**json.loads(done.stdout.splitlines()[-1]), "owner": user.user_id}


def test_its_session_works_once_and_ends_with_its_hook(run: dict[str, Any]) -> None:
    assert run["session"] == run["profile"] == run["owner"]
    assert run["again"] == "TokenException"
    assert (run["logout"], run["dead"], run["hooked"]) == (True, "TokenException", True)


def test_its_market_reads_are_parsed(run: dict[str, Any]) -> None:
    assert run["instruments"] > 300
    assert (run["depth"], run["ohlc"], run["ltp"], run["candle"]) == (5, True, True, True)


def test_its_ticker_hears_ticks_and_orders_and_comes_back_after_a_drop(run: dict[str, Any]) -> None:
    assert run["connects"] == 2
    assert run["tick"] == {"token": 408065, "depth": 5}
    assert run["update"] == "INFY"


def test_its_orders_live_and_die(run: dict[str, Any]) -> None:
    assert (run["id"], run["modified"], run["cancelled"], run["trades"]) == ("string", True, True, 1)
    assert run["history"][0] == "PUT ORDER REQ RECEIVED"
    assert run["history"][-1] == "COMPLETE"
    assert (run["orders"], run["position"], run["converted"]) == (2, 1, True)


def test_its_refusals_have_their_types(run: dict[str, Any]) -> None:
    assert (run["bad"], run["unprotected"], run["fundOrder"]) == ("InputException", "InputException", run["fundOrder"])
    assert run["fundOrder"] != "accepted"


def test_its_money_and_triggers_are_answered(run: dict[str, Any]) -> None:
    assert (run["margins"], run["equity"]) == (["commodity", "equity"], True)
    assert (run["orderMargin"], run["basket"], run["charges"]) == (True, True, True)
    assert (run["gtt"], run["gttModified"], run["gttListed"], run["gttDeleted"]) == ("INFY", True, 1, True)
    assert (run["holdings"], run["auctions"], run["funds"], run["fundHoldings"]) == (5, True, True, True)
