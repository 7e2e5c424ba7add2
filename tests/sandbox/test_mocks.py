"""Every file of the broker's published mocks is answered by the exchange with the same fields and types."""

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from kiteconnect import KiteTicker
from websockets.sync.client import connect as open_socket

from tests.sandbox.mock_table import POSTBACK_DEVIATIONS, PUSHED, TABLE, TICK_NAMES
from tests.sandbox.orders import place, wait_status
from tests.sandbox.receiver import Receiver
from tests.sandbox.shapes import csv_differences, differences
from tests.sandbox.story import PATIENCE, Story
from tests.sandbox_server import SandboxServer, wait_for

MOCKS = Path(__file__).resolve().parents[3] / "shared" / "kite-mocks"
pytestmark = pytest.mark.skipif(not MOCKS.exists(), reason="the broker's published mocks are not here")
FILES = sorted(str(path.relative_to(MOCKS)) for path in MOCKS.rglob("*") if path.suffix in {".json", ".csv", ".packet"})
ASKED = [name for name in FILES if name not in PUSHED]
INFY = 408065


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    server = Receiver()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def story(receiver: Receiver) -> Iterator[Story]:
    with SandboxServer("--no-limits", "--interval", "0.2", "--postback", receiver.url) as server:
        yield Story(server)
        assert "Traceback" not in server.errors()


def test_every_mock_file_has_its_request() -> None:
    assert set(FILES) == TABLE.keys() | PUSHED.keys()


@pytest.mark.parametrize("name", ASKED)
def test_the_answer_has_the_published_shape(story: Story, name: str) -> None:
    assert name in TABLE, "give the new mock file a request in mock_table.py"
    request, published = TABLE[name], (MOCKS / name).read_text()

    answer = story.ask(request)

    assert answer.status_code == 200, answer.text
    if name.endswith(".csv"):
        assert answer.headers["Content-Type"] == "text/csv"
        assert csv_differences(answer.text, published) == []
        return
    assert answer.headers["Content-Type"] == "application/json"
    assert all(request.deviations.values()), "a deviation needs its reason"
    sample = {"status": "success", **json.loads(published)}
    assert sorted(differences(answer.json(), [sample])) == sorted(request.deviations)


def test_a_position_has_twenty_nine_fields(story: Story) -> None:
    assert {len(row) for row in story.ask(TABLE["positions.json"]).json()["data"]["net"]} == {29}


def test_a_postback_has_the_published_shape(story: Story, receiver: Receiver) -> None:
    order_id = place(story.kites[0], order_type="MARKET", market_protection=-1)
    wait_status(story.kites[0], order_id, "COMPLETE", seconds=PATIENCE)

    body = wait_for(
        lambda: next((one for one in receiver.bodies if one["order_id"] == order_id), None), seconds=PATIENCE
    )

    found = differences(body, [json.loads((MOCKS / "postback.json").read_text())])
    assert sorted(found) == sorted(POSTBACK_DEVIATIONS)


@pytest.mark.parametrize("name", [name for name in FILES if PUSHED.get(name, "postback") != "postback"])
def test_the_socket_sends_the_published_packet(story: Story, name: str) -> None:
    frame = frame_of(story, mode=PUSHED[name])
    published = MOCKS / name

    if name.startswith("js-frames"):
        assert [frame[:2], len(frame)] == [published.read_bytes()[:2], len(published.read_bytes())]
    elif name.endswith(".packet"):
        assert len(frame) - 4 == len(base64.b64decode(published.read_text()))
    else:
        assert differences(tick(frame), [renamed(json.loads(published.read_text()))]) == []


def frame_of(story: Story, *, mode: str) -> bytes:
    """Return the first frame of one instrument in a mode."""
    with open_socket(story.server.ws_url(0, story.kites[0].access_token)) as link:
        link.send(json.dumps({"a": "mode", "v": [mode, [INFY]]}))
        link.send(json.dumps({"a": "subscribe", "v": [INFY]}))
        while True:
            message = link.recv(timeout=PATIENCE)
            if isinstance(message, bytes) and len(message) > 1:
                return message


def tick(frame: bytes) -> Any:
    """Return what the official client makes of a frame, its times as text."""
    ticker = KiteTicker("key", "access")
    found = ticker._parse_binary(frame)[0]
    return json.loads(json.dumps(found, default=str))


def renamed(published: dict[str, Any]) -> dict[str, Any]:
    """Return a published tick in the Python client's words."""
    return {TICK_NAMES.get(name, name): value for name, value in published.items()}
