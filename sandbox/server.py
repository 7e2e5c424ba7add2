"""The running program: one listener, one tick loop, a clean end on SIGINT and SIGTERM."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from pathlib import Path

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.log import server_logger

from sandbox.accounts import credentials, write_private
from sandbox.app import build_app
from sandbox.control_actions import inject
from sandbox.door import Door
from sandbox.options import Options
from sandbox.recording import read_frames, replay
from sandbox.scenario import play, read_scenario
from sandbox.site import Site
from sandbox.state import SAVE_SECONDS, load, save

# A thousand keys of a hundred escaped characters fit in one request line.
LONGEST_LINE = 1 << 17


async def serve(options: Options) -> None:
    site = Site(options)
    server_logger.addFilter(is_our_fault)
    runner = web.AppRunner(
        build_app(site), access_log=None, shutdown_timeout=1.0, handle_signals=False, max_line_size=LONGEST_LINE
    )
    await runner.setup()
    site.door = Door(runner=runner, host=options.host, port=options.port)
    await site.door.open()
    site.http_root = f"http://{reachable(options.host)}:{site.door.port}"
    if options.credentials_file is not None:
        document = credentials(users=site.logins.users, http_root=site.http_root, control_key=site.control_key)
        write_private(options.credentials_file, document)
    if options.state is not None:
        load(site, options.state)
        site.start(_keep_saved(site, options.state))
    if options.scenario is not None:
        site.start(play(site, read_scenario(options.scenario)))
    if options.replay is not None:
        site.streamer.replaying = True
        site.start(replay(site.streamer, read_frames(options.replay), speed=options.speed))
    for spec in options.fault:
        inject(site, spec)
    ticking = asyncio.create_task(site.run())
    sys.stdout.write(f"sandbox ready {site.http_root}\n")
    sys.stdout.flush()
    await _until_stopped(ticking, tied=options.tied)
    site.door.shut()
    if options.state is not None:
        save(site, options.state)
    await site.stop()
    await runner.cleanup()


async def _keep_saved(site: Site, path: Path) -> None:
    """Save the state every few seconds, so that a killed exchange loses little."""
    saved = (0, 0)
    while True:
        await asyncio.sleep(SAVE_SECONDS)
        current = (len(site.journal), site.exchange.changes)
        if current != saved:
            save(site, path)
            saved = current


async def _until_stopped(ticking: asyncio.Task[None], *, tied: bool) -> None:
    """Wait for a signal, for the starter's end, or for the tick loop to fail, whose error then ends the program."""
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopped.set)
    if tied:
        loop.add_reader(sys.stdin.fileno(), lambda: None if os.read(sys.stdin.fileno(), 4_096) else stopped.set())
    waiting = asyncio.create_task(stopped.wait())
    await asyncio.wait({waiting, ticking}, return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    if ticking.done():
        ticking.result()
    ticking.cancel()


def is_our_fault(record: logging.LogRecord) -> bool:
    """Keep malformed HTTP, which has already been answered with 400, out of the error log."""
    error = record.exc_info[1] if record.exc_info else None
    return not isinstance(error, HttpProcessingError)


def reachable(host: str) -> str:
    return "127.0.0.1" if host in {"0.0.0.0", "::", ""} else host  # noqa: S104
