"""Sessions of the stream in files: record any Kite socket's frames with their times, play them back byte for byte."""

from __future__ import annotations

import argparse
import asyncio
import os
import struct
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import aiohttp

from sandbox.stream import Streamer

MAGIC = b"KITEREC1"
HEAD = struct.Struct(">dI")


@dataclass(frozen=True, slots=True)
class Frame:
    """One binary frame, `at` seconds after the first subscription."""

    at: float
    payload: bytes


def write_frame(handle: BinaryIO, frame: Frame) -> None:
    handle.write(HEAD.pack(frame.at, len(frame.payload)) + frame.payload)


def read_frames(path: Path) -> list[Frame]:
    """Return a file's frames; a last one that is cut off is left out."""
    data = path.read_bytes()
    if not data.startswith(MAGIC):
        raise ValueError(f"{path} is no recording")
    frames, place = [], len(MAGIC)
    while place + HEAD.size <= len(data):
        at, length = HEAD.unpack_from(data, place)
        payload = data[place + HEAD.size : place + HEAD.size + length]
        if len(payload) == length:
            frames.append(Frame(at, payload))
        place += HEAD.size + length
    return frames


def packets(payload: bytes) -> Iterator[bytes]:
    """Yield the packets of a frame, each with its two bytes of length."""
    place = 2
    for _ in range(int.from_bytes(payload[:2], "big")):
        end = place + 2 + int.from_bytes(payload[place : place + 2], "big")
        yield payload[place:end]
        place = end


def only(payload: bytes, *, wanted: set[int]) -> bytes:
    """Return the frame with the packets of these instruments: itself when it has no others, empty when it has none."""
    every = list(packets(payload))
    chosen = [packet for packet in every if int.from_bytes(packet[2:6], "big") in wanted]
    if len(chosen) == len(every):
        return payload
    return len(chosen).to_bytes(2, "big") + b"".join(chosen) if chosen else b""


async def replay(streamer: Streamer, frames: Iterable[Frame], *, speed: float) -> None:
    """From the first subscription on, send every socket the frames at their times, as far as it has asked for them."""
    await streamer.asked.wait()
    begun = time.monotonic()
    for frame in frames:
        await asyncio.sleep(max(begun + frame.at / speed - time.monotonic(), 0.0))
        for connection in streamer.connections:
            connection.recorded.append(only(frame.payload, wanted=connection.wanted))
            connection.wake.set()


def record_parser() -> argparse.ArgumentParser:
    result = argparse.ArgumentParser(
        prog="python -m sandbox record",
        description="Record the frames of a Kite socket, the sandbox's or the broker's. The access_token is read from "
        "the environment variable KITE_ACCESS_TOKEN, for a command line is seen by everybody.",
    )
    result.add_argument("out", type=Path, help="the file to write")
    result.add_argument("--ws-root", required=True, help="e.g. ws://127.0.0.1:8100")
    result.add_argument("--api-key", required=True)
    result.add_argument("--tokens", required=True, help="instrument tokens, with commas")
    result.add_argument("--mode", choices=("ltp", "quote", "full"), default="full")
    result.add_argument("--seconds", type=float, default=60.0, help="how long (default %(default)s)")
    return result


def run_record_command(arguments: list[str]) -> int:
    """Record and print how many frames; return the exit code."""
    chosen = record_parser().parse_args(arguments)
    tokens = [int(token) for token in chosen.tokens.split(",")]
    url = f"{chosen.ws_root}/?api_key={chosen.api_key}&access_token={os.environ.get('KITE_ACCESS_TOKEN', '')}"
    try:
        count = asyncio.run(_record(url, tokens=tokens, mode=chosen.mode, seconds=chosen.seconds, out=chosen.out))
    except aiohttp.ClientError as error:
        sys.stderr.write(f"{chosen.ws_root}: {type(error).__name__}\n")
        return 1
    sys.stdout.write(f"{count} frames\n")
    return 0


async def _record(url: str, *, tokens: list[int], mode: str, seconds: float, out: Path) -> int:
    count = 0
    async with aiohttp.ClientSession() as session, session.ws_connect(url, max_msg_size=0) as link:
        await link.send_json({"a": "mode", "v": [mode, tokens]})
        await link.send_json({"a": "subscribe", "v": tokens})
        begun = time.monotonic()
        with out.open("wb") as handle:
            handle.write(MAGIC)
            while (left := begun + seconds - time.monotonic()) > 0:
                try:
                    message = await link.receive(timeout=left)
                except TimeoutError:
                    break
                if message.type in {aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.ERROR}:
                    break
                if message.type is aiohttp.WSMsgType.BINARY and len(message.data) > 1:
                    write_frame(handle, Frame(time.monotonic() - begun, message.data))
                    count += 1
    return count
