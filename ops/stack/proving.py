"""Runs the tests of a requirement on throw-away servers and says in a record what they showed."""

import json
import os
import platform
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ops.stack.programs import ROOT
from ops.stack.proofs import Bound, Proof

JOURNAL = "PROOF_JOURNAL"
SEEDS = "PROOF_SEEDS"
LOOK_SECONDS = 0.2
ENDING_SECONDS = 60
# The servers of an installation: a proof never touches them, it starts its own.
NOT_INHERITED = ("DATABASE_URL", "REDIS_URL", "KITE_REST_ROOT", "KITE_WS_ROOT")
MERGE: Mapping[str, Callable[[float, float], float]] = {
    "sum": lambda before, now: before + now,
    "most": max,
    "least": min,
}
Told = Callable[["Progress"], None]


@dataclass(slots=True)
class Progress:
    """What the tests have told so far."""

    collected: int = 0
    done: int = 0
    passed: int = 0
    steps: int = 0
    all_steps: int = 0
    failures: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    numbers: dict[str, float] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)

    @property
    def share(self) -> float:
        """How much of the work is done, from 0 to 1."""
        part = self.steps / self.all_steps if self.all_steps else 0.0
        return min(1.0, (self.done + part) / self.collected) if self.collected else 0.0

    def take(self, entry: Mapping[str, Any]) -> None:
        """Take one line of the journal in."""
        kind = entry["kind"]
        if kind == "collected":
            self.collected = entry["count"]
        elif kind == "step":
            self.steps, self.all_steps = entry["done"], entry["of"]
        elif kind == "number":
            name, value = entry["name"], float(entry["value"])
            held = self.numbers.get(name)
            self.numbers[name] = value if held is None else MERGE[entry["how"]](held, value)
        elif kind == "note":
            self.notes[entry["name"]] = entry["text"]
        elif kind == "done":
            self._end(entry["test"], entry["outcome"])

    def _end(self, test: str, outcome: str) -> None:
        self.done += 1
        self.steps = self.all_steps = 0
        self.passed += outcome == "passed"
        if outcome == "failed":
            self.failures.append(test)
        if outcome == "skipped":
            self.skipped.append(test)


def prove(*, proof: Proof, long: bool, seeds: int | None, told: Told) -> dict[str, Any]:
    """Run the proof and return its record; `told` hears of the progress."""
    seeds = seeds or proof.seeds
    command = command_of(proof=proof, long=long)
    began = datetime.now(UTC)
    progress = Progress()
    with tempfile.TemporaryDirectory(prefix="proof-") as folder:
        journal = Path(folder) / "journal"
        journal.touch()
        log = Path(folder) / "log"
        with log.open("wb") as output:
            child = subprocess.Popen(
                command, cwd=ROOT, env=_environment(journal, seeds), stdout=output, stderr=subprocess.STDOUT
            )
            try:
                for entry in _entries(journal, child):
                    progress.take(entry)
                    told(progress)
            finally:
                if child.poll() is None:
                    child.terminate()
                    child.wait(ENDING_SECONDS)
        tail = log.read_text(errors="replace")[-4000:]
    verdict, reasons = judge(proof=proof, progress=progress, code=child.returncode, long=long)
    return {
        "id": proof.id,
        "sentence": proof.sentence,
        "verdict": verdict,
        "reasons": reasons,
        "mode": "long" if long else "short",
        "command": shlex.join(
            ["manage.py", "prove", proof.id, *(["--long"] if long else []), *(["--seeds", str(seeds)] if seeds else [])]
        ),
        "ran": shlex.join(["python", *command[1:]]),
        "commit": _commit(),
        "started_at": began.isoformat(timespec="seconds"),
        "ended_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": _machine(),
        "numbers": dict(sorted(progress.numbers.items())),
        "bounds": [str(bound) for bound in _bounds(proof, long=long)],
        "notes": progress.notes,
        "not_covered": list(proof.not_covered),
        "tests": {
            "passed": progress.passed,
            "failed": progress.failures,
            "skipped": progress.skipped,
        },
        "output": tail if verdict != "holds" else "",
    }


def judge(*, proof: Proof, progress: Progress, code: int, long: bool) -> tuple[str, list[str]]:
    """Return the verdict and why it is not "holds": a skipped test and a number that nobody counted show nothing."""
    broken = [f"failed: {test}" for test in progress.failures]
    unshown = [f"skipped: {test}" for test in progress.skipped]
    for bound in _bounds(proof, long=long):
        if bound.number not in progress.numbers:
            unshown.append(f"nobody counted {bound.number}")
        elif not bound.holds(progress.numbers[bound.number]):
            broken.append(f"{bound} was broken: {progress.numbers[bound.number]:g}")
    if code and not broken:
        unshown.append(f"the tests ended with code {code}")
    if not progress.passed:
        unshown.append("no test passed")
    verdict = "broken" if broken else "not shown" if unshown else "holds"
    return verdict, broken + unshown


def command_of(*, proof: Proof, long: bool) -> list[str]:
    """Return the command that runs the tests of a proof on servers of their own."""
    pytest = ("-m", "pytest", "-q", "-p", "tests.proving", "-p", "no:randomly", "-m", _chosen(proof, long=long))
    campaign = ("--long",) if long else ()
    return [sys.executable, "-m", "ops.stack", "exec", "--", sys.executable, *pytest, *campaign, *proof.tests]


def _chosen(proof: Proof, *, long: bool) -> str:
    marked = f"proof(id={proof.id!r})"
    return marked if long else f"{marked} and not long"


def _bounds(proof: Proof, *, long: bool) -> Sequence[Bound]:
    return (*proof.bounds, *proof.long_bounds) if long else proof.bounds


def _environment(journal: Path, seeds: int | None) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name not in NOT_INHERITED}
    return {**kept, JOURNAL: str(journal), **({SEEDS: str(seeds)} if seeds else {})}


def _entries(journal: Path, child: subprocess.Popen[bytes]) -> Iterator[Mapping[str, Any]]:
    """Yield what the tests write while they run; a line that is not whole yet waits."""
    with journal.open() as lines:
        left = ""
        while True:
            ended = child.poll() is not None
            left += lines.read()
            *whole, left = left.split("\n")
            yield from map(json.loads, whole)
            if ended:
                return
            try:
                child.wait(LOOK_SECONDS)
            except subprocess.TimeoutExpired:
                continue


def _commit() -> str:
    """Return the commit that is proved, marked where the tree holds more than it."""
    try:
        head = _git("rev-parse", "HEAD")
        return f"{head} and changes" if _git("status", "--porcelain", "--untracked-files=no") else head
    except (OSError, subprocess.CalledProcessError):
        return "unknown: this is no checkout"


def _git(*words: str) -> str:
    done = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=True, timeout=ENDING_SECONDS)  # noqa: S607
    return done.stdout.strip()


def _machine() -> dict[str, object]:
    return {
        "system": platform.platform(),
        "processors": os.cpu_count(),
        "load_average": [round(load, 2) for load in os.getloadavg()],
        "python": platform.python_version(),
    }
