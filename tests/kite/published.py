"""The broker's own recorded packets and answers, read where they lie; they are not ours to ship."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest

MOCKS = Path(__file__).parents[3] / "shared" / "kite-mocks"

needs_published = pytest.mark.skipif(
    not MOCKS.is_dir(), reason="the broker's published answers are not beside the tree"
)


def answer(name: str) -> bytes:
    return (MOCKS / name).read_bytes()


def data(name: str) -> Any:
    return json.loads(answer(name))["data"]


def packet(name: str) -> bytes:
    """A bare packet, as published in base64."""
    return base64.b64decode(answer(name))


def script_frame(name: str) -> bytes:
    """A whole frame, as published with the JavaScript client."""
    return answer(f"js-frames/{name}")
