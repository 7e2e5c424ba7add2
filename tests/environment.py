"""The settings and servers a test process needs, made before Django reads them."""

import atexit
import importlib
import os
import shutil
import subprocess
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

from django.conf import settings

from accounts.vault.keyfile import new_ring, write_ring
from ops.stack.sockets import socket_folder
from ops.stack.valkey import SOCKET_NAME, answers_ping, prepare_valkey
from ticker_site.celery import app

START_SECONDS = 20.0
FOLLOWED = (
    "ALLOWED_HOSTS",
    "AUDIT_HEADS_FILE",
    "CELERY_BROKER_URL",
    "CHANNEL_LAYERS",
    "CHECK_MARKET_HOURS",
    "DATA_DIR",
    "PUBLIC_URL",
    "REDIS_URL",
    "VAULT_KEY_FILE",
)


def prepare() -> None:
    """Give this process a data folder, a key ring and the settings nobody set."""
    folder = Path(tempfile.mkdtemp(prefix="ticker-tests-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    (folder / "static").mkdir()
    os.environ["TICKER_DATA_DIR"] = str(folder)
    os.environ["VAULT_KEY_FILE"] = str(folder / "keys" / "keyring.json")
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "ticker_site.settings")
    os.environ.setdefault("SECRET_KEY", "a key that only tests use, and long enough for the checks")
    os.environ.setdefault("API_KEY_PEPPER", "a pepper that only tests use")
    os.environ.setdefault("PUBLIC_URL", "http://testserver")
    os.environ.setdefault("CHECK_MARKET_HOURS", "false")
    os.environ.setdefault("ALLOWED_HOSTS", "testserver,127.0.0.1,localhost")
    ring = new_ring(now=datetime.now(UTC), automatic=False)
    write_ring(path=Path(os.environ["VAULT_KEY_FILE"]), ring=ring, replace_existing=False)
    if "PYTEST_XDIST_WORKER" in os.environ:
        os.environ["REDIS_URL"] = _own_valkey(folder / "valkey")


def follow_environment() -> None:
    """Let settings that pytest read before this folder's own take what was set here."""
    chosen = importlib.reload(importlib.import_module(os.environ["DJANGO_SETTINGS_MODULE"]))
    for name in FOLLOWED:
        setattr(settings, name, getattr(chosen, name))
    app.conf.update(broker_url=settings.CELERY_BROKER_URL)


def _own_valkey(folder: Path) -> str:
    """Channels of Valkey are shared by all its databases, so parallel workers cannot share a server."""
    valkey = prepare_valkey(folder=folder, environment=os.environ)
    process = subprocess.Popen(
        valkey.program(environment=os.environ).command,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd=folder,
    )
    atexit.register(process.wait)
    atexit.register(process.terminate)
    deadline = time.monotonic() + START_SECONDS
    while not answers_ping(path=socket_folder(folder=folder, name=SOCKET_NAME) / SOCKET_NAME):
        if time.monotonic() > deadline or process.poll() is not None:
            raise RuntimeError(f"Valkey did not start in {folder}")
    return valkey.url
