"""`./run` and `./test` make `.venv` equal to a lock, once."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ops.stack.venv import STAMP, prepare

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "requirements.lock").write_text("# nothing to install\n")
    return tmp_path


def test_a_fresh_folder_gets_an_environment(project: Path) -> None:
    python = prepare(root=project, lock="requirements.lock")

    prefix = subprocess.check_output([python, "-c", "import sys; print(sys.prefix)"], text=True)
    assert prefix.strip() == str(project / ".venv")


def test_an_unchanged_lock_installs_nothing(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    prepare(root=project, lock="requirements.lock")
    capsys.readouterr()

    prepare(root=project, lock="requirements.lock")

    assert capsys.readouterr().out == ""


def test_a_changed_lock_is_installed(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    prepare(root=project, lock="requirements.lock")
    (project / "requirements.lock").write_text("# still nothing, but another lock\n")
    capsys.readouterr()

    prepare(root=project, lock="requirements.lock")

    assert "Installing 0 packages from requirements.lock" in capsys.readouterr().out


def test_the_development_lock_serves_both_commands(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (project / "requirements-dev.lock").write_text("# nothing\n")
    prepare(root=project, lock="requirements-dev.lock")
    capsys.readouterr()

    prepare(root=project, lock="requirements.lock")

    assert capsys.readouterr().out == ""


def test_a_broken_environment_is_made_again(project: Path) -> None:
    python = Path(prepare(root=project, lock="requirements.lock"))
    python.unlink()
    python.symlink_to("/nowhere/python")

    prepare(root=project, lock="requirements.lock")

    assert subprocess.call([str(python), "-c", ""]) == 0


def test_a_package_without_its_hash_is_refused(project: Path) -> None:
    (project / "requirements.lock").write_text("six==1.17.0\n")

    with pytest.raises(SystemExit):
        prepare(root=project, lock="requirements.lock")

    assert not (project / ".venv" / STAMP).exists()


def test_a_python_that_is_too_old_is_told_so(tmp_path: Path) -> None:
    source = "import sys; sys.version_info = (3, 10, 1); from ops.stack import venv; venv._require_python()"

    done = subprocess.run(
        [sys.executable, "-c", source],
        cwd=ROOT,
        env={**os.environ, "PATH": str(tmp_path)},
        check=False,
        text=True,
        capture_output=True,
    )

    assert done.returncode == 1
    assert done.stderr.startswith("Python 3.11 or later is needed. This is 3.10.1")
