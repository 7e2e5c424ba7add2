"""The supervisor on real child processes."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ops.stack.journal import Journal
from ops.stack.program import Stage
from ops.stack.supervisor import StartFailed, StopRequested, Supervisor
from tests.ops.children import LASTING, STUBBORN, Pids, alive, child, until

ROOT = Path(__file__).resolve().parents[2]
# A supervisor of its own, so that it can be killed: it prints the process id of its only child.
KILLABLE = """
import sys
from pathlib import Path
from ops.stack.journal import Journal
from ops.stack.supervisor import Supervisor
from tests.ops.children import LASTING, child

def show(pids):
    print(*pids.values(), flush=True)

with Supervisor(journal=Journal(folder=Path(sys.argv[1]), terminal=None), on_change=show) as supervisor:
    supervisor.start(child("one", LASTING))
    supervisor.watch()
"""


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(folder=tmp_path / "log", terminal=None)


@pytest.fixture
def pids() -> Pids:
    return Pids()


@pytest.fixture
def supervisor(journal: Journal, pids: Pids) -> Iterator[Supervisor]:
    with Supervisor(journal=journal, on_change=pids) as supervisor:
        yield supervisor


def test_a_started_program_is_ready(supervisor: Supervisor, journal: Journal) -> None:
    supervisor.start(child("one", LASTING))

    assert journal.tail("one") == "up"


def test_a_killed_program_starts_again(supervisor: Supervisor, pids: Pids) -> None:
    supervisor.start(child("one", LASTING))
    first = pids.now["one"]

    os.kill(first, signal.SIGKILL)
    until(lambda: pids.now.get("one", first) != first, meanwhile=lambda: supervisor.step(seconds=0.05))

    assert alive(pids.now["one"])


def test_a_program_that_keeps_dying_waits_longer_each_time(supervisor: Supervisor, journal: Journal) -> None:
    supervisor.start(child("one", "print('up')", ready_text="", restart_seconds=0.02))

    until(lambda: journal.tail("run").count("one ended") >= 4, meanwhile=lambda: supervisor.step(seconds=0.05))

    delays = [line.split(" in ")[1] for line in journal.tail("run").splitlines()[:4]]
    assert delays == ["0.0 s", "0.0 s", "0.1 s", "0.2 s"]


def test_the_death_of_a_program_is_told_with_its_cause(supervisor: Supervisor, journal: Journal, pids: Pids) -> None:
    supervisor.start(child("one", LASTING))

    os.kill(pids.now["one"], signal.SIGKILL)
    until(lambda: journal.tail("run"), meanwhile=lambda: supervisor.step(seconds=0.05))

    assert "one ended (SIGKILL)" in journal.tail("run")


def test_the_last_words_of_a_dead_program_are_kept(supervisor: Supervisor, journal: Journal) -> None:
    supervisor.start(child("one", "print('up'); print('bye', end='')", restart_seconds=60.0, ready_text=""))

    until(lambda: journal.tail("run"), meanwhile=lambda: supervisor.step(seconds=0.05))

    assert journal.tail("one") == "up\nbye"


def test_a_program_that_never_gets_ready_fails_the_start(supervisor: Supervisor) -> None:
    with pytest.raises(StartFailed, match="one was not ready after 0 s"):
        supervisor.start(child("one", LASTING, ready=lambda _: False, ready_seconds=0.3))


def test_a_program_that_always_dies_fails_the_start_soon(supervisor: Supervisor) -> None:
    with pytest.raises(StartFailed, match="one ended 3 times while it was starting"):
        supervisor.start(child("one", "exit(1)", ready_seconds=60.0))


def test_a_start_that_dies_at_first_is_tried_again(supervisor: Supervisor, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    source = f"import pathlib; m = pathlib.Path({str(mark)!r}); m.exists() or (m.touch(), exit(1)); {LASTING}"

    supervisor.start(child("one", source))

    assert mark.exists()


def test_stopping_ends_the_stages_in_order(journal: Journal, tmp_path: Path) -> None:
    ends = tmp_path / "ends"
    source = (
        "import signal, sys, pathlib\n"
        "def end(*_):\n"
        f"    with pathlib.Path({str(ends)!r}).open('a') as file: file.write(NAME + ' ')\n"
        "    sys.exit()\n"
        "signal.signal(signal.SIGTERM, end); print('up', flush=True); signal.pause()"
    )
    stages = {"database": Stage.DATABASE, "web": Stage.EDGE, "worker": Stage.WORKER}

    with Supervisor(journal=journal) as supervisor:
        supervisor.start(*(child(name, f"NAME = {name!r}\n{source}", stage=stage) for name, stage in stages.items()))

    assert ends.read_text().split() == ["web", "worker", "database"]


def test_a_program_that_ignores_the_signal_is_killed_within_its_bound(journal: Journal, pids: Pids) -> None:
    with Supervisor(journal=journal, on_change=pids) as supervisor:
        supervisor.start(child("one", STUBBORN, stop_seconds=0.3))
        began = time.monotonic()

    assert time.monotonic() - began < 5.0
    assert not alive(pids.now["one"])


def test_a_second_signal_hurries_the_end(journal: Journal) -> None:
    with Supervisor(journal=journal) as supervisor:
        supervisor.start(child("one", STUBBORN, stop_seconds=60.0))
        impatient = subprocess.Popen(["/bin/sh", "-c", f"sleep 0.3; kill -INT {os.getpid()}"])
        began = time.monotonic()
    impatient.wait()

    assert time.monotonic() - began < 10.0


def test_a_signal_during_the_start_ends_it(supervisor: Supervisor) -> None:
    def never(_: int) -> bool:
        os.kill(os.getpid(), signal.SIGTERM)
        return False

    with pytest.raises(StopRequested):
        supervisor.start(child("one", LASTING, ready=never))


def test_a_command_returns_its_exit_code(supervisor: Supervisor, journal: Journal) -> None:
    code = supervisor.run(child("command", "print('done'); exit(3)"))

    assert code == 3
    assert journal.tail("command") == "done"


def test_a_killed_supervisor_leaves_no_child_behind(tmp_path: Path) -> None:
    command = [sys.executable, "-c", KILLABLE, str(tmp_path)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        orphan = int(parent.stdout.readline())
        parent.kill()

    until(lambda: not alive(orphan), meanwhile=time.monotonic)


def test_a_signal_stops_a_watching_supervisor_and_its_child(tmp_path: Path) -> None:
    command = [sys.executable, "-c", KILLABLE, str(tmp_path)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        until((tmp_path / "one.log").exists, meanwhile=time.monotonic)
        parent.send_signal(signal.SIGTERM)

    assert parent.returncode == 0
    assert not alive(pid)
