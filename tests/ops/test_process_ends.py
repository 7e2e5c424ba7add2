"""Every kind of process ends when it is told to, by itself, and leaves neither a thread nor a child."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from django.conf import settings
from django.db import connection
from pytest_django import DjangoDbBlocker

from ops.beat import LEASE_KEY
from ops.stack.program import Program
from ops.stack.programs import Place, platform_programs, sandbox
from ops.stack.sockets import open_listener
from tests.market_data.live import database_url

# Without a test that needs the database, none is made.
pytestmark = pytest.mark.django_db
START_SECONDS, STOP_SECONDS = 120.0, 60.0
KINDS = ("web", "feed", "recorder", "worker", "greeks", "beat", "sandbox")
# What proves that it does its work, where its program has no such words.
WORKS = {"feed": "market_data.feed.owned", "recorder": "market_data.recorder.following"}
# Once it has ended, uvicorn gives itself the signal again; of this one Python makes an end that can be witnessed.
TOLD_BY = {"web": signal.SIGINT}
# Runs in each process: at the end, after Python has joined what it joins, says which threads are still there.
WITNESS = """
import atexit, json, os, threading

def tell():
    left = [each.name for each in threading.enumerate() if each is not threading.main_thread() and each.is_alive()]
    with open(os.path.join(os.environ["THREADS_LEFT"], f"{os.getpid()}.json"), "w") as file:
        json.dump(left, file)

atexit.register(tell)
"""


@dataclass(frozen=True, slots=True)
class Ended:
    """How a process ended."""

    code: int
    threads_left: list[str]
    relatives: set[int]
    said: str


def environment(folder: Path) -> dict[str, str]:
    (folder / "sitecustomize.py").write_text(WITNESS)
    (folder / "left").mkdir()
    return {
        **os.environ,
        "DATABASE_URL": database_url(connection),
        "REDIS_URL": settings.REDIS_URL,
        "KITE_REST_ROOT": "http://127.0.0.1:1",
        "KITE_WS_ROOT": "ws://127.0.0.1:1",
        "PYTHONPATH": str(folder),
        "PYTHONUNBUFFERED": "1",
        "LOG_LEVEL": "INFO",
        "THREADS_LEFT": str(folder / "left"),
    }


def relatives_of(session: int) -> set[int]:
    """Return the processes of a session, a finished one that nobody asked about not counted."""
    found = set()
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, _, of, *_ = entry.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(of) == session and state != "Z":
            found.add(int(entry.parent.name))
    return found


def started(program: Program, *, log: Path) -> subprocess.Popen[bytes]:
    with log.open("wb") as output:
        return subprocess.Popen(
            program.command,
            cwd=program.folder,
            env=dict(program.environment),
            stdout=output,
            stderr=subprocess.STDOUT,
            pass_fds=program.pass_fds,
            start_new_session=True,
        )


def beat_leads() -> bool:
    """Say whether a beat holds the lease of the database; it prints nothing."""
    with connection.cursor() as cursor:
        held = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND granted AND objid = %s::bigint::oid"
        cursor.execute(held, [LEASE_KEY & 0xFFFFFFFF])
        return bool(cursor.fetchone()[0])


def wait_until_it_works(process: subprocess.Popen[bytes], *, words: str, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not (words in log.read_text(errors="replace") if words else beat_leads()):
        said = f"{log.stem}: {log.read_text()[-3000:]}"
        assert process.poll() is None, said
        assert time.monotonic() < deadline, said
        time.sleep(0.05)


def ended(process: subprocess.Popen[bytes], *, folder: Path, log: Path) -> Ended:
    code = process.wait(STOP_SECONDS)
    told = folder / "left" / f"{process.pid}.json"
    left = json.loads(told.read_text()) if told.exists() else ["it never reached its end"]
    return Ended(code=code, threads_left=left, relatives=relatives_of(process.pid), said=log.read_text()[-3000:])


@pytest.fixture(scope="module")
def ends(
    tmp_path_factory: pytest.TempPathFactory, django_db_setup: None, django_db_blocker: DjangoDbBlocker
) -> Iterator[dict[str, Ended]]:
    """Start one process of each kind, let all of them work, tell them to end, and return how they did."""
    folder = tmp_path_factory.mktemp("ends")
    with django_db_blocker.unblock(), open_listener(host="127.0.0.1", port=0, strict=True) as listener:
        listener.set_inheritable(True)
        own = environment(folder)
        place = Place(host="127.0.0.1", port=listener.getsockname()[1])
        programs = {
            each.name: each for each in platform_programs(environment=own, place=place, listener=listener.fileno())
        }
        programs["sandbox"] = sandbox(
            environment=own, port=0, credentials=folder / "sandbox.json", redirect=f"{place.url}/back"
        )
        logs = {name: folder / f"{name}.log" for name in KINDS}
        running = {name: started(programs[name], log=logs[name]) for name in KINDS}
        try:
            for name, process in running.items():
                wait_until_it_works(process, words=programs[name].ready_text or WORKS.get(name, ""), log=logs[name])
            for name, process in running.items():
                process.send_signal(TOLD_BY.get(name, signal.SIGTERM))
            yield {name: ended(process, folder=folder, log=logs[name]) for name, process in running.items()}
        finally:
            for process in running.values():
                if process.poll() is None:
                    os.killpg(process.pid, signal.SIGKILL)
                    process.wait(10)


def test_every_program_of_the_platform_is_tried() -> None:
    programs = platform_programs(environment={}, place=Place(host="127.0.0.1", port=1), listener=0)

    assert {program.name for program in programs} | {"sandbox"} == set(KINDS)


@pytest.mark.parametrize("kind", KINDS)
def test_it_ends_when_it_is_told_to_and_leaves_nothing(ends: dict[str, Ended], kind: str) -> None:
    end = ends[kind]

    assert end.code == 0, end.said
    assert end.threads_left == [], end.said
    assert end.relatives == set()


BEAT_UNDER_WORK = """
import os, signal, sys
from celery import Celery
import django; django.setup()
from ops.beat import undisturbed

order = []
signal.signal(signal.SIGTERM, lambda *_: order.append("told"))
with undisturbed():
    os.kill(os.getpid(), signal.SIGTERM)
    order.append("written")
print(*order)
"""


def test_a_beat_that_is_told_to_end_writes_first() -> None:
    done = subprocess.run(
        [sys.executable, "-c", BEAT_UNDER_WORK], capture_output=True, text=True, check=True, timeout=60
    )

    assert done.stdout.split() == ["written", "told"]
