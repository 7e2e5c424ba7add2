"""`./test --mutation orders`: breaks modules on purpose, one place at a time, and counts what their tests notice."""

import argparse
import json
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

from ops.stack.programs import ROOT

MUTMUT = Path(sys.executable).parent / "mutmut"
LEAST_SCORE = 85.0
NOTICED = frozenset({"killed", "timeout"})
NOT_COPIED = frozenset({"build", "docs", "htmlcov", "mutants", "staticfiles", "var"})
# By the numbers that the tool gives the mutants of a function, the small functions among them.
EVERY_FIFTH = "*[27]"
STATES_WITHOUT_A_DATABASE = (
    "the_table_decides_every_pair",
    "the_table_decides_every_pair_of_a_command",
    "every_state_says_whether_the_broker_has_the_order",
    "a_brokers_status_means_a_state",
)
# Far above what any test takes: a crowded machine must not pass for a test that noticed.
PATIENCE_SECONDS = 5.0
LONGEST_CAMPAIGN_SECONDS = 4 * 3600.0
LONGEST_ANSWER_SECONDS = 300.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Campaign:
    """Modules of one package and the tests that must notice; one mutant at a time where tests share a database.

    `only` is a pattern of mutants' names where a whole module would take hours: the score is then that of a sample.
    """

    modules: tuple[str, ...]
    tests: tuple[str, ...]
    at_once: int = 2
    only: str = ""


CAMPAIGNS: Mapping[str, tuple[Campaign, ...]] = {
    "greeks": (
        Campaign(
            modules=("greeks/kernel.py", "greeks/conventions.py"),
            tests=(
                "tests/greeks/test_kernel_units.py",
                "tests/greeks/test_kernel_bad_rows.py",
                "tests/greeks/test_kernel_properties.py",
                "tests/greeks/test_kernel_accuracy.py",
                "tests/greeks/test_kernel_oracles.py",
                "tests/greeks/test_conventions.py",
            ),
        ),
        Campaign(modules=("greeks/chains.py",), tests=("tests/greeks/test_chains.py",), at_once=1),
    ),
    "orders": (
        Campaign(
            modules=("orders/states.py", "orders/risk.py"),
            tests=(
                *(f"tests/orders/test_states.py::test_{name}" for name in STATES_WITHOUT_A_DATABASE),
                "tests/orders/test_denials.py",
                "tests/orders/test_risk.py::test_a_check_denies_only_beyond_its_bound",
                "tests/orders/test_risk.py::test_a_patient_price_is_never_collared",
                "tests/orders/test_risk.py::test_only_what_makes_a_position_smaller_reduces",
                "tests/orders/test_stakes.py::test_a_check_denies_only_beyond_its_bound",
            ),
        ),
        Campaign(
            modules=("orders/updates.py", "orders/reconciliation.py"),
            tests=("tests/orders/test_reconciliation.py", "tests/orders/test_execution.py"),
            at_once=1,
            only=EVERY_FIFTH,
        ),
        Campaign(
            modules=("orders/execution.py",),
            tests=("tests/orders/test_execution.py", "tests/orders/test_asking_first.py", "tests/orders/test_wire.py"),
            at_once=1,
            only=EVERY_FIFTH,
        ),
        Campaign(
            modules=("orders/intake.py",),
            tests=("tests/orders/test_intake.py", "tests/orders/test_changes.py", "tests/orders/test_varieties.py"),
            at_once=1,
            only=EVERY_FIFTH,
        ),
    ),
}


@dataclass(frozen=True, slots=True)
class Score:
    """How many of a module's mutants there were, and the names of those no test noticed."""

    module: str
    mutants: int
    missed: tuple[str, ...]

    @property
    def percent(self) -> float:
        return 100.0 * (self.mutants - len(self.missed)) / self.mutants if self.mutants else 0.0


