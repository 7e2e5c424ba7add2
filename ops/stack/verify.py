"""What `./test` runs: every static check, then the tests. Expects DATABASE_URL and REDIS_URL of throw-away servers."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
SCRIPTS = ("run", "test")
AT_ONCE = 2

Check: TypeAlias = tuple[str, tuple[str, ...]]
CHECKS: tuple[Check, ...] = (
    ("types", ("mypy", "--strict", "--scripts-are-modules", ".", *SCRIPTS)),
    ("imports", ("lint-imports", "--no-cache")),
    ("lint", ("ruff", "check", ".", *SCRIPTS)),
    ("format", ("ruff", "format", "--check", ".", *SCRIPTS)),
    ("dependencies", ("deptry", ".")),
    ("dead code", ("vulture",)),
    ("rules", ("python", "-m", "ops.stack.semgrep")),
    ("templates", ("djlint", "--check", "--quiet", "templates")),
    ("migrations", ("python", "manage.py", "makemigrations", "--check", "--dry-run")),
    ("configuration", ("python", "manage.py", "check", "--fail-level", "WARNING")),
)
# A test of timing can miss its moment on a crowded machine: the whole run gives it one more, and names it in the
# summary (R). What fails twice is broken; a single test asked for by name gets one chance.
PYTEST = ("pytest", "-n", str(AT_ONCE), "--dist", "loadscope", "--reruns", "1", "-rfEsR")

# Apps whose views answer; journeys and the security suite cross them all and would take as long again.
ANSWERING = {"accounts", "greeks", "market_data", "ops", "orders", "portfolio", "ticker_site", "webhooks"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """The least branch coverage of some modules by some tests, in percent."""

    least: int
    modules: tuple[str, ...]
    tests: tuple[str, ...]


def _answering() -> tuple[str, ...]:
    """Return every module that answers a request or a socket."""
    patterns = ("*/views.py", "*/*_views.py", "*/consumers.py", "*/postback.py", "ops/panel.py", "ops/probes.py")
    paths = sorted(path.relative_to(ROOT) for pattern in patterns for path in ROOT.glob(pattern))
    return tuple(f"{path.parent.name}.{path.stem}" for path in paths if path.parent.name not in {"tests", ".venv"})


def _asking() -> tuple[str, ...]:
    """Return the test files that name an address of the site or a consumer."""
    asks = re.compile(r"/(?:api|ws|admin)/|/healthz|/metrics|APIClient|[Cc]onsumer|WebProcess|reverse\(")
    paths = sorted(ROOT.glob("tests/*/test_*.py"))
    return tuple(
        str(path.relative_to(ROOT)) for path in paths if path.parent.name in ANSWERING and asks.search(path.read_text())
    )


# They kill processes and servers, or live the same lines thousands of times, and reach no branch of their own.
ORDER_CAMPAIGNS = ("crashes", "fairness", "postgres_loss", "rate", "simulation", "sweeper", "worker")
GATES = {
    "accounts": Gate(least=90, modules=("accounts",), tests=("tests/accounts",)),
    "consumers": Gate(
        least=90,
        modules=("market_data.consumers", "market_data.hub", "market_data.hub_clients", "market_data.hub_watch"),
        tests=("tests/market_data",),
    ),
    "greeks": Gate(least=98, modules=("greeks",), tests=("tests/greeks",)),
    "orders": Gate(
        least=95,
        modules=tuple(
            f"orders.{name}" for name in ("execution", "intake", "reconciliation", "risk", "states", "updates")
        ),
        tests=("tests/orders", *(f"--ignore=tests/orders/test_{name}.py" for name in ORDER_CAMPAIGNS)),
    ),
    "sandbox": Gate(least=90, modules=("sandbox",), tests=("tests/sandbox",)),
    "views": Gate(
        least=90,
        modules=_answering(),
        tests=_asking(),
    ),
}
MUTATION = ("python", "-m", "ops.stack.mutation")


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How one check ended."""

    name: str
    code: int
    seconds: float
    output: str = ""


