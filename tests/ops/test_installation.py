"""The installation's folder: private secrets, one owner, leftovers ended."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ops.stack.installation import AlreadyRunning, Installation, read_environment
from tests.ops.children import alive

SLEEPER = [sys.executable, "-c", "import signal; signal.pause()"]


@pytest.fixture
def installation(tmp_path: Path) -> Installation:
    installation = Installation(folder=tmp_path / "var")
    installation.create()
    return installation


def test_a_secret_is_made_once_and_kept(installation: Installation) -> None:
    first = installation.secret("secret_key")

    assert len(first) > 40
    assert installation.secret("secret_key") == first


def test_only_the_owner_reads_a_secret(installation: Installation) -> None:
    installation.secret("secret_key")

    assert (installation.secrets / "secret_key").stat().st_mode & 0o777 == 0o600
    assert installation.secrets.stat().st_mode & 0o777 == 0o700


def test_another_shell_reads_what_the_stack_wrote(installation: Installation) -> None:
    values = {"DATABASE_URL": "postgres://a:b@/c?host=/d&port=1", "PUBLIC_URL": "http://127.0.0.1:8000"}

    installation.write_environment(values)

    path = installation.folder / "env"
    assert path.stat().st_mode & 0o777 == 0o600
    assert read_environment(path=path) == values


def test_an_environment_file_may_have_comments_quotes_and_exports(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    path.write_text("# a comment\n\nexport ONE=1\nTWO = 'two words'\nTHREE=a=b\n")

    assert read_environment(path=path) == {"ONE": "1", "TWO": "two words", "THREE": "a=b"}


def test_a_missing_environment_file_says_nothing(tmp_path: Path) -> None:
    assert read_environment(path=tmp_path / ".env") == {}


def test_a_second_supervisor_is_refused_with_the_first_ones_process(installation: Installation) -> None:
    refused = pytest.raises(AlreadyRunning, match=rf"already runs .* \(process {os.getpid()}\)")

    with installation.lock(), refused, installation.lock():
        pass


def test_a_released_installation_can_be_held_again(installation: Installation) -> None:
    with installation.lock():
        pass

    with installation.lock():
        assert (installation.folder / "run" / "supervisor").exists()


def test_a_program_left_by_a_killed_run_is_ended(installation: Installation) -> None:
    with subprocess.Popen(SLEEPER, start_new_session=True) as sleeper:
        installation.note_children({"web": sleeper.pid})

        named = installation.end_leftovers(patience_seconds=0.1)

    assert named == ["web"]
    assert sleeper.returncode == -9


def test_a_later_process_with_the_same_number_is_left_alone(installation: Installation) -> None:
    with subprocess.Popen(SLEEPER, start_new_session=True) as sleeper:
        (installation.folder / "run" / "children").write_text(f"{sleeper.pid} 12345 web\n")

        assert installation.end_leftovers(patience_seconds=0.1) == []
        assert alive(sleeper.pid)
        sleeper.kill()
