"""`./test` runs everything, and one failure is enough to fail it."""

import pytest

from ops.stack.verify import main

GOOD = ("python", "-c", "print('fine')")
BAD = ("python", "-c", "print('a finding'); exit(3)")


def test_all_checks_passing_pass() -> None:
    assert main([], checks=[("good", GOOD)], suite=GOOD) == 0


def test_one_failed_check_fails_and_shows_its_findings(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([], checks=[("bad", BAD), ("good", GOOD)], suite=GOOD) == 1

    said = capsys.readouterr().out
    assert "== bad: FAILED (exit code 3)" in said
    assert "a finding" in said
    assert "== good: passed" in said
    assert "failed: bad" in said


def test_failed_tests_fail(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([], checks=[("good", GOOD)], suite=BAD) == 1

    assert "failed: tests" in capsys.readouterr().out


def test_the_tests_run_after_a_failed_check(capfd: pytest.CaptureFixture[str]) -> None:
    main([], checks=[("bad", BAD)], suite=GOOD)

    assert "fine" in capfd.readouterr().out


def test_a_check_that_cannot_run_fails() -> None:
    with pytest.raises(FileNotFoundError):
        main([], checks=[("missing", ("no-such-tool",))], suite=GOOD)


def test_a_gate_asks_for_the_branches_of_its_package(capfd: pytest.CaptureFixture[str]) -> None:
    said = ("python", "-c", "import sys; print(*sys.argv[1:])")

    assert main(["--coverage", "sandbox"], suite=said) == 0

    assert "tests/sandbox --cov=sandbox --cov-branch --cov-fail-under=90" in capfd.readouterr().out


def test_the_long_run_has_the_gates(capfd: pytest.CaptureFixture[str]) -> None:
    said = ("python", "-c", "import sys; print(*sys.argv[1:])")

    assert main(["--long"], checks=[("good", GOOD)], suite=said, mutation=(*said, "mutants")) == 0

    out = capfd.readouterr().out
    assert "--cov=sandbox" in out
    assert "\nmutants\n" in out


def test_a_package_below_its_gate_fails() -> None:
    assert main(["--coverage"], suite=BAD) == 1


def test_a_package_without_a_gate_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--coverage", "nothing"], suite=GOOD) == 2

    assert (
        "no coverage gate for nothing; known: accounts, consumers, greeks, orders, sandbox, views"
        in capsys.readouterr().out
    )


def test_mutation_goes_to_the_packages_that_are_named(capfd: pytest.CaptureFixture[str]) -> None:
    said = ("python", "-c", "import sys; print(*sys.argv[1:])")

    assert main(["--mutation", "greeks"], mutation=said) == 0

    assert "\ngreeks\n" in capfd.readouterr().out


def test_a_low_mutation_score_fails() -> None:
    assert main(["--mutation", "greeks"], mutation=BAD) == 3
