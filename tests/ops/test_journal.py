"""Lines go to one file a program and to one prefixed stream."""

import io
from pathlib import Path

from ops.stack.journal import FILE_BYTES, FILES_KEPT, Journal


def test_a_line_is_kept_and_shown_with_its_program(tmp_path: Path) -> None:
    terminal = io.StringIO()

    Journal(folder=tmp_path, terminal=terminal).write(name="web", line="hello")

    assert terminal.getvalue() == "web       | hello\n"
    assert (tmp_path / "web.log").read_text() == "hello\n"


def test_a_quiet_line_is_kept_and_not_shown(tmp_path: Path) -> None:
    terminal = io.StringIO()

    Journal(folder=tmp_path, terminal=terminal).write(name="web", line="hello", quiet=True)

    assert terminal.getvalue() == ""
    assert (tmp_path / "web.log").read_text() == "hello\n"


def test_each_program_has_its_colour(tmp_path: Path) -> None:
    terminal = io.StringIO()
    journal = Journal(folder=tmp_path, terminal=terminal, coloured=True)

    for name in ("web", "feed", "web"):
        journal.write(name=name, line="x")

    first, second, third = terminal.getvalue().splitlines()
    assert first == third
    assert first[:5] != second[:5]


def test_what_is_announced_is_not_kept(tmp_path: Path) -> None:
    terminal = io.StringIO()

    Journal(folder=tmp_path, terminal=terminal).announce("password")

    assert terminal.getvalue() == "password\n"
    assert list(tmp_path.iterdir()) == []


def test_a_full_file_is_put_aside_and_old_ones_dropped(tmp_path: Path) -> None:
    journal = Journal(folder=tmp_path, terminal=None)

    for number in range(FILES_KEPT + 2):
        (tmp_path / "web.log").write_text(str(number) * (FILE_BYTES + 1))
        journal.write(name="web", line="fresh")

    kept = {path.name: path.read_text()[:1] for path in tmp_path.iterdir()}
    assert kept == {"web.log": "f", "web.log.1": "4", "web.log.2": "3", "web.log.3": "2"}


def test_a_reader_who_leaves_stops_nothing(tmp_path: Path) -> None:
    class Gone(io.StringIO):
        def write(self, _: str) -> int:
            raise BrokenPipeError

    journal = Journal(folder=tmp_path, terminal=Gone())

    journal.write(name="web", line="one")
    journal.write(name="web", line="two")

    assert journal.tail("web") == "one\ntwo"
