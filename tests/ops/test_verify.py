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