def main(arguments: Sequence[str]) -> int:
    """Run the campaigns of the packages, all of them without names; return 1 when a module is below the score."""
    parser = argparse.ArgumentParser(prog="./test --mutation", description=__doc__)
    parser.add_argument("packages", nargs="*", metavar="package", help=", ".join(CAMPAIGNS))
    packages = parser.parse_args(arguments).packages or list(CAMPAIGNS)
    unknown = [name for name in packages if name not in CAMPAIGNS]
    if unknown:
        parser.error(f"no campaign for {', '.join(unknown)}; known: {', '.join(CAMPAIGNS)}")
    scores = [score for name in packages for campaign in CAMPAIGNS[name] for score in run(campaign)]
    for score in scores:
        _say(f"{score.module:<32}{score.mutants:>6} mutants  {len(score.missed):>4} missed  {score.percent:6.1f} %")
    low = [score.module for score in scores if score.percent < LEAST_SCORE]
    if low:
        _say(f"below {LEAST_SCORE:g} %: {', '.join(low)}")
    return 1 if low else 0


def run(campaign: Campaign) -> list[Score]:
    """Run one campaign in a folder of its own and show every mutant that was missed; returns a score a module."""
    with tempfile.TemporaryDirectory(prefix="mutation-") as name:
        folder = Path(name)
        furnish(folder=folder, campaign=campaign)
        words = [str(MUTMUT), "run", "--max-children", str(campaign.at_once), *filter(None, [campaign.only])]
        subprocess.run(words, cwd=folder, check=True, timeout=LONGEST_CAMPAIGN_SECONDS)
        results = _told(folder, "results", "--all", "true")
        found = scores(modules=campaign.modules, results=results, only=campaign.only)
        for score in found:
            for mutant in score.missed:
                _say(_told(folder, "show", mutant))
    return found


def furnish(*, folder: Path, campaign: Campaign) -> None:
    """Lay the tree out in the folder, with what to mutate written into its pyproject.toml."""
    beside = [entry for entry in ROOT.iterdir() if not entry.name.startswith(".") and entry.name not in NOT_COPIED]
    for entry in beside:
        if entry.name != "pyproject.toml":
            (folder / entry.name).symlink_to(entry)
    packages = sorted({module.partition("/")[0] for module in campaign.modules})
    table = {
        "source_paths": packages,
        "only_mutate": list(campaign.modules),
        "also_copy": sorted(entry.name for entry in beside if entry.name not in packages),
        "pytest_add_cli_args_test_selection": list(campaign.tests),
        "pytest_add_cli_args": ["--reuse-db", "-p", "no:cacheprovider", "-p", "no:xdist", "-p", "no:rerunfailures"],
        # A mutant must not inherit the connections that counting the tests opened.
        "process_isolation": "forkserver",
        "timeout_constant": PATIENCE_SECONDS,
        "use_git_change_detection": False,
    }
    lines = [f"{name} = {json.dumps(value)}" for name, value in table.items()]
    settings = (ROOT / "pyproject.toml").read_text()
    (folder / "pyproject.toml").write_text("\n".join([settings, "[tool.mutmut]", *lines, ""]))


def scores(*, modules: Sequence[str], results: str, only: str = "") -> list[Score]:
    """Return the score of each module from what `mutmut results` prints: one mutant and its fate a line.

    Of a sample only the mutants that its pattern names count.
    """
    counted: Counter[str] = Counter()
    missed: dict[str, list[str]] = {module: [] for module in modules}
    for mutant, fate in _fates(results):
        if only and not fnmatch(mutant, only):
            continue
        module = next(each for each in modules if mutant.startswith(f"{_dotted(each)}."))
        counted[module] += 1
        if fate not in NOTICED:
            missed[module].append(mutant)
    return [Score(module, counted[module], tuple(missed[module])) for module in modules]


def _fates(results: str) -> Iterator[tuple[str, str]]:
    for line in filter(None, map(str.strip, results.splitlines())):
        mutant, _, fate = line.partition(": ")
        yield mutant, fate


def _dotted(module: str) -> str:
    return module.removesuffix(".py").replace("/", ".")


def _told(folder: Path, *words: str) -> str:
    told = subprocess.run(
        [MUTMUT, *words], cwd=folder, check=True, text=True, stdout=subprocess.PIPE, timeout=LONGEST_ANSWER_SECONDS
    )
    return told.stdout


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