def main(
    arguments: Sequence[str],
    *,
    checks: Sequence[Check] = CHECKS,
    suite: tuple[str, ...] = PYTEST,
    mutation: tuple[str, ...] = MUTATION,
) -> int:
    """Run the checks and the tests, or with arguments for pytest only the tests; return 1 if anything failed."""
    if arguments[:1] == ["--coverage"]:
        return _gate(arguments[1:], suite=suite)
    if arguments[:1] == ["--mutation"]:
        return _loudly("mutation", (*mutation, *arguments[1:])).code
    campaigns = tuple(word for word in arguments if word == "--long")
    chosen = tuple(word for word in arguments if word != "--long")
    if chosen:
        _say("Only the tests, because arguments were given; ./test alone runs every check.")
        return _loudly("tests", ("pytest", *campaigns, *chosen)).code
    outcomes = []
    for outcome in _quietly(checks):
        outcomes.append(outcome)
        _heading(outcome)
    outcomes.append(_loudly("tests", (*suite, *campaigns)))
    if campaigns:
        outcomes += [*(_measure(name, suite) for name in GATES), _loudly("mutation", mutation)]
    return _summary(outcomes)


def _gate(names: Sequence[str], *, suite: tuple[str, ...]) -> int:
    """Measure the branches of packages that have a gate, all of them without names; return 1 if one is below."""
    unknown = [name for name in names if name not in GATES]
    if unknown:
        _say(f"no coverage gate for {', '.join(unknown)}; known: {', '.join(GATES)}")
        return 2
    return _summary([_measure(name, suite) for name in names or GATES])


def _measure(name: str, suite: tuple[str, ...]) -> Outcome:
    gate = GATES[name]
    measured = (f"--cov={module}" for module in gate.modules)
    least, report = f"--cov-fail-under={gate.least}", "--cov-report=term-missing:skip-covered"
    return _loudly(f"coverage of {name}", (*suite, *gate.tests, *measured, "--cov-branch", least, report))


def _quietly(checks: Sequence[Check]) -> Iterator[Outcome]:
    with ThreadPoolExecutor(AT_ONCE) as pool:
        yield from pool.map(lambda check: _captured(*check), checks)


def _captured(name: str, command: tuple[str, ...]) -> Outcome:
    began = time.monotonic()
    done = subprocess.run(
        _found(command), cwd=ROOT, check=False, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    return Outcome(name=name, code=done.returncode, seconds=time.monotonic() - began, output=done.stdout)


def _loudly(name: str, command: tuple[str, ...]) -> Outcome:
    _say(f"\n== {name}: {' '.join(command)}")
    began = time.monotonic()
    code = subprocess.call(_found(command), cwd=ROOT)
    return Outcome(name=name, code=code, seconds=time.monotonic() - began)


def _found(command: tuple[str, ...]) -> list[str]:
    return [str(BIN / command[0]), *command[1:]]


def _heading(outcome: Outcome) -> None:
    _say(f"== {outcome.name}: {_verdict(outcome)} in {outcome.seconds:.1f} s")
    if outcome.code:
        _say(outcome.output.rstrip())


def _summary(outcomes: Sequence[Outcome]) -> int:
    failed = [outcome.name for outcome in outcomes if outcome.code]
    total = sum(outcome.seconds for outcome in outcomes)
    _say(f"{len(outcomes) - len(failed)} of {len(outcomes)} checks passed, {total:.0f} s of work")
    if failed:
        _say(f"failed: {', '.join(failed)}")
    return 1 if failed else 0


def _verdict(outcome: Outcome) -> str:
    return f"FAILED (exit code {outcome.code})" if outcome.code else "passed"


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "ticker_site.settings")
    raise SystemExit(main(sys.argv[1:]))
