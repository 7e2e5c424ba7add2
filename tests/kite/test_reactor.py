"""Importing the broker's library picks Twisted's reactor; that must harm no process of ours."""

import subprocess
import sys
from pathlib import Path

from django.conf import settings

ROOT = Path(__file__).parents[2]

UNDER_DAPHNE = """
import warnings
warnings.simplefilter("error")
import daphne.server
import kite.rest
import kiteconnect.ticker
from twisted.internet import asyncioreactor, reactor
assert isinstance(reactor, asyncioreactor.AsyncioSelectorReactor), reactor
assert kiteconnect.ticker.reactor is reactor
assert daphne.server.reactor is reactor
"""

UNDER_ASYNCIO = """
import asyncio
import kite.rest
from twisted.internet import reactor

async def main():
    await asyncio.sleep(0.01)
    return reactor.running

assert asyncio.run(main()) is False
"""


def run(program: str) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert ended.returncode == 0, ended.stderr


def test_daphne_and_the_library_share_the_asyncio_reactor() -> None:
    run(UNDER_DAPHNE)


def test_elsewhere_the_reactor_exists_and_never_runs() -> None:
    run(UNDER_ASYNCIO)


def test_daphne_is_installed_before_our_apps() -> None:
    ours = [app for app in settings.INSTALLED_APPS if app.split(".")[0] in {"accounts", "market_data", "orders", "ops"}]

    assert settings.INSTALLED_APPS.index("daphne") < settings.INSTALLED_APPS.index(ours[0])
