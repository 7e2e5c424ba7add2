"""A recorded session of the stream comes back byte for byte."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from websockets.sync.client import connect as open_socket

from sandbox.recording import HEAD, MAGIC, Frame, only, read_frames, write_frame
from tests.sandbox_server import ROOT, SandboxServer

TOKENS = [256265, 408065]
PATIENCE = 20.0


def record(
    server: SandboxServer, out: Path, *, access_token: str, seconds: str = "2"
) -> subprocess.CompletedProcess[str]:
    words = ["--ws-root", server.ws_root, "--api-key", server.users[0].api_key, "--seconds", seconds]
    return subprocess.run(
        [sys.executable, "-m", "sandbox", "record", str(out), *words, "--tokens", ",".join(map(str, TOKENS))],
        cwd=ROOT, env={**os.environ, "KITE_ACCESS_TOKEN": access_token}, capture_output=True, text=True, check=False,
        timeout=60,
    )  # fmt: skip


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("feed") / "session.rec"
    with SandboxServer("--no-limits", "--interval", "0.1") as server:
        done = record(server, out, access_token=server.session(0))
    assert done.returncode == 0, done.stderr
    return out


def heard(server: SandboxServer, tokens: list[int], count: int) -> list[bytes]:
    frames: list[bytes] = []
    with open_socket(server.ws_url(0, server.session(0))) as link:
        link.send(json.dumps({"a": "subscribe", "v": tokens}))
        while len(frames) < count:
            message = link.recv(timeout=PATIENCE)
            if isinstance(message, bytes) and len(message) > 1:
                frames.append(message)
    return frames


def test_a_recording_is_replayed_byte_for_byte(recording: Path) -> None:
    frames = read_frames(recording)

    with SandboxServer("--no-limits", "--replay", str(recording), "--speed", "2") as server:
        sent = heard(server, TOKENS, len(frames))

    assert sent == [frame.payload for frame in frames]
    assert len(frames) > 3
    assert [frame.at for frame in frames] == sorted(frame.at for frame in frames)


def test_a_socket_hears_of_a_recording_what_it_subscribed(recording: Path) -> None:
    wanted = [only(frame.payload, wanted={256265}) for frame in read_frames(recording)]

    with SandboxServer("--no-limits", "--replay", str(recording), "--speed", "2") as server:
        sent = heard(server, [256265], len([frame for frame in wanted if frame]))

    assert sent == [frame for frame in wanted if frame]


def test_a_recording_without_a_session_is_an_error(exchange: SandboxServer, tmp_path: Path) -> None:
    done = record(exchange, tmp_path / "none.rec", access_token="wrong")

    assert done.returncode == 1
    assert "wrong" not in done.stderr
    assert not (tmp_path / "none.rec").exists()


def test_a_recording_that_was_cut_off_ends_with_its_last_whole_frame(tmp_path: Path) -> None:
    path = tmp_path / "cut.rec"
    with path.open("wb") as handle:
        handle.write(MAGIC)
        write_frame(handle, Frame(0.5, b"\x00\x00whole"))
        handle.write(HEAD.pack(1.0, 100) + b"half")

    assert read_frames(path) == [Frame(0.5, b"\x00\x00whole")]


def test_another_file_is_no_recording(tmp_path: Path) -> None:
    (tmp_path / "other").write_bytes(b"other")

    with pytest.raises(ValueError, match="is no recording"):
        read_frames(tmp_path / "other")
