"""What the mutation campaigns are told and how their outcome is counted."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from ops.stack.mutation import CAMPAIGNS, Campaign, furnish, main, scores
from ops.stack.programs import ROOT

RESULTS = """
    greeks.kernel.x_solve__mutmut_1: killed
    greeks.kernel.x_solve__mutmut_2: survived
    greeks.kernel.x_solve__mutmut_3: timeout
    greeks.kernel.x_price__mutmut_1: no tests
    greeks.chains.x_engine__mutmut_1: killed
"""


def test_only_what_a_test_noticed_counts() -> None:
    kernel, chains = scores(modules=("greeks/kernel.py", "greeks/chains.py"), results=RESULTS)

    assert kernel.missed == ("greeks.kernel.x_solve__mutmut_2", "greeks.kernel.x_price__mutmut_1")
    assert (kernel.mutants, kernel.percent) == (4, 50.0)
    assert (chains.mutants, chains.percent) == (1, 100.0)


def test_of_a_sample_only_what_the_pattern_names_counts() -> None:
    (kernel, chains) = scores(modules=("greeks/kernel.py", "greeks/chains.py"), results=RESULTS, only="*[23]")

    assert (kernel.mutants, kernel.missed) == (2, ("greeks.kernel.x_solve__mutmut_2",))
    assert chains.mutants == 0


def test_a_module_without_mutants_proves_nothing() -> None:
    (found,) = scores(modules=("greeks/book.py",), results="")

    assert found.percent == 0.0


def test_the_folder_holds_the_tree_and_says_what_to_mutate(tmp_path: Path) -> None:
    furnish(folder=tmp_path, campaign=Campaign(modules=("greeks/kernel.py",), tests=("tests/greeks",)))

    table = tomllib.loads((tmp_path / "pyproject.toml").read_text())["tool"]
    assert (table["mutmut"]["source_paths"], table["mutmut"]["only_mutate"]) == (["greeks"], ["greeks/kernel.py"])
    assert table["pytest"] == tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["pytest"]
    assert {"accounts", "tests", "templates"} <= set(table["mutmut"]["also_copy"])
    assert (tmp_path / "greeks" / "kernel.py").samefile(ROOT / "greeks" / "kernel.py")


@pytest.mark.parametrize("campaign", [campaign for group in CAMPAIGNS.values() for campaign in group])
def test_every_campaign_names_files_that_are_there(campaign: Campaign) -> None:
    assert all((ROOT / name.partition("::")[0]).exists() for name in (*campaign.modules, *campaign.tests))


def test_an_unknown_package_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["nothing"])

    assert "no campaign for nothing; known: greeks, orders" in capsys.readouterr().err


def test_the_tests_can_be_read_without_what_a_campaign_leaves_out() -> None:
    words = ["-p", "no:xdist", "-p", "no:rerunfailures", "--collect-only", "-q", "tests/ops/test_mutation.py"]

    command = [sys.executable, "-m", "pytest", *words]
    read = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)

    assert read.returncode == 0, read.stdout + read.stderr
